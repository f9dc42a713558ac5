"""The operations of this workstation: found by their id, ended in time, forgotten in the end."""

from cardd.clock import Clock
from cardd.errors import Code, Refused
from cardd.presence.model import AuthenticationRequest, EnrolmentRequest, Problem
from cardd.presence.operations import Operation, Result, State
from cardd.presence.queue import Queue
from cardd.presence.timers import Timers

KEPT_S = 30.0  # how long an operation can be read after its end or its last poll
GRACE_S = 10.0  # how much longer than its time-out one may live whose card is being worked on
MOST_PER_OWNER = 64


class Operations:
    """The operations that can be read. Every call on the event loop's thread."""

    def __init__(self, clock: Clock, timers: Timers, queue: Queue) -> None:
        self._clock = clock
        self._timers = timers
        self._queue = queue
        self._known: dict[str, Operation] = {}

    def open(self, owner: str, request: AuthenticationRequest | EnrolmentRequest) -> Operation:
        """Start an operation: it waits for a card, can be found, and ends at its time-out.

        Raises Refused: `card_busy` where another one waits for the same reader, `rate_limited`
        where its owner has too many.
        """
        if sum(known.owner == owner for known in self._known.values()) >= MOST_PER_OWNER:
            raise Refused(
                Code.RATE_LIMITED,
                f"this client has {MOST_PER_OWNER} operations that are kept for {KEPT_S:.0f} s "
                "after their end; wait before you start another",
                retry_after=KEPT_S,
            )
        operation = Operation(owner, request, self._clock.now())
        self._queue.add(operation)
        self._known[operation.id] = operation
        self._timers.set(
            (operation.id, "timeout"), operation.expires_at, lambda: self._expire(operation)
        )
        return operation

    def find(self, operation_id: str) -> Operation | None:
        """Find one, and keep it readable for 30 s more where it has ended."""
        operation = self._known.get(operation_id)
        if operation is not None and operation.ended:
            self._forget_later(operation)
        return operation

    def succeed(self, operation: Operation, result: Result) -> None:
        """End it with a result; one that has ended keeps the end it had."""
        self._end(operation, State.SUCCEEDED, result=result)

    def fail(self, operation: Operation, problem: Problem) -> None:
        """End it with a problem; one that has ended keeps the end it had."""
        self._end(operation, State.FAILED, problem=problem)

    def cancel(self, operation: Operation) -> None:
        """End it because its owner, or the daemon's end, wants so."""
        self._end(operation, State.CANCELLED)

    def cancel_all(self) -> None:
        """End those that have not ended."""
        for operation in tuple(self._known.values()):
            self.cancel(operation)

    def _end(
        self,
        operation: Operation,
        final: State,
        *,
        result: Result | None = None,
        problem: Problem | None = None,
    ) -> None:
        if operation.ended:
            return
        self._queue.drop(operation)
        operation.end(final, result=result, problem=problem)
        self._timers.clear((operation.id, "timeout"))
        self._forget_later(operation)

    def _expire(self, operation: Operation) -> None:
        """End it, unless its card is being worked on and may still bring it to a good end."""
        latest = operation.expires_at + GRACE_S
        waits = operation.state is State.PIN_REQUIRED and not operation.verifying
        idle = waits or self._queue.withdraw(operation)
        if idle or self._clock.now() >= latest:
            lived = operation.request.timeout_s
            self.fail(operation, Problem(Code.TIMEOUT, f"nothing came of it within {lived:g} s"))
        elif not operation.ended:
            self._timers.set((operation.id, "timeout"), latest, lambda: self._expire(operation))

    def _forget_later(self, operation: Operation) -> None:
        def forget() -> None:
            self._known.pop(operation.id, None)

        self._timers.set((operation.id, "forget"), self._clock.now() + KEPT_S, forget)
