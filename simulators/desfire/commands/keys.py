"""Commands about keys: ChangeKey, key settings, key versions."""

from dataclasses import replace

from simulators.desfire.activation import (
    KEY_SETTING_CHANGEABLE,
    KEY_SETTING_FREE_LISTING,
    KEY_SETTING_MASTER_CHANGEABLE,
    Activation,
)
from simulators.desfire.chip import Chip
from simulators.desfire.commands.picc import require_empty
from simulators.desfire.commands.table import Command, Table
from simulators.desfire.crypto import KeyType, xor
from simulators.desfire.keys import Key
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.status import Refusal, Status

USES_ISO_FILE_IDS = 0x20
CHANGE_WITH_SAME_KEY = 0x0E
CHANGE_NEVER = 0x0F


def get_settings(activation: Activation, parameters: bytes) -> bytes:
    """Return the key settings, then the number of keys and their type in one byte."""
    require_empty(parameters)
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    if activation.at_picc:
        kind = activation.chip.master.type | 1
    else:
        application = activation.application
        iso = USES_ISO_FILE_IDS if application.iso_file_ids else 0
        kind = application.key_type | iso | len(application.keys)
    return bytes((activation.settings, kind))


def get_version(activation: Activation, parameters: bytes) -> bytes:
    """Return the version byte of a key."""
    if len(parameters) != 1:
        raise Refusal(Status.LENGTH)
    return bytes((activation.key(parameters[0]).version,))


def change_settings(activation: Activation, parameters: bytes) -> bytes:
    """Replace the key settings of the selected level."""
    chip, settings = activation.chip, parameters[0]
    if activation.at_picc:
        activation.chip = replace(chip, settings=settings & 0x0F)
    else:
        application = replace(activation.application, settings=settings)
        activation.chip = chip.with_application(application)
    return b""


def _settings_plan(activation: Activation, _parameters: bytes) -> Protection:
    activation.require_master()
    if not activation.settings & KEY_SETTING_CHANGEABLE:
        raise Refusal(Status.PERMISSION)
    return Protection(Mode.FULL, Mode.MAC, length=1)


def change_key(activation: Activation, parameters: bytes) -> bytes:
    """Put a new key in place; the session ends when it was opened with that key."""
    number, key_type = _target(activation, parameters[0])
    own = number == activation.authenticated
    size = key_type.key_bytes
    field, rest = parameters[1 : 1 + size], parameters[1 + size :]
    version = rest[0] if key_type is KeyType.AES else 0
    if not own:
        field = xor(field, activation.key(number).value)
        checksum = activation.messaging.checksum(field)
        if checksum != rest[-len(checksum) :]:
            raise Refusal(Status.INTEGRITY)
    activation.chip = _with_key(activation, number, Key(key_type, field, version))
    if own:
        activation.session = None
    return b""


def _with_key(activation: Activation, number: int, key: Key) -> Chip:
    if activation.at_picc:
        return replace(activation.chip, master=key)
    keys = list(activation.keys)
    keys[number] = key
    return activation.chip.with_application(replace(activation.application, keys=tuple(keys)))


def _target(activation: Activation, byte: int) -> tuple[int, KeyType]:
    """Return key number and type; the PICC master key's type is in the top two bits."""
    if not activation.at_picc:
        return byte, activation.key(byte).type
    if byte & 0x3F:
        raise Refusal(Status.NO_SUCH_KEY)
    if byte not in tuple(KeyType):
        raise Refusal(Status.PARAMETER)
    return 0, KeyType(byte)


def _change_key_plan(activation: Activation, parameters: bytes) -> Protection:
    if not parameters:
        raise Refusal(Status.LENGTH)
    if activation.authenticated is None:
        raise Refusal(Status.AUTHENTICATION)
    number, key_type = _target(activation, parameters[0])
    _require_change_right(activation, number)
    own = number == activation.authenticated
    length = key_type.key_bytes + (1 if key_type is KeyType.AES else 0)
    return Protection(Mode.FULL, Mode.MAC, header=1, length=length, key_checksum=not own)


def _require_change_right(activation: Activation, number: int) -> None:
    """Apply the change-key nibble; a master key and the change key itself need the master key."""
    change_key_number = activation.settings >> 4
    if number == 0 and not activation.settings & KEY_SETTING_MASTER_CHANGEABLE:
        raise Refusal(Status.PERMISSION)
    if number in {0, change_key_number}:
        needed = 0
    elif change_key_number == CHANGE_NEVER:
        raise Refusal(Status.PERMISSION)
    elif change_key_number == CHANGE_WITH_SAME_KEY:
        needed = number
    else:
        needed = change_key_number
    if activation.authenticated != needed:
        raise Refusal(Status.AUTHENTICATION)


COMMANDS: Table = {
    0x45: Command(get_settings),
    0x54: Command(change_settings, _settings_plan),
    0x64: Command(get_version),
    0xC4: Command(change_key, _change_key_plan),
}
