"""What was written is read again under the new keys; a badge that differs is refused.

Each function authenticates by itself, to what the caller has selected.
"""

import hmac

from cardd.badges.model import Badge, Scheme
from cardd.badges.products import best_scheme
from cardd.desfire.card import DesfireCard
from cardd.desfire.keys import DesfireKey
from cardd.errors import Code, Refused
from cardd.kms.procedures import layout
from cardd.kms.procedures.layout import AUTHENTICATE_KEY, BADGE_FILE, MASTER_KEY
from cardd.kms.procedures.ports import Driven


def picc(card: DesfireCard, badge: Badge, key: DesfireKey, scheme: Scheme) -> Driven[None]:
    """Read product, UID, settings and key version of the PICC, which is selected."""
    yield from picc_identity(card, badge, key, scheme)
    same("the PICC's settings", (yield from card.get_key_settings()), layout.PICC)


def picc_identity(card: DesfireCard, badge: Badge, key: DesfireKey, scheme: Scheme) -> Driven[None]:
    """Read product, UID and key version of the PICC, which is selected."""
    yield from layout.authenticate(card, MASTER_KEY, key, scheme)
    same("the product", best_scheme((yield from card.get_version()).product), scheme)
    same("the PICC key's version", (yield from card.get_key_version(MASTER_KEY)), key.version)
    same("the UID", (yield from card.get_card_uid()), badge.uid)


def application(card: DesfireCard, master: DesfireKey, scheme: Scheme) -> Driven[None]:
    """Read settings, file and master key's version of our application, which is selected."""
    yield from layout.authenticate(card, MASTER_KEY, master, scheme)
    same("the application's settings", (yield from card.get_key_settings()), layout.APPLICATION)
    same("the version of key 0", (yield from card.get_key_version(MASTER_KEY)), master.version)
    same("the file's settings", (yield from card.get_file_settings(BADGE_FILE)), layout.FILE)


def content(card: DesfireCard, badge: Badge, key: DesfireKey, scheme: Scheme) -> Driven[None]:
    """Read the file with the authenticate key, and that key's version."""
    yield from layout.authenticate(card, AUTHENTICATE_KEY, key, scheme)
    same("the version of key 1", (yield from card.get_key_version(AUTHENTICATE_KEY)), key.version)
    expected = layout.content(badge)
    read = yield from card.read_data(BADGE_FILE, 0, len(expected), layout.FILE.mode)
    if not hmac.compare_digest(read, expected):
        raise _differs("the content of file 1")


def same(what: str, read: object, expected: object) -> None:
    """Raise Refused (`badge_not_genuine`) where what was read is not what was expected."""
    if read != expected:
        raise _differs(what)


def _differs(what: str) -> Refused:
    return Refused(
        Code.BADGE_NOT_GENUINE,
        f"read back, {what} differs from what was written; do not hand this badge out",
    )
