"""Who is at this workstation: one person per reader, until one of the ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from cardd.clock import Clock
from cardd.config import PresenceSettings
from cardd.errors import Code, Refused
from cardd.kms.messages import Authenticated
from cardd.presence.events import EventLog
from cardd.presence.model import CardSummary, PresenceView
from cardd.presence.slots import Visit
from cardd.presence.timers import Timers

MOST_ENDED_EARLY = 256

EndAtKms = Callable[[str, str], None]
"""Tells the KMS that a presence (sid) ended, and why. Returns at once."""


@dataclass(slots=True)
class _Presence:
    outcome: Authenticated
    sid: str
    reader: str
    card: str
    expires_at: float
    active_at: float
    ends_with_card: bool


def identity_of(outcome: Authenticated) -> dict[str, Any]:
    """Return who was authenticated, as events carry it."""
    return {
        "holder": msgspec.to_builtins(outcome.holder),
        "sid": outcome.sid,
        "acr": str(outcome.acr),
    }


class Presences:
    """The open presences. Every call on the event loop's thread."""

    def __init__(
        self,
        settings: PresenceSettings,
        clock: Clock,
        timers: Timers,
        events: EventLog,
        end_at_kms: EndAtKms,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._timers = timers
        self._events = events
        self._end_at_kms = end_at_kms
        self._open: dict[str, _Presence] = {}
        self._at: dict[str, _Presence] = {}
        self._ended_early: dict[str, None] = {}

    def started(
        self, visit: Visit, outcome: Authenticated, *, ends_with_card: bool = False
    ) -> None:
        """Open what a card gave; it takes the place of what was open at the reader.

        `ends_with_card` is for one that stays in the reader while its holder is there.
        """
        sid = outcome.sid
        if sid is None or sid in self._ended_early:
            return  # ended by the KMS before its report came through
        now = self._clock.now()
        limit = now + self._settings.maximum_s
        if outcome.expires_at is not None:
            limit = min(limit, outcome.expires_at)
        new = _Presence(outcome, sid, visit.reader, visit.handle, limit, now, ends_with_card)
        old = self._at.get(visit.reader)
        if old is not None and old.sid != sid:
            self._replace(old, new)
        self._open[sid] = self._at[visit.reader] = new
        self._watch(new)
        if old is None or old.outcome.holder.id == outcome.holder.id:
            self._started_event(new, old)
        else:
            change = {"from": self._identity(old), "to": self._identity(new)}
            self._publish("presence.switched", new, {}, change)

    def end(self, sid: str, reason: str) -> None:
        """End a presence here and at the KMS; raise Refused (`not_found`) where there is none."""
        self._end(self._find(sid), reason)
        self._end_at_kms(sid, reason)

    def ended_by_kms(self, sid: str, reason: str) -> None:
        """Hear that the KMS ended a presence, known here or not yet."""
        presence = self._open.get(sid)
        if presence is not None:
            self._end(presence, reason)
            return
        self._ended_early[sid] = None
        while len(self._ended_early) > MOST_ENDED_EARLY:
            del self._ended_early[next(iter(self._ended_early))]

    def end_all(self, reason: str) -> None:
        """End every presence."""
        for sid in tuple(self._open):
            self.end(sid, reason)

    def card_moved(self, visit: Visit) -> None:
        """Take a card that left: its holder was active, or is gone where the card had to stay."""
        presence = self._at.get(visit.reader)
        if presence is None or presence.card != visit.handle:
            return
        if presence.ends_with_card:
            self.end(presence.sid, "card_removed")
        else:
            presence.active_at = self._clock.now()
            self._watch(presence)

    def touch(self, sid: str, idle_since: float) -> PresenceView:
        """Take it that the person was active until `idle_since`; Refused (`not_found`)."""
        presence = self._find(sid)
        active_at = min(idle_since, self._clock.now())
        presence.active_at = max(presence.active_at, active_at)
        self._watch(presence)
        return self._view(presence)

    def views(self) -> tuple[PresenceView, ...]:
        """Return the open presences, by reader."""
        return tuple(self._view(presence) for _, presence in sorted(self._at.items()))

    def view(self, sid: str) -> PresenceView | None:
        """Find an open presence."""
        presence = self._open.get(sid)
        return None if presence is None else self._view(presence)

    def at(self, reader: str) -> PresenceView | None:
        """Find the presence at a reader."""
        presence = self._at.get(reader)
        return None if presence is None else self._view(presence)

    def _find(self, sid: str) -> _Presence:
        presence = self._open.get(sid)
        if presence is None:
            raise Refused(Code.NOT_FOUND, "no such presence is open at this workstation")
        return presence

    def _replace(self, old: _Presence, new: _Presence) -> None:
        """End what was open at the reader, at the KMS too; the event that follows names it."""
        same = old.outcome.holder.id == new.outcome.holder.id
        self._forget(old)
        self._end_at_kms(old.sid, "replaced" if same else "switched")

    def _end(self, presence: _Presence, reason: str) -> None:
        self._forget(presence)
        self._publish("presence.ended", presence, {"reason": reason}, self._identity(presence))

    def _forget(self, presence: _Presence) -> None:
        del self._open[presence.sid]
        del self._at[presence.reader]
        self._timers.clear(("presence", presence.sid))

    def _watch(self, presence: _Presence) -> None:
        """Look at a presence again when the first of its limits is reached."""
        idle_until = presence.active_at + self._settings.idle_s
        reason = "idle" if idle_until < presence.expires_at else "maximum"
        self._timers.set(
            ("presence", presence.sid),
            min(idle_until, presence.expires_at),
            lambda: self.end(presence.sid, reason),
        )

    def _started_event(self, new: _Presence, old: _Presence | None) -> None:
        identity = self._identity(new)
        if old is not None:
            identity["replaces"] = old.sid
        self._publish("presence.started", new, {}, identity)

    def _publish(
        self, kind: str, presence: _Presence, data: dict[str, Any], identity: dict[str, Any]
    ) -> None:
        self._events.publish(
            kind, reader=presence.reader, card=presence.card, data=data, identity=identity
        )

    def _identity(self, presence: _Presence) -> dict[str, Any]:
        return identity_of(presence.outcome)

    def _view(self, presence: _Presence) -> PresenceView:
        outcome = presence.outcome
        return PresenceView(
            sid=presence.sid,
            holder=outcome.holder,
            card=CardSummary.of(outcome),
            reader=presence.reader,
            acr=outcome.acr,
            amr=outcome.amr,
            auth_time=outcome.auth_time,
            expires_at=int(presence.expires_at),
            idle_until=presence.active_at + self._settings.idle_s,
        )
