"""Commands on the content of data files."""

from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.files import encode_file_number, encode_length
from cardd.iso7816.exchange import Exchange


class DataCommands(Channel):
    """Read and write data files."""

    def read_data(
        self, number: int, offset: int, length: int, mode: CommunicationMode
    ) -> Exchange[bytes]:
        """ReadData: return exactly `length` bytes, 1 or more, in the file's communication mode."""
        if length < 1:
            raise ValueError("read at least one byte")
        self._check_mode(mode)
        command = Command(
            Ins.READ_DATA,
            encode_file_number(number) + encode_length(offset) + encode_length(length),
            mode=mode,
            answer_bytes=(length, length),
        )
        return (yield from self.perform(command))

    def write_data(
        self, number: int, offset: int, data: bytes, mode: CommunicationMode
    ) -> Exchange[None]:
        """WriteData: 1 byte or more, in the file's communication mode."""
        if not data:
            raise ValueError("write at least one byte")
        self._check_mode(mode)
        header = encode_file_number(number) + encode_length(offset) + encode_length(len(data))
        yield from self.perform(Command(Ins.WRITE_DATA, header, data, mode))

    def _check_mode(self, mode: CommunicationMode) -> None:
        if mode is not CommunicationMode.PLAIN:
            self.current_session()
