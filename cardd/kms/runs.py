"""One run of a procedure that changes a badge: its row and its journal, step by step."""

import dataclasses
from collections.abc import Callable, Mapping
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

LEASE_S = 10
"""How long after its last step a run's badge is its station's alone."""


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
        client: Client,
        badge: Badge,
        journal: Journal,
        new_keys: NewKeys,
        *,
        resumed: bool,
        replaces: Journal | None,
    ) -> None:
        self._core = core
        self._client = client.name
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
                self._record("badge.changed", {"client": self._client})
                self._new_keys.store()
                registry.drop_journal(self.badge.uid)
                self._stored = True
            self._journal = registry.put_journal(
                dataclasses.replace(_leased(self._core, self._client, self._journal), step=step)
            )

    def finish(self, badge: Badge, event: str, **facts: str | int | bool | None) -> None:
        """Store the badge as it is now, record that, and forget the journal, in one act."""
        with self._core.registry.atomically():
            self._require_journal(self._journal if self._stored else self._replaces)
            self._store_badge(badge)
            self._record(event, facts)
            self._core.keys.keep_only(badge)
            self._core.registry.drop_journal(badge.uid)

    def _record(self, event: str, facts: Mapping[str, str | int | bool | None]) -> None:
        """Record that the badge is stored as it is, once it is known that nothing forbids it."""
        self._core.audit.record(
            event,
            durable=True,
            badge=self.badge.id,
            badge_version=self.badge.version,
            state=self.badge.state.value,
            **facts,
        )

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


def claimed_journal(core: Core, client: Client, uid: bytes) -> Journal | None:
    """Return how far the last run with a badge got, and keep other stations away from it.

    Refused (`conflict`, with `retry_after`) while another station works on it. Where its step is
    stored and it is not heard of any more, the badge is anybody's after `LEASE_S`.
    """
    with core.registry.atomically():
        journal = core.registry.journal(uid)
        if journal is None:
            return None
        left = journal.leased_until - core.now()
        # A lease that is longer than any comes from another clock: the row's version still decides.
        if journal.client != client.name and 0 < left <= LEASE_S:
            raise Refused(
                Code.CONFLICT,
                f"another station works on this badge; present it there, or here in {left} s",
                retry_after=left,
            )
        return core.registry.put_journal(_leased(core, client.name, journal))


def _leased(core: Core, client: str, journal: Journal) -> Journal:
    now = core.now()
    return dataclasses.replace(journal, client=client, updated_at=now, leased_until=now + LEASE_S)


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
