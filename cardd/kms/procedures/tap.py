"""`tap`: the badge proves its key. Three commands on air, after the reader gave the UID."""

from cardd.badges.model import Badge
from cardd.desfire.card import DesfireCard
from cardd.desfire.keys import DesfireKey
from cardd.kms.procedures.layout import AUTHENTICATE_KEY, mechanism
from cardd.kms.procedures.ports import Driven


def tap(badge: Badge, key: DesfireKey) -> Driven[None]:
    """Authenticate with the badge's own key; the mechanism is the registry's, not the card's."""
    yield from DesfireCard().select_and_authenticate(
        badge.aid, AUTHENTICATE_KEY, key, mechanism(badge.scheme)
    )
