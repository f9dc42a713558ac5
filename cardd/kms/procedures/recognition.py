"""Which badge is this, and which of its possible keys does it answer to?

The product that a badge claims without a key proves nothing, so the registry has the last word: a
badge that is known for a stronger scheme is never served by a weaker one.
"""

from collections.abc import Mapping
from typing import TypeVar

from cardd.badges.model import Badge, Scheme
from cardd.badges.products import best_scheme
from cardd.desfire.card import DesfireCard
from cardd.desfire.keys import DesfireKey
from cardd.desfire.status import Status
from cardd.errors import CardStatusError, Code, Refused
from cardd.kms.procedures import layout
from cardd.kms.procedures.ports import Driven

Name = TypeVar("Name")


def scheme_for_blank(card: DesfireCard, badge: Badge, minimum: Scheme) -> Driven[Scheme]:
    """Ask a blank for its product; return the scheme that it will be encoded for.

    It leaves the PICC selected. Raises Refused: `uid_unusable`, `card_not_supported` below the
    site's minimum, and as `scheme_of_known` where the registry knows the badge for more than that.
    """
    if not minimum.meets(badge.scheme):
        return (yield from scheme_of_known(card, badge))
    version = yield from layout.version_of(card, badge.uid)
    return layout.scheme_of(version, minimum)


def scheme_of_known(card: DesfireCard, badge: Badge) -> Driven[Scheme]:
    """Ask a badge that the registry knows for its product; return the product's scheme.

    It leaves the PICC selected. Raises Refused: `uid_unusable`; `badge_not_genuine` where the
    product cannot do what the registry says that the badge does.
    """
    version = yield from layout.version_of(card, badge.uid)
    scheme = best_scheme(version.product)
    if scheme is None or not scheme.meets(badge.scheme):
        raise Refused(
            Code.BADGE_NOT_GENUINE,
            f"badge {badge.number} is registered for {badge.scheme}, and this one answers as a "
            f"DESFire of hardware version {version.hardware.major:02X}h, which cannot do that",
        )
    return scheme


def authenticate_with_one(
    card: DesfireCard, candidates: Mapping[Name, DesfireKey], scheme: Scheme
) -> Driven[Name | None]:
    """Authenticate with the first of some master keys that what is selected answers to.

    Returns its name, None where it answers to none.
    """
    for name, key in candidates.items():
        try:
            yield from layout.authenticate(card, layout.MASTER_KEY, key, scheme)
        except CardStatusError as error:
            if error.status != Status.AUTHENTICATION_ERROR.word:
                raise
        else:
            return name
    return None
