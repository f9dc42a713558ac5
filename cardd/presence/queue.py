"""Which waiting operation gets a card: decided once, in whichever thread has the card."""

import threading
from dataclasses import dataclass

from cardd.errors import Code, Refused
from cardd.presence.model import AuthenticationRequest, Method
from cardd.presence.operations import Operation


@dataclass(slots=True, eq=False)
class _Entry:
    """An operation in the queue. `uid` is the badge that an interrupted enrolment waits for."""

    operation: Operation
    reader: str | None
    uid: bytes | None = None
    at: str | None = None  # the reader whose worker has claimed it
    method: Method | None = None  # for which card it did

    def competes_for(self, reader: str | None) -> bool:
        """Tell whether another operation on `reader` (None: any) would want the same card."""
        if self.at is not None and self.operation.kind == "authentication":
            # It has its card and never waits for another; a CPS it may hold for a while.
            return self.holds_card(reader)
        mine = self.at or self.reader
        return mine is None or reader is None or mine == reader

    def holds_card(self, reader: str | None) -> bool:
        """Tell whether this operation has the CPS on `reader`, which may wait for its PIN."""
        return self.at is not None and self.at == reader and self.method == "cps"

    def takes(self, reader: str, uid: bytes | None, method: Method, *, shown: bool) -> bool:
        """Tell whether it takes the card on `reader`; `uid` None could not be read."""
        if self.at is not None or self.reader not in {None, reader}:
            return False
        request = self.operation.request
        if isinstance(request, AuthenticationRequest):
            return method in request.methods and (shown or method == "cps")
        return uid is not None and self.uid in {None, uid}


class Queue:
    """The operations that have not ended, in the order in which they came. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []

    def add(self, operation: Operation) -> None:
        """Let it wait for a card; Refused (`card_busy`) where another waits for the same reader."""
        reader = operation.request.reader
        with self._lock:
            if any(entry.competes_for(reader) for entry in self._entries):
                where = "any reader" if reader is None else f"the reader {reader}"
                raise Refused(
                    Code.CARD_BUSY,
                    f"another operation waits for a card on {where}; try again when it has ended",
                )
            self._entries.append(_Entry(operation, reader))

    def claim(
        self, reader: str, uid: bytes | None, *, shown: bool, method: Method = "badge"
    ) -> Operation | None:
        """Give the card on `reader` to the operation that takes it, which then no longer waits.

        `shown` is False for a card that lay there before the operation asked: authentications
        take no such badge. They take such a CPS, whose PIN shows that its holder is there.
        """
        with self._lock:
            if any(entry.holds_card(reader) for entry in self._entries):
                return None
            for entry in self._entries:
                if entry.takes(reader, uid, method, shown=shown):
                    entry.at, entry.method = reader, method
                    entry.operation.claimed = True
                    return entry.operation
        return None

    def release(self, operation: Operation, uid: bytes) -> bool:
        """Let a claimed enrolment wait again, for the same badge; False where it was withdrawn."""
        with self._lock:
            for entry in self._entries:
                if entry.operation is operation:
                    entry.at, entry.uid = None, uid
                    operation.claimed = False
                    return True
        return False

    def withdraw(self, operation: Operation) -> bool:
        """Take an operation out unless a worker has it; tell whether it was still waiting."""
        return self._remove(operation, waiting_only=True)

    def drop(self, operation: Operation) -> None:
        """Take an operation out, claimed or not; none is no error."""
        self._remove(operation, waiting_only=False)

    def _remove(self, operation: Operation, *, waiting_only: bool) -> bool:
        with self._lock:
            for entry in self._entries:
                if entry.operation is operation and not (waiting_only and entry.at):
                    self._entries.remove(entry)
                    return True
        return False
