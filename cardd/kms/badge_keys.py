"""The keys of one badge: where they come from, and for how long they exist.

They are derived for one procedure and live in its generator, in the memory of the KMS alone.
"""

from dataclasses import dataclass

from cardd.badges.model import Badge
from cardd.config import BadgeSettings
from cardd.desfire.applications import PICC_AID
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import KmsUnavailable
from cardd.kms.diversification import diversification_input, diversify
from cardd.kms.ports import Masters, Purpose


@dataclass(frozen=True, slots=True)
class KeySource:
    """Derives the keys of badges from the masters, as the site's configuration says (AN10922).

    One generation names the masters of a badge's three purposes: they rotate together.
    """

    masters: Masters
    settings: BadgeSettings

    def derive(self, purpose: Purpose, badge: Badge) -> DesfireKey:
        """Return the badge's AES-128 key for a purpose; its version is the generation.

        Raises Refused (`uid_unusable`) for a UID that cannot be diversified.
        """
        on_picc = purpose in {Purpose.PICC, Purpose.TRANSPORT}
        generation = badge.generation
        if purpose is Purpose.TRANSPORT:
            if badge.transport_generation is None:
                raise KmsUnavailable(f"badge {badge.number} has no transport key")
            generation = badge.transport_generation
        message = diversification_input(
            badge.uid,
            PICC_AID if on_picc else badge.aid,
            bytes.fromhex(self.settings.system_identifier),
            self.settings.aid_order,
        )
        key = diversify(self.masters, purpose, generation, message)
        return DesfireKey(KeyType.AES, key, generation)
