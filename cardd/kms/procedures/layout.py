"""What a badge of ours looks like: keys, settings, the file, and which products carry it."""

from dataclasses import dataclass

from cardd.badges.model import Badge, Scheme
from cardd.badges.products import best_scheme
from cardd.desfire.applications import PICC_AID, ApplicationSettings, KeySettings
from cardd.desfire.authentication import AuthenticationScheme
from cardd.desfire.card import DesfireCard
from cardd.desfire.command import CommunicationMode
from cardd.desfire.files import NEVER, AccessRights, DataFileSettings
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.version import Version
from cardd.errors import Code, Refused
from cardd.kms.procedures.ports import Driven

MASTER_KEY = 0
AUTHENTICATE_KEY = 1
BADGE_FILE = 1
CONTENT_BYTES = 32
CONTENT_VERSION = 1

FACTORY_PICC_KEY = DesfireKey.zero(KeyType.TDEA2)
ZERO_DEFAULT_KEY = DesfireKey.zero(KeyType.AES)

# 09: the master key and these settings can be changed; listing, creating and deleting need the
# master key; in an application the high nibble 0 makes its master key the one that changes keys.
SETTINGS = KeySettings.parse(0x09)
APPLICATION = ApplicationSettings(SETTINGS, 2)
PICC = ApplicationSettings(SETTINGS, 1)

FILE = DataFileSettings(
    CommunicationMode.FULL,
    AccessRights(read=AUTHENTICATE_KEY, write=MASTER_KEY, read_write=NEVER, change=MASTER_KEY),
    CONTENT_BYTES,
)

_MECHANISMS = {
    Scheme.EV1_AES: AuthenticationScheme.AES,
    Scheme.EV2_AES: AuthenticationScheme.EV2_FIRST,
}


@dataclass(frozen=True, slots=True)
class BadgeKeys:
    """The keys of an encoded badge, of one generation."""

    picc: DesfireKey
    app_master: DesfireKey
    authenticate: DesfireKey


def version_of(card: DesfireCard, uid: bytes) -> Driven[Version]:
    """Select the PICC and ask it for its product.

    The selection ends the session that an earlier procedure left on a badge which stayed in place.
    Refused (`uid_unusable`) where its UID is not the reader's.
    """
    yield from card.select_application(PICC_AID)
    version = yield from card.get_version()
    if version.uid != uid:
        raise Refused(
            Code.UID_UNUSABLE,
            "the badge gives another UID than the reader; a badge with a random UID cannot be used",
        )
    return version


def scheme_of(version: Version, minimum: Scheme) -> Scheme:
    """Return the best scheme of a product; Refused for one without AES or below the minimum."""
    scheme = best_scheme(version.product)
    if scheme is None or not scheme.meets(minimum):
        raise Refused(
            Code.CARD_NOT_SUPPORTED,
            f"a DESFire of hardware version {version.hardware.major:02X}h cannot be a badge here; "
            f"the site asks for {minimum} or better",
            hardware_major=version.hardware.major,
        )
    return scheme


def mechanism(scheme: Scheme) -> AuthenticationScheme:
    """Return how a scheme authenticates."""
    return _MECHANISMS[scheme]


def authenticate(
    card: DesfireCard, key_number: int, key: DesfireKey, scheme: Scheme
) -> Driven[None]:
    """Authenticate as the scheme says, or by ISO with a TDEA key, to what is selected."""
    if key.type is not KeyType.AES:
        yield from card.authenticate_iso(key_number, key)
    elif scheme is Scheme.EV2_AES:
        yield from card.authenticate_ev2_first(key_number, key)
    else:
        yield from card.authenticate_aes(key_number, key)


def content(badge: Badge) -> bytes:
    """Return what file 1 holds, 32 bytes.

    Byte 0 version; 1 to 16 badge id; 17 to 20 issue and 21 to 24 expiry, big-endian Unix seconds;
    25 to 31 zero.
    """
    assert badge.issued_at is not None
    assert badge.expires_at is not None
    return (
        bytes((CONTENT_VERSION,))
        + bytes.fromhex(badge.id)
        + badge.issued_at.to_bytes(4)
        + badge.expires_at.to_bytes(4)
        + bytes(7)
    )
