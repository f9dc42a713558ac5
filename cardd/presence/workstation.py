"""The workstation: readers, cards, operations and presences behind one face."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cardd.clock import Clock
from cardd.config import PresenceSettings
from cardd.kms.messages import AssertionRequest
from cardd.kms.ports import KeyService
from cardd.presence.events import EventLog
from cardd.presence.model import (
    AuthenticationRequest,
    EnrolmentRequest,
    PresenceView,
    ReaderView,
    WorkstationStatus,
)
from cardd.presence.operations import Operation
from cardd.readers.ports import ReaderSource

Result = TypeVar("Result")


class Workstation:
    """What the daemon knows and does. Every call on the event loop's thread.

    `debounce_ms` is how long after its removal a card is ignored on the same reader. Time is the
    clock's; `tick` acts on what is due and calls itself in service.
    """

    events: EventLog

    def __init__(
        self,
        *,
        service: KeyService,
        sources: Sequence[ReaderSource],
        settings: PresenceSettings,
        debounce_ms: int,
        clock: Clock,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Watch the readers and the KMS. Raises nothing: what is wrong is a health state."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End everything within 5 s, even with a stuck card; streams and operations end."""
        raise NotImplementedError

    def tick(self) -> None:
        """Act on every deadline that the clock has passed."""
        raise NotImplementedError

    def readers(self) -> tuple[ReaderView, ...]:
        """Return the readers, by name."""
        raise NotImplementedError

    def presences(self) -> tuple[PresenceView, ...]:
        """Return who is at this workstation."""
        raise NotImplementedError

    def presence(self, sid: str) -> PresenceView | None:
        """Find an open presence."""
        raise NotImplementedError

    def status(self) -> WorkstationStatus:
        """Return the health, as last known; nothing is asked of anybody."""
        raise NotImplementedError

    def authenticate(self, owner: str, request: AuthenticationRequest) -> Operation:
        """Wait for the next card shown on the request's reader, or on any.

        Raises Refused: `card_busy` where another operation waits for the same reader,
        `invalid_request` without the method badge, `not_found` for an unknown reader.
        """
        raise NotImplementedError

    def enrol(self, owner: str, request: EnrolmentRequest) -> Operation:
        """Prepare or encode the card that is in the reader, else the next one shown.

        Raises Refused as `authenticate`, and `conflict` where no reader is named and several hold
        a card.
        """
        raise NotImplementedError

    def operation(self, operation_id: str) -> Operation | None:
        """Find an operation. It is forgotten 30 s after its end or after the last such call."""
        raise NotImplementedError

    def cancel(self, operation_id: str) -> None:
        """Cancel an operation. An ended or unknown one is no error."""
        raise NotImplementedError

    async def assertions(self, sid: str, requests: tuple[AssertionRequest, ...]) -> tuple[str, ...]:
        """Have assertions signed on an open presence, in the order of the requests.

        Raises Refused (`not_found` where this workstation has no such presence) or KmsUnavailable.
        """
        raise NotImplementedError

    async def end_presence(self, sid: str, reason: str = "ended_by_client") -> None:
        """End a presence here and at the KMS; Refused (`not_found`) where there is none."""
        raise NotImplementedError

    def touch(self, sid: str, idle_since: float) -> PresenceView:
        """Take an agent's word that the person was active until `idle_since` (Unix seconds).

        Never shortens what a later card event or report gave; a future time counts as now.
        Raises Refused (`not_found`).
        """
        raise NotImplementedError

    async def run_kms(self, call: Callable[[], Result]) -> Result:
        """Run a blocking KeyService call in the KMS worker; return or raise what it does."""
        raise NotImplementedError
