"""What a transaction will change, file by file, once CommitTransaction comes.

An open transaction is a mapping from file number to one of these values. It lives with the
activation, so power loss drops it; the chip changes in one assignment, so no tear leaves a half.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from simulators.desfire.files import DataFile, File, RecordFile, ValueFile


class Pending(Protocol):
    """A change to one file that waits for its commit."""

    def committed(self, file: File) -> File:
        """Return the file as the commit leaves it."""


Transaction = Mapping[int, Pending]


def committed(files: Mapping[int, File], transaction: Transaction) -> dict[int, File]:
    """Return all files as the commit leaves them."""
    changed = {number: entry.committed(files[number]) for number, entry in transaction.items()}
    return {**files, **changed}


@dataclass(frozen=True, slots=True)
class PendingContent:
    """The new content of a backup data file."""

    content: bytes

    def committed(self, file: File) -> File:
        """Return the file with its new content."""
        assert isinstance(file, DataFile)
        return replace(file, content=self.content)


@dataclass(frozen=True, slots=True)
class PendingValue:
    """The new value of a value file.

    `debited` sums up the debits, None as long as there is none. `refunded` says that LimitedCredit
    has been used: it can be once, whatever it gave back.
    """

    value: int
    debited: int | None = None
    refunded: bool = False

    def committed(self, file: File) -> File:
        """Return the file with its new value and what may be refunded of it."""
        assert isinstance(file, ValueFile)
        refundable = 0 if self.refunded else file.refundable
        if self.debited is not None:
            refundable = self.debited
        return replace(file, value=self.value, refundable=refundable)


@dataclass(frozen=True, slots=True)
class PendingRecord:
    """A record of a record file: a new one, or that of a number, counted from the newest."""

    record: bytes
    number: int | None = None

    def committed(self, file: File) -> File:
        """Return the file with the record; a full cyclic file loses its oldest."""
        assert isinstance(file, RecordFile)
        if self.number is None:
            records = (*file.records, self.record)[-file.capacity :]
        else:
            place = len(file.records) - 1 - self.number
            records = (*file.records[:place], self.record, *file.records[place + 1 :])
        return replace(file, records=records)


@dataclass(frozen=True, slots=True)
class PendingClear:
    """A record file that will be empty."""

    def committed(self, file: File) -> File:
        """Return the file without records."""
        assert isinstance(file, RecordFile)
        return replace(file, records=())
