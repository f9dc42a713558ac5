"""What an inspection of a card found; as `models`."""

from dataclasses import dataclass

from cardd.client.models import Holder, Json
from cardd.client.problems import Problem


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to say about a card: `severity` is "critical", "warning" or "note".

    `sentence` and `advice` are in the client's language; `code` is stable.
    """

    code: str
    severity: str
    sentence: str
    advice: str
    facts: Json

    @classmethod
    def parse(cls, raw: Json) -> "Finding":
        """Read a finding."""
        return cls(
            raw["code"], raw["severity"], raw["sentence"], raw["advice"], raw.get("facts", {})
        )


@dataclass(frozen=True, slots=True)
class BadgeReading:
    """A badge of the registry, and what was read of it under its own keys."""

    registry: Json
    holder: Holder | None
    card: Json

    @classmethod
    def parse(cls, raw: Json) -> "BadgeReading":
        """Read what the key service tells."""
        holder = raw.get("holder")
        return cls(raw["registry"], Holder.parse(holder) if holder else None, raw["card"])


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a card is and holds: `card` as it tells anybody, `badge` under its own keys.

    Where the key service did not read it, `badge` is None and `unavailable` says why. `findings`
    come worst first.
    """

    card: Json
    badge: BadgeReading | None
    unavailable: Problem | None
    findings: tuple[Finding, ...]
    raw: Json

    @classmethod
    def parse(cls, raw: Json) -> "Inspection":
        """Read an inspection."""
        badge, unavailable = raw.get("badge"), raw.get("unavailable")
        return cls(
            raw["card"],
            BadgeReading.parse(badge) if badge else None,
            Problem.parse(unavailable) if unavailable else None,
            tuple(Finding.parse(each) for each in raw["findings"]),
            raw,
        )
