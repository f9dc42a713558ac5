"""Commands about applications: select, list, create, delete."""

from simulators.desfire.activation import (
    KEY_SETTING_FREE_CREATION,
    KEY_SETTING_FREE_LISTING,
    Activation,
)
from simulators.desfire.chip import MAX_KEYS, PICC_AID, Application, Chip
from simulators.desfire.commands.keys import USES_ISO_FILE_IDS
from simulators.desfire.commands.picc import require_empty
from simulators.desfire.commands.table import PLAIN, Command, Table, always
from simulators.desfire.crypto import KeyType
from simulators.desfire.status import Refusal, Status

MAX_DF_NAME_BYTES = 16
HAS_MORE_SETTINGS = 0x10
MASTER_FILE_ID = 0x3F00
# ISO 7816-4, 5.3.1.1: the master file, the current DF, and what is reserved.
RESERVED_ISO_IDS = frozenset({0x0000, MASTER_FILE_ID, 0x3FFF, 0xFFFF})
MASTER_FILE_NAME = bytes.fromhex("D2760000850100")


def select(activation: Activation, parameters: bytes) -> bytes:
    """Select an application, or the PICC level with 000000; the session ends.

    Since EV2 a second application may come along. It must be there, but its files and keys cannot
    be reached together with the first one's: that is not simulated.
    """
    lengths = (3, 6) if activation.chip.product.evolved else (3,)
    if len(parameters) not in lengths:
        raise Refusal(Status.LENGTH)
    first, second = parameters[:3], parameters[3:]
    applications = activation.chip.applications
    if second and (first == second or PICC_AID in {first, second}):
        raise Refusal(Status.PARAMETER)
    if first not in {PICC_AID, *applications} or (second and second not in applications):
        raise Refusal(Status.APPLICATION_NOT_FOUND)
    activation.select(first)
    return b""


def list_applications(activation: Activation, parameters: bytes) -> bytes:
    """Return all AIDs, 3 bytes each, in wire order."""
    require_empty(parameters)
    activation.require_picc()
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    return b"".join(activation.chip.applications)


def _aid_frames(activation: Activation) -> tuple[int, ...]:
    """Return the lengths of all frames but the last: as many AIDs as fit, on an EV1 19."""
    frame = activation.answer_frame_bytes
    first = frame - frame % 3
    return (first,) * (3 * len(activation.chip.applications) // first)


def list_df_names(activation: Activation, parameters: bytes) -> bytes:
    """Return AID, ISO file identifier and DF name of each application that has the latter two."""
    require_empty(parameters)
    activation.require_picc()
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    return b"".join(_df_names(activation.chip))


def _df_name_frames(activation: Activation) -> tuple[int, ...]:
    """Return the lengths of all frames but the last: each application has a frame of its own."""
    return tuple(len(entry) for entry in _df_names(activation.chip)[:-1])


def _df_names(chip: Chip) -> list[bytes]:
    return [
        entry.aid + entry.iso_id.to_bytes(2, "little") + entry.df_name
        for entry in chip.applications.values()
        if entry.iso_id is not None
    ]


def create(activation: Activation, parameters: bytes) -> bytes:
    """Create an application.

    AID, key settings, number and type of keys; then, where wanted, its ISO file identifier and its
    DF name. No key is as good as 14 (libfreefare's tests). Several key sets are not simulated:
    parameter error.
    """
    activation.require_picc()
    activation.require_master_unless(KEY_SETTING_FREE_CREATION)
    if not 5 <= len(parameters) <= 7 + MAX_DF_NAME_BYTES or len(parameters) == 6:
        raise Refusal(Status.LENGTH)
    application, keys = _new_application(parameters)
    _require_room(activation.chip, application)
    activation.chip = activation.chip.new_application(application, keys)
    return b""


def _new_application(parameters: bytes) -> tuple[Application, int]:
    aid, settings, kind = parameters[:3], parameters[3], parameters[4]
    keys, key_type = kind & 0x0F, kind & 0xC0
    iso_id = int.from_bytes(parameters[5:7], "little") if len(parameters) > 5 else None
    if aid == PICC_AID or kind & HAS_MORE_SETTINGS or keys > MAX_KEYS:
        raise Refusal(Status.PARAMETER)
    if key_type not in tuple(KeyType) or iso_id in RESERVED_ISO_IDS:
        raise Refusal(Status.PARAMETER)
    application = Application(
        aid,
        settings,
        KeyType(key_type),
        keys=(),
        iso_file_ids=bool(kind & USES_ISO_FILE_IDS),
        iso_id=iso_id,
        df_name=parameters[7:],
    )
    return application, keys


def _require_room(chip: Chip, new: Application) -> None:
    """Refuse an AID, an identifier or a name that is taken, and one application too many."""
    for there in chip.applications.values():
        same_id = new.iso_id is not None and there.iso_id == new.iso_id
        if there.aid == new.aid or same_id or (new.df_name and there.df_name == new.df_name):
            raise Refusal(Status.DUPLICATE)
    if new.df_name == MASTER_FILE_NAME:
        raise Refusal(Status.DUPLICATE)
    limit = chip.product.max_applications
    if limit is not None and len(chip.applications) >= limit:
        raise Refusal(Status.COUNT)


def delete(activation: Activation, parameters: bytes) -> bytes:
    """Delete an application with the PICC master key, or with its own where the PICC lets it.

    Deleting the selected one ends the session after an answer with a MAC, as libfreefare expects
    of an EV1; not confirmed on a card.
    """
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
    0x6A: Command(list_applications, first_frames=_aid_frames),
    0x6D: Command(list_df_names, first_frames=_df_name_frames),
    0xCA: Command(create),
    0xDA: Command(delete, sealed_end=True),
}
