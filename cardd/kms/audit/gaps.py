"""The times in which nothing could be recorded, and how the record shows them afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cardd.kms.audit.lines import moment

RESUMED = "audit.resumed"
MAXIMUM_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Said:
    """What a line is to say, and when it happened (Unix seconds)."""

    time: float
    event: str
    facts: Mapping[str, object]


@dataclass(slots=True)
class Gap:
    """A time in which no line could be written: what was refused, and what was done all the same.

    What was done is kept here, to be recorded late: up to `MAXIMUM_KEPT` acts, which a process
    that ends meanwhile loses.
    """

    since: float
    reason: str
    refused: int = 0
    lost: int = 0
    kept: list[Said] = field(default_factory=list)

    def keep(self, said: Said) -> None:
        """Keep an act that was done without a line."""
        if len(self.kept) < MAXIMUM_KEPT:
            self.kept.append(said)
        else:
            self.lost += 1

    def explained(self, now: float) -> Iterator[Said]:
        """Yield what is recorded of the gap afterwards: that it was, and what was kept."""
        facts = {
            "since": moment(self.since),
            "reason": self.reason,
            "refused": self.refused,
            "recorded_late": len(self.kept),
            "not_recorded": self.lost,
        }
        yield Said(now, RESUMED, facts)
        for said in self.kept:
            yield Said(now, said.event, {**said.facts, "late": True, "at": moment(said.time)})
