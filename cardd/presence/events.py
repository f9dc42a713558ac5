"""What happened here, numbered, kept for a while, and told to everyone who listens."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from cardd.clock import Clock
from cardd.presence.model import Event

_LEVELS = {"enrolment.progress": logging.DEBUG, "service.degraded": logging.WARNING}

_log = structlog.get_logger(__name__)

Snapshot = Callable[[], tuple[dict[str, Any], dict[str, Any]]]
"""Returns the data and the identity of a `snapshot` event."""


class Subscription(AsyncIterator[Event]):
    """An async iterator of events; it ends after `lagged`, after `close`, and at shutdown."""

    def __init__(self, first: list[Event], backlog: int, gone: Callable[["Subscription"], None]):
        self._waiting = deque(first)
        self._limit = backlog + len(first)
        self._gone = gone
        self._closed = False
        self._arrived = asyncio.Event()

    def close(self) -> None:
        """Stop listening; the iteration ends at once."""
        self._waiting.clear()
        self.finish()

    def finish(self) -> None:
        """Take nothing more; the iteration ends after what is still held."""
        self._closed = True
        self._arrived.set()
        self._gone(self)

    def offer(self, event: Event) -> bool:
        """Hold an event for the listener; False where it holds as many as it may."""
        if len(self._waiting) >= self._limit:
            return False
        self._waiting.append(event)
        self._arrived.set()
        return True

    def cut(self, last: Callable[[Event], Event]) -> None:
        """End with one more event, which `last` makes of the newest one held."""
        self._waiting.append(last(self._waiting[-1]))
        self.finish()

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


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
        self._clock = clock
        self._snapshot = snapshot
        self._epoch = epoch or secrets.token_hex(6)
        self._sequence = 0
        self._kept: deque[Event] = deque(maxlen=kept)
        self._backlog = backlog
        self._subscriptions: set[Subscription] = set()
        self._closed = False

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
        self._sequence += 1
        event = Event(self._id(), type, self._clock.now(), reader, card, data or {}, identity or {})
        self._kept.append(event)
        for subscription in tuple(self._subscriptions):
            if not subscription.offer(event):
                subscription.cut(self._lagged)
        # After the listeners, who wait; and without the identity, which is not for the journal.
        _log.log(_LEVELS.get(type, logging.INFO), type, reader=reader, data=event.data)
        return event

    def subscribe(self, last_event_id: str | None = None) -> Subscription:
        """Listen: what followed `last_event_id` where that is kept, else a `snapshot` first.

        The snapshot has `data.reason` "gap" where an id was given and is not known. Its id is that
        of the last event before it.
        """
        first = None if last_event_id is None else self._since(last_event_id)
        if first is None:
            first = [self._snapshot_event(gap=last_event_id is not None)]
        subscription = Subscription(first, self._backlog, self._subscriptions.discard)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions.add(subscription)
        return subscription

    def close_all(self) -> None:
        """End every subscription after what it still holds; later ones end at once."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.finish()

    def _id(self) -> str:
        return f"{self._epoch}.{self._sequence}"

    def _since(self, last_event_id: str) -> list[Event] | None:
        """Return the events after an id, or None where it is not of this run or not kept."""
        epoch, _, number = last_event_id.rpartition(".")
        if epoch != self._epoch or not (number.isascii() and number.isdigit()) or len(number) > 15:
            return None
        missed = self._sequence - int(number)
        if not 0 <= missed <= len(self._kept):
            return None
        return list(self._kept)[len(self._kept) - missed :]

    def _snapshot_event(self, *, gap: bool) -> Event:
        data, identity = self._snapshot()
        if gap:
            data = {"reason": "gap", **data}
        return Event(self._id(), "snapshot", self._clock.now(), None, None, data, identity)

    def _lagged(self, newest: Event) -> Event:
        """Say that the listener was too slow; its id lets it go on from what it was given."""
        return Event(newest.id, "lagged", self._clock.now(), None, None, {}, {})
