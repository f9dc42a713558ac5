"""From the states that PC/SC reports to events: pure, so that every sequence can be tried.

A card is there or not; whether somebody uses it or it is powered is nobody's event here (pcscd
powers an unused card off after 5 s). The counter in the upper half of a state betrays a card that
was exchanged between two looks.
"""

from dataclasses import dataclass
from enum import Enum

from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    ReaderAdded,
    ReaderEvent,
    ReaderFault,
    ReaderRecovered,
    ReaderRemoved,
)
from cardd.readers.resource_manager import (
    STATE_CHANGED,
    STATE_EMPTY,
    STATE_MUTE,
    STATE_PRESENT,
    STATE_UNAVAILABLE,
    STATE_UNAWARE,
    ReaderState,
)


class Slot(Enum):
    """What a reader's slot holds."""

    UNSEEN = "unseen"
    EMPTY = "empty"
    CARD = "card"
    MUTE = "mute"
    UNAVAILABLE = "unavailable"


_WHY = {
    Slot.MUTE: "the card does not answer to reset: take it out and show it again",
    Slot.UNAVAILABLE: "the reader does not answer: unplug it and plug it in again",
}


@dataclass(slots=True)
class _Seen:
    slot: Slot = Slot.UNSEEN
    state: int = STATE_UNAWARE

    @property
    def count(self) -> int:
        return self.state >> 16


class CardStates:
    """What is known of the readers of one source."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def expected(self) -> list[ReaderState]:
        """Return the states to wait on: what was last seen of each reader."""
        return [ReaderState(reader, seen.state) for reader, seen in self._seen.items()]

    def take_list(self, readers: tuple[str, ...]) -> list[ReaderEvent]:
        """Take the present list of readers, and return what changed."""
        events: list[ReaderEvent] = []
        for reader in [known for known in self._seen if known not in readers]:
            events += self._forget(reader)
        for reader in readers:
            if reader not in self._seen:
                self._seen[reader] = _Seen()
                events.append(ReaderAdded(reader))
        return events

    def observe(self, new: ReaderState) -> list[ReaderEvent]:
        """Take the present state of a reader, and return what changed. Unknown ones are ignored."""
        seen = self._seen.get(new.reader)
        if seen is None:
            return []
        slot = _slot(new, seen.slot)
        before = _Seen(seen.slot, seen.state)
        seen.slot, seen.state = slot, new.state & ~STATE_CHANGED
        if slot is before.slot and (slot is not Slot.CARD or seen.count == before.count):
            return []
        return _leaving(new.reader, before.slot, slot) + _entering(new, before.slot, slot)

    def lose(self) -> list[ReaderEvent]:
        """Count every card as removed and every reader as gone; return the events that say so."""
        return [event for reader in list(self._seen) for event in self._forget(reader)]

    def _forget(self, reader: str) -> list[ReaderEvent]:
        slot = self._seen.pop(reader).slot
        gone: list[ReaderEvent] = [CardWithdrawn(reader)] if slot is Slot.CARD else []
        return [*gone, ReaderRemoved(reader)]


def _slot(new: ReaderState, before: Slot) -> Slot:
    if new.state & STATE_UNAVAILABLE:
        return Slot.UNAVAILABLE
    if new.state & STATE_PRESENT:
        return Slot.MUTE if new.state & STATE_MUTE or not new.atr else Slot.CARD
    return Slot.EMPTY if new.state & STATE_EMPTY else before


def _leaving(reader: str, before: Slot, after: Slot) -> list[ReaderEvent]:
    if before is Slot.CARD:
        return [CardWithdrawn(reader)]
    if before in _WHY and after not in _WHY:
        return [ReaderRecovered(reader)]
    return []


def _entering(new: ReaderState, before: Slot, slot: Slot) -> list[ReaderEvent]:
    if slot is Slot.CARD:
        return [CardInserted(new.reader, new.atr, shown=before is not Slot.UNSEEN)]
    if slot in _WHY:
        return [ReaderFault(new.reader, _WHY[slot])]
    return []
