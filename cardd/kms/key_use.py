"""Which badges still need the masters of a generation: what stands before destroying one."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from cardd.badges.model import Badge, Holder
from cardd.badges.states import BadgeState
from cardd.errors import Code, Refused
from cardd.kms import rekeying, runs
from cardd.kms.messages import Page
from cardd.kms.ports import Journal, Masters, Registry

PAGE = 500
_IN_SERVICE = {BadgeState.STOCK, BadgeState.ASSIGNED, BadgeState.ACTIVE, BadgeState.SUSPENDED}


@dataclass(slots=True)
class KeyUse:
    """How many badges need a generation, and some of their numbers.

    `revoked` ones no longer open anything: without the masters they cannot be wiped any more.
    """

    badges: int = 0
    revoked: int = 0
    numbers: list[str] = field(default_factory=list)

    def add(self, badge: Badge) -> None:
        """Count a badge."""
        self.badges += 1
        if len(self.numbers) < 5:
            self.numbers.append(badge.number)


def all_badges(registry: Registry) -> Iterator[tuple[Badge, Holder | None]]:
    """Yield every badge with its holder, each row checked against its MAC; errors as Registry."""
    cursor = None
    while True:
        rows, cursor = registry.badges(Page(cursor=cursor, limit=PAGE))
        yield from rows
        if cursor is None:
            return


def count(registry: Registry, masters: Masters, group: str, generation: int) -> KeyUse:
    """Count the badges that need a generation of a group of masters.

    Raises Refused (`not_supported`) for the master `registry`: what is sealed under it is not
    counted, so that none of its generations is ever known to be free.
    """
    if group == "registry":
        raise Refused(
            Code.NOT_SUPPORTED,
            "masters of the registry are not destroyed: rows, sealed keys and backups of every age "
            "need the one that they were sealed with",
        )
    use = KeyUse()
    for badge, _ in all_badges(registry):
        if group == "transport":
            if badge.transport_generation == generation:
                use.add(badge)
        elif _needs(registry, masters, badge, generation):
            use.add(badge)
        elif badge.state is BadgeState.REVOKED and badge.generation == generation:
            use.revoked += 1
    return use


def require_free(use: KeyUse, generation: int) -> None:
    """Raise Refused (`conflict`) where badges still need a generation."""
    if use.badges:
        shown = ", ".join(use.numbers)
        raise Refused(
            Code.CONFLICT,
            f"{use.badges} badges still have keys of generation {generation} ({shown}"
            f"{', …' if use.badges > len(use.numbers) else ''}): re-key or wipe them first; "
            "`cardd-kms report` counts them",
        )


def _needs(registry: Registry, masters: Masters, badge: Badge, generation: int) -> bool:
    if badge.state in _IN_SERVICE and badge.generation == generation:
        return True
    journal = registry.journal(badge.uid)
    return journal is not None and generation in _of_journal(masters, badge, journal)


def _of_journal(masters: Masters, badge: Badge, journal: Journal) -> set[int]:
    """Return the generations that finishing what a journal began needs."""
    if rekeying.is_rekey(journal):
        return {badge.generation, runs.opened(masters, badge, journal).reveal()[0]}
    return {badge.generation}
