"""What an error status means in the command that it answers.

The status alone rarely says what to do: PERMISSION_DENIED is a wrong level for CreateApplication
and a missing right for ReadData. Sources: the status codes of the public data sheets, proxmark3,
libfreefare; what a real card answers in each case is not confirmed.
"""

from cardd.desfire.command import Ins
from cardd.desfire.status import Status, status_name
from cardd.errors import CardStatusError

_IN_ANY_COMMAND = {
    Status.NO_CHANGES: "nothing was changed since the last transaction",
    Status.OUT_OF_EEPROM_ERROR: "not enough memory is free",
    Status.ILLEGAL_COMMAND_CODE: "the product does not know the command, or not in this state",
    Status.INTEGRITY_ERROR: "the card found a wrong MAC, CRC or padding, or data out of its range",
    Status.NO_SUCH_KEY: "there is no key of that number here",
    Status.LENGTH_ERROR: "the card expects another length",
    Status.PERMISSION_DENIED: "the settings, or what is selected, do not allow it",
    Status.PARAMETER_ERROR: "the card does not take a value that was sent",
    Status.APPLICATION_NOT_FOUND: "there is no application of that AID",
    Status.APPL_INTEGRITY_ERROR: "the application is damaged, and the card has disabled it",
    Status.AUTHENTICATION_ERROR: "it needs an authentication that there is not",
    Status.BOUNDARY_ERROR: "it reaches beyond a limit",
    Status.PICC_INTEGRITY_ERROR: "the card is damaged, and has disabled itself",
    Status.COMMAND_ABORTED: "the card gave up a command that came in parts",
    Status.PICC_DISABLED_ERROR: "the card has disabled itself",
    Status.COUNT_ERROR: "there are as many already as the card takes",
    Status.DUPLICATE_ERROR: "there is one with that number or name already",
    Status.EEPROM_ERROR: "the card could not write, and undid the change",
    Status.FILE_NOT_FOUND: "there is no file of that number",
    Status.FILE_INTEGRITY_ERROR: "the file is damaged, and the card has disabled it",
}

_AUTHENTICATIONS = (
    Ins.AUTHENTICATE_LEGACY,
    Ins.AUTHENTICATE_ISO,
    Ins.AUTHENTICATE_AES,
    Ins.AUTHENTICATE_EV2_FIRST,
    Ins.AUTHENTICATE_EV2_NON_FIRST,
)
_FILE_CREATIONS = (
    Ins.CREATE_STD_DATA_FILE,
    Ins.CREATE_BACKUP_DATA_FILE,
    Ins.CREATE_VALUE_FILE,
    Ins.CREATE_LINEAR_RECORD_FILE,
    Ins.CREATE_CYCLIC_RECORD_FILE,
)
_READS = (Ins.READ_DATA, Ins.READ_DATA_ISO, Ins.READ_RECORDS, Ins.GET_VALUE)
_WRITES = (
    Ins.WRITE_DATA,
    Ins.WRITE_DATA_ISO,
    Ins.WRITE_RECORD,
    Ins.UPDATE_RECORD,
    Ins.CLEAR_RECORD_FILE,
    Ins.CREDIT,
    Ins.DEBIT,
    Ins.LIMITED_CREDIT,
)
_DATA_COMMANDS = (Ins.READ_DATA, Ins.READ_DATA_ISO, Ins.WRITE_DATA, Ins.WRITE_DATA_ISO)
_RECORD_WRITES = (Ins.WRITE_RECORD, Ins.UPDATE_RECORD)
_LISTINGS = (Ins.GET_FILE_IDS, Ins.GET_ISO_FILE_IDS, Ins.GET_FILE_SETTINGS, Ins.GET_KEY_SETTINGS)
_PICC_LEVEL = (Ins.GET_APPLICATION_IDS, Ins.GET_DF_NAMES, Ins.SET_CONFIGURATION)

