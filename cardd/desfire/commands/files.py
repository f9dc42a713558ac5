"""Commands on files as a whole."""

from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.fields import (
    ISO_FILE_ID_BYTES,
    MAX_FILES,
    encode_file_number,
    encode_iso_file_id,
    parse_file_numbers,
    parse_iso_file_ids,
)
from cardd.desfire.file_settings import MAX_SETTINGS_BYTES, parse_file_settings
from cardd.desfire.files import AccessRights, FileSettings, FileType, encode_change
from cardd.desfire.sdm import SecureDynamicMessaging
from cardd.iso7816.exchange import Exchange

_CREATE = {
    FileType.STANDARD_DATA: Ins.CREATE_STD_DATA_FILE,
    FileType.BACKUP_DATA: Ins.CREATE_BACKUP_DATA_FILE,
    FileType.VALUE: Ins.CREATE_VALUE_FILE,
    FileType.LINEAR_RECORD: Ins.CREATE_LINEAR_RECORD_FILE,
    FileType.CYCLIC_RECORD: Ins.CREATE_CYCLIC_RECORD_FILE,
}


class FileCommands(Channel):
    """Create, delete and list files, and tell their settings."""

    def create_file(
        self, number: int, settings: FileSettings, *, iso_file_id: int | None = None
    ) -> Exchange[None]:
        """CreateStdDataFile or the command of another type; data starts as zeros.

        `iso_file_id` is for an application that was created with ISO file identifiers; a value file
        has none.
        """
        iso = b"" if iso_file_id is None else encode_iso_file_id(iso_file_id)
        if iso and settings.type is FileType.VALUE:
            raise ValueError("a value file has no ISO file identifier")
        header = encode_file_number(number) + iso + settings.encode()
        yield from self.perform(Command(_CREATE[settings.type], header))

    def delete_file(self, number: int) -> Exchange[None]:
        """DeleteFile."""
        yield from self.perform(Command(Ins.DELETE_FILE, encode_file_number(number)))

    def get_file_ids(self) -> Exchange[tuple[int, ...]]:
        """GetFileIDs, in the card's order."""
        command = Command(Ins.GET_FILE_IDS, answer_bytes=(0, MAX_FILES))
        return (yield from self.ask(command, parse_file_numbers))

    def get_iso_file_ids(self) -> Exchange[tuple[int, ...]]:
        """GetISOFileIDs, in the card's order, of an application that has ISO file identifiers."""
        limit = MAX_FILES * ISO_FILE_ID_BYTES
        command = Command(Ins.GET_ISO_FILE_IDS, answer_bytes=(0, limit))
        return (yield from self.ask(command, parse_iso_file_ids))

    def get_file_settings(self, number: int) -> Exchange[FileSettings]:
        """GetFileSettings; CardProtocolError for a file of a type that is unknown here."""
        header = encode_file_number(number)
        command = Command(Ins.GET_FILE_SETTINGS, header, answer_bytes=(1, MAX_SETTINGS_BYTES))
        return (yield from self.ask(command, parse_file_settings))

    def change_file_settings(
        self,
        number: int,
        mode: CommunicationMode,
        access: AccessRights,
        *,
        additional: tuple[AccessRights, ...] = (),
        sdm: SecureDynamicMessaging | None = None,
        change_is_free: bool = False,
    ) -> Exchange[None]:
        """ChangeFileSettings; additional access rights (EV2) and mirrors (EV3) not given end.

        It travels enciphered, in a session with the key that has the file's change right;
        `change_is_free` says that the right is free, and then it travels in plain (NT4H2421Gx,
        10.7.1; libfreefare). Source: AN12196, table 18.
        """
        yield from self.perform(
            Command(
                Ins.CHANGE_FILE_SETTINGS,
                encode_file_number(number),
                encode_change(mode, access, additional, sdm),
                CommunicationMode.PLAIN if change_is_free else CommunicationMode.FULL,
            )
        )
