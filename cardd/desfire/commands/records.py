"""Commands on record files, linear and cyclic."""

from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.fields import MAX_OFFSET, encode_file_number, encode_length
from cardd.iso7816.exchange import Exchange


class RecordCommands(Channel):
    """Read, write and clear records.

    `mode` is as for data files. What is written or cleared waits for `commit_transaction`; within
    a transaction all writes go to one new record. Records are numbered from the newest, 0.
    """

    def read_records(
        self, number: int, first: int, count: int, record_bytes: int, mode: CommunicationMode
    ) -> Exchange[tuple[bytes, ...]]:
        """ReadRecords: return `count` records, the oldest first, the last of them number `first`.

        `record_bytes` is the file's (RecordFileSettings), so that the answer's length can be
        checked; `count` is 1 or more.
        """
        if count < 1 or not 1 <= record_bytes * count <= MAX_OFFSET:
            raise ValueError("read at least one record, and 16,777,215 bytes at most")
        length = count * record_bytes
        command = Command(
            Ins.READ_RECORDS,
            encode_file_number(number) + encode_length(first) + encode_length(count),
            mode=mode,
            answer_bytes=(length, length),
        )
        data = yield from self.perform(command)
        return tuple(data[at : at + record_bytes] for at in range(0, length, record_bytes))

    def write_record(
        self, number: int, offset: int, data: bytes, mode: CommunicationMode
    ) -> Exchange[None]:
        """WriteRecord: 1 byte or more, `offset` bytes into the transaction's new record."""
        return self._write_into_record(
            Ins.WRITE_RECORD, encode_file_number(number), offset, data, mode
        )

    def update_record(
        self, number: int, record: int, offset: int, data: bytes, mode: CommunicationMode
    ) -> Exchange[None]:
        """UpdateRecord: 1 byte or more, `offset` bytes into a record that is there. EV2 and later.

        Source: proxmark3 (not confirmed on a card).
        """
        header = encode_file_number(number) + encode_length(record)
        return self._write_into_record(Ins.UPDATE_RECORD, header, offset, data, mode)

    def clear_record_file(self, number: int) -> Exchange[None]:
        """ClearRecordFile: remove every record.

        Until the transaction ends the file takes no record: writing one aborts the transaction
        (libfreefare's tests on cards).
        """
        yield from self.perform(Command(Ins.CLEAR_RECORD_FILE, encode_file_number(number)))

    def _write_into_record(
        self, ins: Ins, header: bytes, offset: int, data: bytes, mode: CommunicationMode
    ) -> Exchange[None]:
        if not data:
            raise ValueError("write at least one byte")
        header += encode_length(offset) + encode_length(len(data))
        yield from self.perform(Command(ins, header, data, mode))