# Where a command is in several groups, the last one that has the status counts.
_IN_COMMANDS: tuple[tuple[tuple[Ins, ...], dict[Status, str]], ...] = (
    (
        _AUTHENTICATIONS,
        {
            Status.AUTHENTICATION_ERROR: "the card has another key under that number",
            Status.PERMISSION_DENIED: "the key, or this authentication with it, is disabled",
            Status.ILLEGAL_COMMAND_CODE: "the product does not know this authentication",
        },
    ),
    (
        _READS,
        {
            Status.AUTHENTICATION_ERROR: "none of the keys that may read the file is authenticated",
            Status.PERMISSION_DENIED: "the file's access rights let nobody read it, or its type "
            "does not know the command",
        },
    ),
    (
        _WRITES,
        {
            Status.AUTHENTICATION_ERROR: "none of the keys that may change the file is "
            "authenticated",
            Status.PERMISSION_DENIED: "the file's access rights let nobody do this, or its type "
            "does not know the command",
        },
    ),
    (_DATA_COMMANDS, {Status.BOUNDARY_ERROR: "the file ends before the last byte that was named"}),
    ((Ins.READ_RECORDS,), {Status.BOUNDARY_ERROR: "the file does not hold so many records"}),
    (
        _RECORD_WRITES,
        {Status.BOUNDARY_ERROR: "the file is full, or the data ends beyond the record"},
    ),
    ((Ins.CREDIT,), {Status.BOUNDARY_ERROR: "the value would exceed the file's upper limit"}),
    ((Ins.DEBIT,), {Status.BOUNDARY_ERROR: "the value would fall below the file's lower limit"}),
    (
        (Ins.LIMITED_CREDIT,),
        {
            Status.BOUNDARY_ERROR: "it exceeds what the last transaction debited, or the upper "
            "limit",
            Status.PERMISSION_DENIED: "the file does not allow limited credit",
        },
    ),
    (
        _FILE_CREATIONS,
        {
            Status.AUTHENTICATION_ERROR: "creating files needs the application's master key",
            Status.PERMISSION_DENIED: "files are created in an application, and the PICC is "
            "selected",
            Status.DUPLICATE_ERROR: "a file of that number or ISO identifier is there already",
            Status.COUNT_ERROR: "the application holds as many files as it can",
        },
    ),
    (
        (Ins.DELETE_FILE,),
        {Status.AUTHENTICATION_ERROR: "deleting files needs the application's master key"},
    ),
    (
        _LISTINGS,
        {Status.AUTHENTICATION_ERROR: "the settings tell this to the master key alone"},
    ),
    (
        _PICC_LEVEL,
        {
            Status.AUTHENTICATION_ERROR: "it needs the PICC's master key",
            Status.PERMISSION_DENIED: "it needs the PICC selected, and its settings may forbid it",
        },
    ),
    (
        (Ins.CREATE_APPLICATION,),
        {
            Status.AUTHENTICATION_ERROR: "creating applications needs the PICC's master key",
            Status.PERMISSION_DENIED: "applications are created with the PICC selected",
            Status.DUPLICATE_ERROR: "an application of that AID, ISO identifier or DF name is "
            "there already",
            Status.COUNT_ERROR: "the card holds as many applications as it can (an EV1 28)",
        },
    ),
    (
        (Ins.DELETE_APPLICATION,),
        {
            Status.AUTHENTICATION_ERROR: "deleting an application needs the PICC's master key, or "
            "its own",
        },
    ),
    (
        (Ins.FORMAT_PICC,),
        {
            Status.AUTHENTICATION_ERROR: "formatting needs the PICC's master key",
            Status.PERMISSION_DENIED: "formatting needs the PICC selected, or was disabled for "
            "ever",
        },
    ),
    (
        (Ins.CHANGE_KEY,),
        {
            Status.AUTHENTICATION_ERROR: "the key that changes this one is not authenticated",
            Status.PERMISSION_DENIED: "the key settings freeze this key",
            Status.INTEGRITY_ERROR: "the key's old value is another than the one given",
        },
    ),
    (
        (Ins.CHANGE_KEY_SETTINGS,),
        {
            Status.AUTHENTICATION_ERROR: "changing the settings needs the master key",
            Status.PERMISSION_DENIED: "the settings are frozen",
        },
    ),
    (
        (Ins.CHANGE_FILE_SETTINGS,),
        {
            Status.AUTHENTICATION_ERROR: "the key that changes the file's settings is not "
            "authenticated",
            Status.PERMISSION_DENIED: "the file's settings are frozen",
        },
    ),
    (
        (Ins.GET_CARD_UID,),
        {Status.AUTHENTICATION_ERROR: "the UID is told in a session alone, with any key"},
    ),
    (
        (Ins.READ_SIGNATURE,),
        {Status.ILLEGAL_COMMAND_CODE: "the product has no originality signature"},
    ),
)


def meaning(ins: Ins, word: int) -> str:
    """Return what a status word means as the answer to a command."""
    for commands, meanings in reversed(_IN_COMMANDS):
        if ins in commands:
            for status, text in meanings.items():
                if status.word == word:
                    return text
    texts = {status.word: text for status, text in _IN_ANY_COMMAND.items()}
    if word >> 12 == 0x6:
        return "what answered takes no wrapped DESFire command"
    return texts.get(word, "an error that no data sheet lists")


def status_error(ins: Ins, word: int) -> CardStatusError:
    """Return the error that names the command, the status, and what it means there."""
    name = status_name(word)
    return CardStatusError(
        f"the card answered {ins.name} with {name} ({word:04X}): {meaning(ins, word)}",
        status=word,
        command=ins.name,
        name=name,
    )
