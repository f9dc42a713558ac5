"""What happened here, numbered, kept for a while, and told to everyone who listens."""

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from cardd.clock import Clock
from cardd.presence.model import Event

Snapshot = Callable[[], tuple[dict[str, Any], dict[str, Any]]]
"""Returns the data and the identity of a `snapshot` event."""


class Subscription(AsyncIterator[Event]):
    """An async iterator of events; it ends after `lagged`, after `close`, and at shutdown."""

    def close(self) -> None:
        """Stop listening; the iteration ends."""
        raise NotImplementedError

    async def __anext__(self) -> Event:
        raise NotImplementedError


class EventLog:
    """Publishes events and replays recent ones. All calls on the event loop's thread.

    An event's id is `E.N`: the epoch of this run and a sequence number.
    """

    def __init__(
        self,
        clock: Clock,
        snapshot: Snapshot,
        *,
        epoch: str | None = None,
        kept: int = 1024,
        backlog: int = 256,
    ) -> None:
        raise NotImplementedError

    def publish(
        self,
        type: str,  # noqa: A002 - the field's name in every event
        *,
        reader: str | None = None,
        card: str | None = None,
        data: dict[str, Any] | None = None,
        identity: dict[str, Any] | None = None,
    ) -> Event:
        """Give an event its id and time, keep it, and hand it to every subscription."""
        raise NotImplementedError

    def subscribe(self, last_event_id: str | None = None) -> Subscription:
        """Listen: what followed `last_event_id` where that is kept, else a `snapshot` first.

        The snapshot has `data.reason` "gap" where an id was given and is not known. Its id is that
        of the last event before it.
        """
        raise NotImplementedError

    def close_all(self) -> None:
        """End every subscription after what it still holds; later ones end at once."""
        raise NotImplementedError
