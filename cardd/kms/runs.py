"""One run of a procedure that changes a badge: its row and its journal, step by step."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from cardd.badges.model import Badge
from cardd.errors import Code, Refused
from cardd.kms.badge_keys import NewKeys
from cardd.kms.core import Core
from cardd.kms.messages import Outcome
from cardd.kms.ports import Client, Journal, Masters
from cardd.kms.procedures.ports import Driven
from cardd.secret import Secret

BEGUN = "begun"
"""The step of a journal before the first commit point."""


def commit_nothing(step: str) -> None:
    """Stand for the commit of a procedure that changes nothing on the card."""
    raise AssertionError(f"this procedure changes nothing on the card, and committed {step}")


@dataclass(frozen=True, slots=True)
class Begun:
    """A procedure that may go on: what drives the card, and what stores its commit points."""

    driven: Driven[Outcome]
    commit: Callable[[str], None] = commit_nothing
    steps: tuple[str, ...] = ()


class Run:
    """One run of a procedure: row, journal and new keys, stored at the first commit point.

    Before that the card was only asked, and a refused one leaves nothing behind. A second
    station's step makes the next commit of this run fail, and its end.
    """

    def __init__(
        self,
        core: Core,
        badge: Badge,
        journal: Journal,
        new_keys: NewKeys,
        *,
        resumed: bool,
        replaces: Journal | None,
    ) -> None:
        self._core = core
        self._journal = journal
        self._new_keys = new_keys
        self._replaces = replaces
        self._stored = resumed
        self.badge = badge

    def commit(self, step: str) -> None:
        """Store that a step is about to be done; Refused (`conflict`) where another run went on."""
        registry = self._core.registry
        with registry.atomically():
            if not self._stored:
                self._require_journal(self._replaces)
                self._store_badge(self.badge)
                self._new_keys.store()
                registry.drop_journal(self.badge.uid)
                self._stored = True
            self._journal = registry.put_journal(
                dataclasses.replace(self._journal, step=step, updated_at=self._core.now())
            )

    def finish(self, badge: Badge, event: str, **facts: str | int | bool | None) -> None:
        """Record the end, store the badge as it is now, and forget the journal, in one act."""
        with self._core.registry.atomically():
            self._require_journal(self._journal if self._stored else self._replaces)
            self._core.audit.record(
                event, durable=True, badge=badge.id, state=badge.state.value, **facts
            )
            self._store_badge(badge)
            self._core.keys.keep_only(badge)
            self._core.registry.drop_journal(badge.uid)

    def _require_journal(self, expected: Journal | None) -> None:
        """Refuse (`conflict`) to go on where the journal is not as this run left or found it."""
        found = self._core.registry.journal(self.badge.uid)
        if found != expected:
            raise Refused(
                Code.CONFLICT, "this badge is being worked on elsewhere; present it again there"
            )

    def _store_badge(self, badge: Badge) -> None:
        registry = self._core.registry
        if registry.badge(badge.id) is None:
            registry.add_badge(badge)
            self.badge = badge
        else:
            self.badge = registry.put_badge(badge)


def new_journal(core: Core, client: Client, badge: Badge, procedure: str, secret: bytes) -> Journal:
    """Return the journal of a new run. `secret` is what its resumption needs to know, sealed."""
    return Journal(
        uid=badge.uid,
        procedure=procedure,
        badge_id=badge.id,
        step=BEGUN,
        sealed=core.masters.seal(secret, _context(badge)),
        client=client.name,
        updated_at=core.now(),
    )


def secret_of(core: Core, badge: Badge, journal: Journal) -> Secret:
    """Return what `new_journal` sealed; KmsUnavailable where it was changed."""
    return opened(core.masters, badge, journal)


def opened(masters: Masters, badge: Badge, journal: Journal) -> Secret:
    """Return what `new_journal` sealed, for whoever has the masters alone; errors as that."""
    return masters.open(journal.sealed, _context(badge))


def _context(badge: Badge) -> bytes:
    return b"journal" + badge.uid + bytes.fromhex(badge.id)
