"""Commands on files as a whole."""

from cardd.desfire import files
from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, Ins
from cardd.desfire.files import FileSettings, encode_file_number
from cardd.iso7816.exchange import Exchange


class FileCommands(Channel):
    """Create, delete and list files, and tell their settings."""

    def create_std_data_file(self, number: int, settings: FileSettings) -> Exchange[None]:
        """CreateStdDataFile, without ISO identifier; it is filled with zeros."""
        header = encode_file_number(number) + settings.encode()
        yield from self.perform(Command(Ins.CREATE_STD_DATA_FILE, header))

    def delete_file(self, number: int) -> Exchange[None]:
        """DeleteFile."""
        yield from self.perform(Command(Ins.DELETE_FILE, encode_file_number(number)))

    def get_file_ids(self) -> Exchange[tuple[int, ...]]:
        """GetFileIDs, in the card's order."""
        command = Command(Ins.GET_FILE_IDS, answer_bytes=(0, files.MAX_FILES))
        return files.parse_file_numbers((yield from self.perform(command)))

    def get_file_settings(self, number: int) -> Exchange[FileSettings]:
        """GetFileSettings of a standard data file; CardProtocolError for a file of another type."""
        header = encode_file_number(number)
        command = Command(Ins.GET_FILE_SETTINGS, header, answer_bytes=(1, 64))
        return FileSettings.parse((yield from self.perform(command)))
