"""The mode `stored`: random keys per badge, kept in the registry, sealed by the masters.

A key is sealed together with whose it is and what for (`_context`): whoever writes to the database
without the masters cannot give one badge the key of another, nor an older key a newer name. Nothing
about a key can be computed from the UID or from another key; without its row a badge is lost.

The masters of badges' purposes still number the generations, and give no key.
"""

import secrets
from dataclasses import dataclass, field

from cardd.badges.model import Badge
from cardd.badges.states import BadgeState
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.badge_keys import NewKeys, aid_of, generation_of
from cardd.kms.ports import BADGE_PURPOSES, Masters, Purpose, Registry, StoredKey
from cardd.secret import Secret

KEY_BYTES = 16

_WITHOUT_OWN_KEYS = frozenset({BadgeState.BLANK, BadgeState.WIPED})


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """Implements `KeySource`."""

    masters: Masters
    registry: Registry

    def key(self, purpose: Purpose, badge: Badge) -> DesfireKey:
        """Open the key of a badge; Refused (`registry_integrity`) where it is gone or not its."""
        found = self.find(purpose, badge)
        if found is None:
            raise _refused(
                badge,
                purpose,
                f"the {purpose} key of badge {badge.number} is not in the registry, where it was "
                "stored before the badge got it: its row was taken away outside cardd. Restore it "
                "from a backup, or give out another badge",
            )
        return found

    def find(self, purpose: Purpose, badge: Badge) -> DesfireKey | None:
        """Open the key of a badge where it has one."""
        if purpose is Purpose.TRANSPORT and badge.transport_generation is None:
            return None
        generation = generation_of(purpose, badge)
        for row in self._rows(purpose, badge):
            if (row.purpose, row.generation) == (purpose, generation):
                return DesfireKey(KeyType.AES, self._opened(row, badge), generation)
        return None

    def new_keys(self) -> NewKeys:
        """Begin to draw random keys."""
        return _Drawn(self)

    def keep_only(self, badge: Badge) -> None:
        """Delete the rows of keys that the badge has no more, so that no copy of them is left."""
        kept = set()
        if badge.state not in _WITHOUT_OWN_KEYS:
            kept |= {(purpose, badge.generation) for purpose in BADGE_PURPOSES}
        if badge.transport_generation is not None:
            kept.add((Purpose.TRANSPORT, badge.transport_generation))
        for row in self.registry.stored_keys(badge.id):
            if (row.purpose, row.generation) not in kept:
                self.registry.drop_stored_key(row)

    def seal(self, purpose: Purpose, badge: Badge, key: Secret) -> StoredKey:
        """Return the row of a key, of generation as the badge's row says."""
        row = StoredKey(badge.id, purpose, generation_of(purpose, badge), b"")
        sealed = self.masters.seal(key.reveal(), _context(row, badge))
        return StoredKey(badge.id, purpose, row.generation, sealed, row.version)

    def _rows(self, purpose: Purpose, badge: Badge) -> list[StoredKey]:
        try:
            return self.registry.stored_keys(badge.id)
        except Refused as refusal:
            if refusal.code is Code.REGISTRY_INTEGRITY:
                raise _not_its_own(badge, purpose) from None
            raise

    def _opened(self, row: StoredKey, badge: Badge) -> Secret:
        try:
            key = self.masters.open(row.sealed, _context(row, badge))
        except KmsUnavailable:
            self._require_masters()
            raise _not_its_own(badge, row.purpose) from None
        if len(key) != KEY_BYTES:
            raise _not_its_own(badge, row.purpose)
        return key

    def _require_masters(self) -> None:
        """Raise KmsUnavailable where it is the masters that do not answer, and not the row."""
        self.masters.kcv(Purpose.REGISTRY, self.masters.current(Purpose.REGISTRY))


@dataclass(slots=True)
class _Drawn:
    """Random keys of one run: one for each purpose and generation, however often it is asked for.

    Nothing that lies in the registry is used again: a row of an earlier life of the badge that was
    put back does not decide which key it gets.
    """

    source: StoredKeys
    _drawn: dict[tuple[Purpose, int], tuple[DesfireKey, StoredKey]] = field(default_factory=dict)

    def draw(self, purpose: Purpose, badge: Badge) -> DesfireKey:
        generation = generation_of(purpose, badge)
        known = self._drawn.get((purpose, generation))
        if known is not None:
            return known[0]
        value = Secret(secrets.token_bytes(KEY_BYTES))
        key = DesfireKey(KeyType.AES, value, generation)
        self._drawn[purpose, generation] = key, self.source.seal(purpose, badge, value)
        return key

    def store(self) -> None:
        registry = self.source.registry
        for _, row in self._drawn.values():
            registry.drop_stored_key(row)
            registry.add_stored_key(row)


def _context(row: StoredKey, badge: Badge) -> bytes:
    """Return what a key is sealed for: UID, application, purpose, generation, row version."""
    return b"|".join(
        (
            b"cardd stored key 1",
            badge.uid.hex().encode(),
            b"%06X" % aid_of(row.purpose, badge),
            row.purpose.value.encode(),
            b"%d" % row.generation,
            b"%d" % row.version,
        )
    )


def _not_its_own(badge: Badge, purpose: Purpose) -> Refused:
    return _refused(
        badge,
        purpose,
        f"the {purpose} key stored for badge {badge.number} was not sealed for this badge: it was "
        "moved here from another badge's row, or altered, outside cardd. It is not used; restore "
        "the row from a backup and find out who wrote it",
    )


def _refused(badge: Badge, purpose: Purpose, message: str) -> Refused:
    return Refused(
        Code.REGISTRY_INTEGRITY, message, table="stored_key", key=badge.id, purpose=purpose.value
    )
