"""The keys of one badge: where they come from, and for how long they exist.

They are computed or opened for one procedure and live in its generator, in the memory of the KMS
alone.
"""

from dataclasses import dataclass
from typing import Protocol

from cardd.badges.model import Badge
from cardd.config import BadgeSettings
from cardd.desfire.applications import PICC_AID
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import KmsUnavailable
from cardd.kms.diversification import diversification_input, diversify
from cardd.kms.ports import Masters, Purpose


class NewKeys(Protocol):
    """The keys that one run of a procedure is to bring to a badge."""

    def draw(self, purpose: Purpose, badge: Badge) -> DesfireKey:
        """Return the key that the badge is to have for a purpose."""

    def store(self) -> None:
        """Keep what was drawn, in the caller's transaction: before a card has it."""


class KeySource(Protocol):
    """Where the keys of badges come from. Thread-safe.

    AES-128; a key's version is its generation. One generation names a badge's three keys, which
    change together, and `transport_generation` that of its transport key.
    """

    def key(self, purpose: Purpose, badge: Badge) -> DesfireKey:
        """Return a key that the badge has, as its row says.

        Raises Refused: `uid_unusable`; `registry_integrity` where it is not as it was stored.
        """

    def find(self, purpose: Purpose, badge: Badge) -> DesfireKey | None:
        """Return the key of a badge that may be none of ours or not have it, None without one."""

    def new_keys(self) -> NewKeys:
        """Begin to draw keys for one run."""

    def keep_only(self, badge: Badge) -> None:
        """Forget what a badge had before it became as its row now says."""


@dataclass(frozen=True, slots=True)
class DiversifiedKeys:
    """Derives each key from a master and the UID (AN10922): there is nothing to keep."""

    masters: Masters
    settings: BadgeSettings

    def key(self, purpose: Purpose, badge: Badge) -> DesfireKey:
        """Derive; Refused (`uid_unusable`) for a UID that cannot be diversified."""
        generation = generation_of(purpose, badge)
        message = diversification_input(
            badge.uid,
            aid_of(purpose, badge),
            bytes.fromhex(self.settings.system_identifier),
            self.settings.aid_order,
        )
        key = diversify(self.masters, purpose, generation, message)
        return DesfireKey(KeyType.AES, key, generation)

    def find(self, purpose: Purpose, badge: Badge) -> DesfireKey | None:
        """Derive: every badge has a key."""
        return self.key(purpose, badge)

    def new_keys(self) -> NewKeys:
        """Derive them as those that badges have."""
        return _Derived(self)

    def keep_only(self, badge: Badge) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class _Derived:
    source: DiversifiedKeys

    def draw(self, purpose: Purpose, badge: Badge) -> DesfireKey:
        return self.source.key(purpose, badge)

    def store(self) -> None:
        """Do nothing: they can be derived again."""


def aid_of(purpose: Purpose, badge: Badge) -> int:
    """Return the application that a key belongs to."""
    on_picc = purpose in {Purpose.PICC, Purpose.TRANSPORT}
    return PICC_AID if on_picc else badge.aid


def generation_of(purpose: Purpose, badge: Badge) -> int:
    """Return the generation of a badge's key; KmsUnavailable where it has no transport key."""
    if purpose is not Purpose.TRANSPORT:
        return badge.generation
    if badge.transport_generation is None:
        raise KmsUnavailable(f"badge {badge.number} has no transport key")
    return badge.transport_generation
