"""The readers, cards and sources as the event loop knows them, and the events about them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cardd.presence.events import EventLog
from cardd.presence.model import CardType, CardView, PresenceView, ReaderView, SourceStatus
from cardd.presence.slots import Visit
from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    ReaderAdded,
    ReaderEvent,
    ReaderFault,
    ReaderRecovered,
    ReaderRemoved,
    SourceLost,
    SourceRestored,
)


@dataclass(slots=True)
class _Reader:
    name: str
    source: str
    faults: dict[str, str] = field(default_factory=dict)  # what is wrong, by whose account
    visit: Visit | None = None
    type: CardType = "unknown"

    @property
    def why(self) -> str | None:
        """Why it cannot be used, or None."""
        return next(iter(self.faults.values()), None)


class Board:
    """Keeps what the sources report. Every call on the event loop's thread."""

    def __init__(self, events: EventLog, sources: tuple[str, ...]) -> None:
        self._events = events
        self._readers: dict[str, _Reader] = {}
        self._sources: dict[str, str | None] = dict.fromkeys(sources)

    def noted(self, source: str, event: ReaderEvent, visit: Visit | None) -> None:
        """Take a report of a source, with the visit that it begins or ends."""
        match event:
            case SourceLost(_, why):
                self._source_is(source, why)
            case SourceRestored():
                self._source_is(source, None)
            case ReaderAdded(name):
                self._readers[name] = _Reader(name, source)
                self._events.publish("reader.added", reader=name, data={"source": source})
            case _:
                reader = self._readers.get(event.reader)
                if reader is not None and reader.source == source:
                    self._reader_noted(reader, event, visit)

    def _reader_noted(self, reader: _Reader, event: ReaderEvent, visit: Visit | None) -> None:
        match event:
            case ReaderRemoved():
                self._card_is(reader, None)
                del self._readers[reader.name]
                self._events.publish(
                    "reader.removed", reader=reader.name, data={"source": reader.source}
                )
            case ReaderFault(_, why):
                self._fault(reader, "source", why)
            case ReaderRecovered():
                self._fault(reader, "source", None)
            case CardInserted():
                self._fault(reader, "source", None)
                self._card_is(reader, visit)
            case CardWithdrawn():
                self._fault(reader, "source", None)
                self._card_is(reader, None)

    def knows(self, reader: str) -> bool:
        """Tell whether a reader is there."""
        return reader in self._readers

    def identified(
        self, visit: Visit, identity: dict[str, Any], facts: dict[str, Any] | None = None
    ) -> None:
        """Say that a card is a badge, or what `facts` says, and whose it is."""
        data = facts or {"type": "badge"}
        reader = self._readers.get(visit.reader)
        if reader is not None and reader.visit is visit:
            reader.type = data["type"]
        self._events.publish(
            "card.identified",
            reader=visit.reader,
            card=visit.handle,
            data=data,
            identity=identity,
        )

    def stuck(self, name: str, why: str | None) -> None:
        """Say that a reader does not answer, or with None that it does again."""
        reader = self._readers.get(name)
        if reader is not None:
            self._fault(reader, "worker", why)

    def views(self, presence_at: Callable[[str], PresenceView | None]) -> tuple[ReaderView, ...]:
        """Return the readers by name, each with who is present at it."""
        return tuple(
            _view(reader, presence_at(name)) for name, reader in sorted(self._readers.items())
        )

    def sources(self) -> tuple[SourceStatus, ...]:
        """Return the sources and their health."""
        return tuple(
            SourceStatus(name, "ok" if why is None else "lost", why)
            for name, why in self._sources.items()
        )

    def _source_is(self, source: str, why: str | None) -> None:
        if self._sources.get(source) != why:
            self._sources[source] = why
            self._health_event(source, why, None)

    def _fault(self, reader: _Reader, by: str, why: str | None) -> None:
        before = reader.why
        if why is None:
            reader.faults.pop(by, None)
        else:
            reader.faults[by] = why
        if reader.why != before:
            self._health_event(reader.source, reader.why, reader.name)

    def _card_is(self, reader: _Reader, visit: Visit | None) -> None:
        """Put a card in place of what was there, and say what changed."""
        if reader.visit is not None:
            self._events.publish("card.removed", reader=reader.name, card=reader.visit.handle)
        reader.visit = visit
        reader.type = "unknown"
        if visit is not None:
            self._events.publish(
                "card.inserted",
                reader=reader.name,
                card=visit.handle,
                data={"shown": visit.shown},
            )

    def _health_event(self, source: str, why: str | None, reader: str | None) -> None:
        kind = "service.restored" if why is None else "service.degraded"
        self._events.publish(kind, reader=reader, data={"source": source, "why": why})


def _view(reader: _Reader, presence: PresenceView | None) -> ReaderView:
    visit = reader.visit
    return ReaderView(
        name=reader.name,
        source=reader.source,
        health="ok" if reader.why is None else "fault",
        why=reader.why,
        card=None if visit is None else CardView(visit.handle, reader.type, visit.inserted_at),
        holder=presence.holder if presence else None,
        sid=presence.sid if presence else None,
    )
