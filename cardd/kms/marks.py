"""The marks of a replica: how far masters, registry and audit were, in the registry and the audit.

Each of the three grows, and none is written by the others: a mark in two places tells which of them
was put back from an older copy (rollback.py).
"""

import dataclasses
from dataclasses import dataclass

import msgspec

from cardd.kms.audit.recording import AuditFile
from cardd.kms.ports import Masters, Purpose, Registry, ReplicaMark

MARKED = "registry.marked"
"""The event of a mark in the audit: `registry` (its id), `number`, `masters`."""

Position = dict[str, int]
"""How far masters are: the current generation of each purpose and, of a keystore, its counter."""

COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Marker:
    """Puts the marks of a replica."""

    replica: str
    masters: Masters
    registry: Registry
    audit: AuditFile

    def mark(self) -> None:
        """Put a mark in the registry, then in the audit: what the audit has, the registry had.

        Raises KmsUnavailable, Refused (`conflict`, `registry_integrity`).
        """
        self.put(latest(self.audit).number)

    def put(self, above: int) -> None:
        """Put a mark whose number is above a given one and the registry's own. Raises as `mark`."""
        head = self.audit.synced_head()
        text = written(position(self.masters))
        with self.registry.atomically():
            former = self.registry.replica_mark(self.replica)
            number = 1 + max(above, former.number if former else 0)
            mark = ReplicaMark(self.replica, number, self.audit.chain.id, head.seq, head.hash, text)
            if former is None:
                self.registry.add_replica_mark(mark)
            else:
                self.registry.put_replica_mark(dataclasses.replace(mark, version=former.version))
            identity = self.registry.identity().id
        self.audit.record(MARKED, durable=True, registry=identity, number=number, masters=text)


@dataclass(frozen=True, slots=True)
class Marked:
    """What the last mark in an audit says; number 0 where there is none."""

    registry: str = ""
    number: int = 0
    masters: Position = dataclasses.field(default_factory=dict)


def latest(audit: AuditFile) -> Marked:
    """Return the last mark in an audit; KmsUnavailable where it cannot be read."""
    for entry in audit.backwards():
        if entry.event == MARKED:
            facts = entry.facts
            return Marked(
                str(facts["registry"]), int(facts["number"] or 0), parsed(str(facts["masters"]))
            )
    return Marked()


def position(masters: Masters) -> Position:
    """Return how far masters are. A token or server has no counter: only what was promoted shows.

    Raises KmsUnavailable.
    """
    found = {each.value: masters.current(each) for each in Purpose}
    counter = getattr(masters, COUNTER, None)
    return found if counter is None else found | {COUNTER: counter}


def written(where: Position) -> str:
    """Return a position as the marks have it."""
    return msgspec.json.encode(where, order="sorted").decode()


def parsed(text: str) -> Position:
    """Undo `written`."""
    return msgspec.json.decode(text, type=Position)
