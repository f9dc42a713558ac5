"""SetConfiguration (5C): what the PICC shows of itself, and its default key.

The options are those of an EV1 (00 to 02) and, since EV2, the SAK (03; proxmark3's setconfig). The
chip has further ones since EV2, which are not simulated: parameter error.
"""

from dataclasses import replace

from simulators.desfire.activation import Activation
from simulators.desfire.answer_to_select import historical_bytes
from simulators.desfire.chip import Chip
from simulators.desfire.commands.table import Command, Table
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.status import Refusal, Status

PICC, DEFAULT_KEY, ATS, SAK = range(4)
FIXED_LENGTHS = {PICC: 1, DEFAULT_KEY: 25, SAK: 2}
KNOWN_BITS = 0x03


def set_configuration(activation: Activation, parameters: bytes) -> bytes:
    """Put one option in place."""
    option, body = parameters[0], parameters[1:]
    activation.chip = _configured(activation.chip, option, body)
    return b""


def _configured(chip: Chip, option: int, body: bytes) -> Chip:
    if option == PICC:
        if body[0] & ~KNOWN_BITS:
            raise Refusal(Status.PARAMETER)
        # The bits can only be set, never cleared (mem).
        return replace(chip, configuration=chip.configuration | body[0])
    if option == DEFAULT_KEY:
        return replace(chip, default_key=body[:24], default_version=body[24])
    if option == ATS:
        if historical_bytes(body) is None:
            raise Refusal(Status.PARAMETER)
        return replace(chip, ats=body)
    return replace(chip, sak=body)


def _plan(activation: Activation, parameters: bytes) -> Protection:
    activation.require_picc()
    activation.require_master()
    if not parameters:
        raise Refusal(Status.LENGTH)
    option = parameters[0]
    if option == ATS:
        return Protection(Mode.FULL, Mode.MAC, header=1, marked_end=True)
    if option not in FIXED_LENGTHS or (option == SAK and not activation.chip.product.evolved):
        raise Refusal(Status.PARAMETER)
    return Protection(Mode.FULL, Mode.MAC, header=1, length=FIXED_LENGTHS[option])


COMMANDS: Table = {0x5C: Command(set_configuration, _plan)}
