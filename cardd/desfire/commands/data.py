"""Commands on the content of data files."""

from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.fields import encode_file_number, encode_length
from cardd.iso7816.exchange import Exchange


class DataCommands(Channel):
    """Read and write standard and backup data files.

    `mode` is the file's communication mode where the session's key has the right, else PLAIN; a
    mode that protects needs a session. What is written to a backup file waits for
    `commit_transaction`.
    """

    def read_data(
        self, number: int, offset: int, length: int, mode: CommunicationMode
    ) -> Exchange[bytes]:
        """ReadData: return exactly `length` bytes, 1 or more."""
        if length < 1:
            raise ValueError("read at least one byte")
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
        """WriteData: 1 byte or more."""
        if not data:
            raise ValueError("write at least one byte")
        header = encode_file_number(number) + encode_length(offset) + encode_length(len(data))
        yield from self.perform(Command(Ins.WRITE_DATA, header, data, mode))
