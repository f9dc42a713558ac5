"""SELECT (A4): the PICC level as master file, applications as DFs, files as EFs.

No file control information is answered, whatever P2 asks for (not confirmed on a card).
"""

from simulators.desfire.activation import Activation
from simulators.desfire.chip import PICC_AID
from simulators.desfire.commands.applications import MASTER_FILE_ID, MASTER_FILE_NAME
from simulators.desfire.iso.command import IsoCommand, IsoRefusal, StatusWord

BY_IDENTIFIER, CHILD_DF, EF_OF_DF, PARENT, BY_NAME = range(5)
FIRST_WITH_FCI, FIRST_WITHOUT = 0x00, 0x0C
IDENTIFIER_BYTES = 2


def select(activation: Activation, command: IsoCommand) -> bytes:
    """Select what P1 says. Another DF ends the session; an EF leaves it."""
    if command.p2 not in {FIRST_WITH_FCI, FIRST_WITHOUT} or command.p1 > BY_NAME:
        raise IsoRefusal(StatusWord.PARAMETERS)
    if command.p1 == BY_NAME:
        activation.select(_application_named(activation, command.data))
    elif command.p1 == PARENT or (command.p1 == BY_IDENTIFIER and not command.data):
        command.require_no_data()
        activation.select(PICC_AID)
    else:
        _select_identifier(activation, command.p1, _identifier(command.data))
    return b""


def _application_named(activation: Activation, name: bytes) -> bytes:
    if name == MASTER_FILE_NAME:
        return PICC_AID
    for entry in activation.chip.applications.values():
        if name and entry.df_name == name:
            return entry.aid
    raise IsoRefusal(StatusWord.NOT_FOUND)


def _identifier(data: bytes) -> int:
    if len(data) != IDENTIFIER_BYTES:
        raise IsoRefusal(StatusWord.LENGTH)
    return int.from_bytes(data)


def _select_identifier(activation: Activation, p1: int, identifier: int) -> None:
    if p1 == BY_IDENTIFIER and identifier == MASTER_FILE_ID:
        activation.select(PICC_AID)
        return
    if p1 != CHILD_DF and not activation.at_picc:
        for number, file in activation.application.files.items():
            if file.iso_id == identifier:
                activation.file = number
                return
    if p1 != EF_OF_DF:
        for entry in activation.chip.applications.values():
            if entry.iso_id == identifier:
                activation.select(entry.aid)
                return
    raise IsoRefusal(StatusWord.NOT_FOUND)
