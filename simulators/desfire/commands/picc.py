"""Commands about the PICC as a whole: GetVersion, GetCardUID, Read_Sig, FreeMem, Format."""

from simulators.desfire import originality
from simulators.desfire.activation import Activation
from simulators.desfire.commands.table import MACED, Command, Table, always
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.status import Refusal, Status

VERSION_FRAMES = (7, 7)
WEEK_AND_YEAR = bytes((0x30, 0x26))
USUAL_UID_BYTES = 7
SIGNATURE_OF_UID = b"\0"


def require_empty(parameters: bytes) -> None:
    """Refuse parameters where a command has none."""
    if parameters:
        raise Refusal(Status.LENGTH)


def get_version(activation: Activation, parameters: bytes) -> bytes:
    """Return hardware, software, then UID, batch and date: 7 + 7 + 14 bytes.

    A UID of 4 or 10 bytes stands there as GetCardUID writes it (not confirmed on a card).
    """
    require_empty(parameters)
    chip = activation.chip
    uid = bytes(len(chip.uid)) if chip.random_uid else chip.uid
    return chip.product.versions(chip.storage_kib) + _written(uid) + chip.batch + WEEK_AND_YEAR


def get_card_uid(activation: Activation, parameters: bytes) -> bytes:
    """Return the real UID, which the messaging enciphers."""
    require_empty(parameters)
    return _written(activation.chip.uid)


def _written(uid: bytes) -> bytes:
    """Return a UID of 7 bytes as it is, another after 00 and its length (proxmark3's getuid)."""
    return uid if len(uid) == USUAL_UID_BYTES else bytes((0, len(uid))) + uid


def _uid_plan(activation: Activation, _parameters: bytes) -> Protection:
    if activation.session is None:
        raise Refusal(Status.AUTHENTICATION)
    return Protection(Mode.MAC, Mode.FULL)


def read_signature(activation: Activation, parameters: bytes) -> bytes:
    """Return the originality signature, 56 bytes."""
    if parameters != SIGNATURE_OF_UID:
        raise Refusal(Status.PARAMETER)
    return originality.sign(activation.chip.originality_key, activation.chip.uid)


def _signature_plan(activation: Activation, parameters: bytes) -> Protection:
    """Answer with status 90; in clear without a session.

    In a session the answer is enciphered; a chip that shows a random UID gives its signature in a
    session only. Neither is confirmed on a card.
    """
    if not activation.chip.originality_key:
        raise Refusal(Status.ILLEGAL_COMMAND)
    if not parameters:
        raise Refusal(Status.LENGTH)
    if activation.chip.random_uid and activation.session is None:
        raise Refusal(Status.AUTHENTICATION)
    return Protection(Mode.MAC, Mode.FULL, header=1, length=0, success=Status.SIGNATURE)


def free_memory(activation: Activation, parameters: bytes) -> bytes:
    """Return the free bytes, 3 bytes little-endian."""
    require_empty(parameters)
    return activation.chip.free_bytes.to_bytes(3, "little")


def format_picc(activation: Activation, parameters: bytes) -> bytes:
    """Delete every application and give the memory back."""
    require_empty(parameters)
    activation.require_picc()
    activation.require_master()
    if activation.chip.format_disabled:
        raise Refusal(Status.PERMISSION)
    activation.chip = activation.chip.formatted()
    return b""


COMMANDS: Table = {
    0x3C: Command(read_signature, _signature_plan),
    0x51: Command(get_card_uid, _uid_plan),
    0x60: Command(get_version, always(MACED), first_frames=lambda _activation: VERSION_FRAMES),
    0x6E: Command(free_memory),
    0xFC: Command(format_picc),
}
