"""Commands about applications: select, list, create, delete."""

from simulators.desfire.activation import (
    KEY_SETTING_FREE_CREATION,
    KEY_SETTING_FREE_LISTING,
    Activation,
)
from simulators.desfire.chip import MAX_APPLICATIONS, MAX_KEYS, PICC_AID
from simulators.desfire.commands.picc import require_empty
from simulators.desfire.commands.table import PLAIN, Command, Table, always
from simulators.desfire.crypto import KeyType
from simulators.desfire.status import Refusal, Status

AIDS_PER_FRAME = 19


def select(activation: Activation, parameters: bytes) -> bytes:
    """Select an application, or the PICC level with 000000; the session ends."""
    if len(parameters) != 3:
        raise Refusal(Status.LENGTH)
    if parameters != PICC_AID and parameters not in activation.chip.applications:
        raise Refusal(Status.APPLICATION_NOT_FOUND)
    activation.select(parameters)
    return b""


def list_applications(activation: Activation, parameters: bytes) -> bytes:
    """Return all AIDs, 3 bytes each, in wire order."""
    require_empty(parameters)
    activation.require_picc()
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    return b"".join(activation.chip.applications)


def create(activation: Activation, parameters: bytes) -> bytes:
    """Create an application: AID, key settings, number and type of keys.

    Further parameters (key sets, ISO file identifiers) are not simulated: parameter error.
    """
    activation.require_picc()
    activation.require_master_unless(KEY_SETTING_FREE_CREATION)
    if len(parameters) < 5:
        raise Refusal(Status.LENGTH)
    aid, settings, kind = parameters[:3], parameters[3], parameters[4]
    keys, key_type = kind & 0x0F, kind & 0xC0
    if len(parameters) > 5 or aid == PICC_AID or kind & 0x30 or not 1 <= keys <= MAX_KEYS:
        raise Refusal(Status.PARAMETER)
    if key_type not in tuple(KeyType):
        raise Refusal(Status.PARAMETER)
    if aid in activation.chip.applications:
        raise Refusal(Status.DUPLICATE)
    if len(activation.chip.applications) >= MAX_APPLICATIONS:
        raise Refusal(Status.COUNT)
    activation.chip = activation.chip.new_application(aid, settings, KeyType(key_type), keys)
    return b""


def delete(activation: Activation, parameters: bytes) -> bytes:
    """Delete an application with the PICC master key, or with its own where the PICC lets it."""
    if len(parameters) != 3:
        raise Refusal(Status.LENGTH)
    if parameters not in activation.chip.applications:
        raise Refusal(Status.APPLICATION_NOT_FOUND)
    if not activation.at_picc and (
        parameters != activation.selected
        or not activation.chip.settings & KEY_SETTING_FREE_CREATION
    ):
        raise Refusal(Status.PERMISSION)
    activation.require_master()
    activation.chip = activation.chip.without_application(parameters)
    if not activation.at_picc:
        activation.select(PICC_AID)
    return b""


COMMANDS: Table = {
    0x5A: Command(select, always(PLAIN)),
    0x6A: Command(list_applications, first_frames=(3 * AIDS_PER_FRAME,)),
    0xCA: Command(create),
    0xDA: Command(delete),
}
