"""Commands about the PICC as a whole: GetVersion, GetCardUID, FreeMem, Format, SetConfiguration."""

from dataclasses import replace

from simulators.desfire.activation import Activation
from simulators.desfire.chip import Product
from simulators.desfire.commands.table import MACED, Command, Table, always
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.status import Refusal, Status

STORAGE_4K = 0x18
PROTOCOL = 0x05
CONFIGURE_PICC, CONFIGURE_DEFAULT_KEY = 0x00, 0x01
CONFIGURATION_BYTES = {CONFIGURE_PICC: 1, CONFIGURE_DEFAULT_KEY: 25}

# Hardware and software (vendor, type, subtype, major, minor); EV2's minor bytes are not confirmed.
VERSIONS = {
    Product.EV1: (bytes((4, 1, 1, 0x01, 0x00)), bytes((4, 1, 1, 0x01, 0x04))),
    Product.EV2: (bytes((4, 1, 1, 0x12, 0x00)), bytes((4, 1, 1, 0x02, 0x01))),
}
WEEK_AND_YEAR = bytes((0x30, 0x26))


def require_empty(parameters: bytes) -> None:
    """Refuse parameters where a command has none."""
    if parameters:
        raise Refusal(Status.LENGTH)


def get_version(activation: Activation, parameters: bytes) -> bytes:
    """Return hardware, software, then UID, batch and date: 7 + 7 + 14 bytes."""
    require_empty(parameters)
    chip = activation.chip
    hardware, software = VERSIONS[chip.product]
    tail = bytes((STORAGE_4K, PROTOCOL))
    uid = bytes(7) if chip.random_uid else chip.uid
    return hardware + tail + software + tail + uid + chip.batch + WEEK_AND_YEAR


def get_card_uid(activation: Activation, parameters: bytes) -> bytes:
    """Return the real UID, which the messaging enciphers."""
    require_empty(parameters)
    return activation.chip.uid


def _uid_plan(activation: Activation, _parameters: bytes) -> Protection:
    if activation.session is None:
        raise Refusal(Status.AUTHENTICATION)
    return Protection(Mode.MAC, Mode.FULL)


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


def set_configuration(activation: Activation, parameters: bytes) -> bytes:
    """Set the PICC configuration (00) or the default key and version (01)."""
    option, body = parameters[0], parameters[1:]
    if option == CONFIGURE_PICC:
        # The bits can only be set, never cleared (mem).
        configuration = activation.chip.configuration | body[0] & 0x03
        activation.chip = replace(activation.chip, configuration=configuration)
    else:
        activation.chip = replace(activation.chip, default_key=body[:24], default_version=body[24])
    return b""


def _configuration_plan(activation: Activation, parameters: bytes) -> Protection:
    activation.require_picc()
    activation.require_master()
    if not parameters:
        raise Refusal(Status.LENGTH)
    length = CONFIGURATION_BYTES.get(parameters[0])
    if length is None:
        raise Refusal(Status.PARAMETER)
    return Protection(Mode.FULL, Mode.MAC, header=1, length=length)


COMMANDS: Table = {
    0x51: Command(get_card_uid, _uid_plan),
    0x5C: Command(set_configuration, _configuration_plan),
    0x60: Command(get_version, always(MACED), first_frames=(7, 7)),
    0x6E: Command(free_memory),
    0xFC: Command(format_picc),
}
