"""What the daemon answers, as dataclasses. Members that are not known here are ignored.

Times are Unix seconds. `raw` is the answer as it came, for what is not modelled yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Json = Mapping[str, Any]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Holder:
    """A person; the last three are there for administrators alone."""

    id: str
    staff_number: str
    given_name: str | None = None
    family_name: str | None = None
    accounts: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    valid_from: int | None = None
    valid_until: int | None = None
    status: str | None = None

    @classmethod
    def parse(cls, raw: Json) -> "Holder":
        """Read a holder."""
        return cls(
            raw["id"],
            raw["staff_number"],
            raw.get("given_name"),
            raw.get("family_name"),
            dict(raw.get("accounts", {})),
            tuple(raw.get("groups", ())),
            raw.get("valid_from"),
            raw.get("valid_until"),
            raw.get("status"),
        )


@dataclass(frozen=True, slots=True)
class Status:
    """The health of the workstation and what it can offer; `why` is a sentence where it cannot."""

    api_version: str
    daemon_version: str
    badge: bool
    cps: bool
    why: str | None
    issuer: str
    device: str
    raw: Json
    why_cps: str | None = None

    @classmethod
    def parse(cls, raw: Json) -> "Status":
        """Read a status."""
        can, site = raw["can"], raw["site"]
        return cls(
            raw["api"]["version"],
            raw["daemon"]["version"],
            can["badge"],
            can["cps"],
            can.get("why"),
            site["issuer"],
            site["device"],
            raw,
            can.get("why_cps"),
        )


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader; `card` is the opaque handle of the card in it, `holder` and `sid` who is there."""

    name: str
    source: str
    health: str
    why: str | None
    card: str | None
    card_type: str | None
    holder: Holder | None
    sid: str | None

    @classmethod
    def parse(cls, raw: Json) -> "Reader":
        """Read a reader."""
        card = raw.get("card") or {}
        holder = raw.get("holder")
        return cls(
            raw["name"],
            raw["source"],
            raw["health"],
            raw.get("why"),
            card.get("handle"),
            card.get("type"),
            Holder.parse(holder) if holder else None,
            raw.get("sid"),
        )


@dataclass(frozen=True, slots=True)
class CardSummary:
    """Which card proved itself: a badge by its id, a CPS by its certificate's `x5t#S256`."""

    type: str
    badge: str | None
    certificate: str | None = None

    @classmethod
    def parse(cls, raw: Json) -> "CardSummary":
        """Read a card."""
        return cls(raw["type"], raw.get("badge"), raw.get("x5t#S256"))


@dataclass(frozen=True, slots=True)
class Presence:
    """A person at the workstation; who it is, is None for a peer that may only observe."""

    reader: str
    auth_time: int
    expires_at: int
    idle_until: float
    sid: str | None
    holder: Holder | None
    card: CardSummary | None
    acr: str | None
    amr: tuple[str, ...]

    @classmethod
    def parse(cls, raw: Json) -> "Presence":
        """Read a presence."""
        holder, card = raw.get("holder"), raw.get("card")
        return cls(
            raw["reader"],
            raw["auth_time"],
            raw["expires_at"],
            raw["idle_until"],
            raw.get("sid"),
            Holder.parse(holder) if holder else None,
            CardSummary.parse(card) if card else None,
            raw.get("acr"),
            tuple(raw.get("amr", ())),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at the workstation; `id` resumes the stream after it."""

    id: str
    type: str
    time: float
    reader: str | None
    card: str | None
    data: Json

    @classmethod
    def parse(cls, raw: Json) -> "Event":
        """Read an event."""
        return cls(
            raw["id"],
            raw["type"],
            raw["time"],
            raw.get("reader"),
            raw.get("card"),
            raw.get("data", {}),
        )


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge as the registry has it; `uid` is hexadecimal."""

    id: str
    number: str
    uid: str
    state: str
    reason: str | None
    scheme: str
    generation: int
    holder: Holder | None
    issued_at: int | None
    expires_at: int | None

    @classmethod
    def parse(cls, raw: Json) -> "Badge":
        """Read a badge."""
        holder = raw.get("holder")
        return cls(
            raw["id"],
            raw["number"],
            raw["uid"],
            raw["state"],
            raw.get("reason"),
            raw["scheme"],
            raw["generation"],
            Holder.parse(holder) if holder else None,
            raw.get("issued_at"),
            raw.get("expires_at"),
        )


@dataclass(frozen=True, slots=True)
class Cps:
    """A CPS in a reader, as it shows itself without its PIN; times in Unix seconds.

    `identity` has Pro Santé Connect's names, None where the certificate is not believed. `pin` has
    `tries_left`, `blocked`, `min_length` and `max_length`.
    """

    card: str
    reader: str
    family: str
    number: str
    identity: Json | None
    not_before: int
    not_after: int
    problem: Json | None
    pin: Json | None
    data_objects: tuple[str, ...]
    raw: Json

    @classmethod
    def parse(cls, raw: Json) -> "Cps":
        """Read a CPS."""
        return cls(
            raw["card"],
            raw["reader"],
            raw["family"],
            raw["number"],
            raw.get("identity"),
            raw["not_before"],
            raw["not_after"],
            raw.get("problem"),
            raw.get("pin"),
            tuple(raw.get("data_objects", ())),
            raw,
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list of holders or badges; `next` is the cursor of what follows, if any."""

    items: tuple[Item, ...]
    next: str | None
