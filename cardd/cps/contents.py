"""What is on a CPS, found at run time: EF.DIR, then PKCS#15 from the ODF down.

The identifiers known beforehand are the standard's (EF.DIR 2F00, ODF 5031) and those of EF.SN and
EF_ACTUA; every other one comes from the card.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from cardd.cps import pkcs15
from cardd.cps.files import CardFiles, read_file
from cardd.cps.objects import CardCertificate, KeyReference
from cardd.cps.pin import PinAttributes
from cardd.cps.pkcs15 import Application, FilePath, KeyObject, ObjectDirectory, StoredObject
from cardd.errors import CardError, CardProtocolError, CardStatusError
from cardd.iso7816 import status
from cardd.iso7816.exchange import Exchange
from cardd.iso7816.tlv import parse_first

EF_DIR = FilePath(bytes.fromhex("3F002F00"))
EF_SN = FilePath(bytes.fromhex("3F00D003"))
EF_ACTUA = FilePath(bytes.fromhex("3F00D010"))
ODF = FilePath(bytes.fromhex("5031"))

ISSUER = bytes.fromhex("8025000001")
LONGEST_STAMP = 64
REMEMBERED_CARDS = 64

_UNREADABLE = frozenset(
    {
        status.FILE_NOT_FOUND,
        status.SECURITY_STATUS,
        status.CONDITIONS,
        status.DATA_NOT_FOUND,
    }
)
_SEQUENCE = 0x30
_NON_REPUDIATION = 9

Parsed = TypeVar("Parsed")


class Purpose(StrEnum):
    """What a key on the card is for."""

    AUTHENTICATION = "authentication"
    SIGNATURE = "signature"
    TECHNICAL = "technical"


@dataclass(frozen=True, slots=True)
class Directory:
    """The directory files: what the card says that it has."""

    application: Application
    lists: ObjectDirectory
    keys: tuple[KeyObject, ...] = ()
    certificates: tuple[StoredObject, ...] = ()
    pins: tuple[PinAttributes, ...] = ()


@dataclass(slots=True)
class Contents:
    """What has been read of one card so far; filled as it is asked for."""

    directory: Directory | None = None
    certificates: dict[Purpose, CardCertificate | None] = field(default_factory=dict)

    def copy(self) -> "Contents":
        """Return contents that are filled apart from these."""
        return Contents(self.directory, dict(self.certificates))


@dataclass(frozen=True, slots=True)
class CardKey:
    """What a card says that it is; `stamp` is None where none can be read."""

    family: str
    number: str
    stamp: bytes | None


class CardMemory:
    """The contents of the cards that proved themselves last, in memory alone; for all threads.

    A card is known by its number and its update stamp, which any programmable card can claim: so
    only what was read of a card whose signature verified is kept. The CPS4 has no stamp that can be
    read, nor has every CPS3: a certificate renewed on one shows in that the one remembered is
    refused, or in a signature that does not verify. Then `forget`, and read the card anew.
    """

    def __init__(self, limit: int = REMEMBERED_CARDS) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._cards: OrderedDict[CardKey, Contents] = OrderedDict()

    def recall(self, key: CardKey) -> Contents | None:
        """Return a copy of what is remembered of a card, None where nothing is.

        A copy, as the card in the reader is yet to prove that it is the one remembered.
        """
        with self._lock:
            if key not in self._cards:
                return None
            self._cards.move_to_end(key)
            return self._cards[key].copy()

    def keep(self, key: CardKey, contents: Contents) -> None:
        """Remember what was read of a card that proved to be the one of this number."""
        with self._lock:
            self._cards[key] = contents.copy()
            self._cards.move_to_end(key)
            if len(self._cards) > self._limit:
                self._cards.popitem(last=False)

    def forget(self, number: str) -> None:
        """Drop what is remembered of a card, all its faces and stamps."""
        with self._lock:
            for key in [key for key in self._cards if key.number == number]:
                del self._cards[key]


def read_number(files: CardFiles) -> Exchange[str]:
    """Read EF.SN: "8025000001/" and the serial, as the certificate's card number has them.

    12 bytes: 5A 0A, the issuer, the serial in BCD; where it ends with F, its last digit is a check
    digit and no part of the serial (as the Cryptolib shows it). That both forms exist is deduced
    from two samples, not confirmed. Raises CardProtocolError for what is no card of the ANS.
    """
    return parse_number((yield from read_file(files, EF_SN, Application(files.aid), limit=64)))


def parse_number(content: bytes) -> str:
    """Read the content of EF.SN; see `read_number`."""
    if len(content) != 12 or content[2:7] != ISSUER:
        raise CardProtocolError("EF.SN is not that of a card of the ANS (8025000001)")
    serial = content[7:].hex().upper()
    if serial.endswith("F"):
        serial = serial.rstrip("F")[:-1]
    if not serial.isdecimal():
        raise CardProtocolError("the serial in EF.SN is no decimal number")
    return f"{ISSUER.hex()}/{serial}"


def read_stamp(files: CardFiles) -> Exchange[bytes | None]:
    """Read EF_ACTUA (start and end of the last update), None where it is absent or not readable."""
    application = Application(files.aid)
    return (yield from _optional(read_file(files, EF_ACTUA, application, limit=LONGEST_STAMP)))


def read_directory(files: CardFiles, *, trust_ddo: bool) -> Exchange[Directory]:
    """Find the PKCS#15 application and read its directory files, the DODF apart.

    `trust_ddo` is off contactless: there the entry's own data names the contact application.
    """
    content = yield from _optional(read_file(files, EF_DIR, Application(files.aid)))
    application = pkcs15.parse_directory(content or b"", files.aid) or Application(files.aid)
    where = (application.odf if trust_ddo else None) or ODF
    lists = pkcs15.parse_object_directory((yield from _read(files, where, application)))
    return Directory(
        application,
        lists,
        (yield from _list(files, lists.private_keys, application, pkcs15.parse_keys)),
        (yield from _list(files, lists.certificates, application, pkcs15.parse_certificates)),
        (yield from _list(files, lists.authentication_objects, application, pkcs15.parse_pins)),
    )


def read_data_objects(files: CardFiles, directory: Directory) -> Exchange[tuple[StoredObject, ...]]:
    """Read the DODF: what data objects there are."""
    paths = directory.lists.data_objects
    return (yield from _list(files, paths, directory.application, pkcs15.parse_data_objects))


def read_content(
    files: CardFiles, item: StoredObject, application: Application
) -> Exchange[bytes | None]:
    """Read a data object, None where the card does not give it now."""
    if item.path is None:
        return item.direct
    path = item.path.within(application.path)
    return (yield from _optional(read_file(files, path, application)))


def read_certificate(
    files: CardFiles, directory: Directory, purpose: Purpose
) -> Exchange[CardCertificate | None]:
    """Read the certificate of the key for a purpose, None where the card has no such pair."""
    key = next((each for each in directory.keys if _purpose(each) is purpose), None)
    entry = _entry_of(key, directory.certificates) if key else None
    if key is None or entry is None:
        return None
    path = key.path and FilePath(key.path).within(directory.application.path).ids
    reference = KeyReference(key.reference, key.identifier, key.label, path)
    content = entry.direct
    if entry.path is not None:
        content = yield from _read(files, entry.path, directory.application)
    return CardCertificate(_certificate(content), entry.label, reference)


def choose_pin(directory: Directory) -> PinAttributes:
    """Return the user PIN: the one that the authentication key names, else the first that fits.

    Raises CardProtocolError where it is the named one, or the only one, that does not fit.
    """
    pins = [each for each in directory.pins if not each.unblocks]
    named = {
        key.authentication for key in directory.keys if _purpose(key) is Purpose.AUTHENTICATION
    }
    meant = [each for each in pins if each.identifier in named] or _fitting(pins)
    if meant:
        meant[0].require_fit()
        return meant[0]
    raise CardError("the card describes no PIN of a form that is known here")


def choose_unblocking_pin(directory: Directory) -> PinAttributes | None:
    """Return the unblocking code, None where the card describes none.

    Raises CardProtocolError where none that it describes fits.
    """
    codes = _fitting([each for each in directory.pins if each.unblocks])
    if not codes:
        return None
    codes[0].require_fit()
    return codes[0]


def _fitting(pins: list[PinAttributes]) -> list[PinAttributes]:
    """Return the PINs that fit; where none does, all, so that what is wrong can be said."""
    return [each for each in pins if each.fits] or pins


def _purpose(key: KeyObject) -> Purpose:
    """Tell what a key is for: by the label that every CPS has, else by its usage."""
    if key.label.endswith("TECH_AUT"):
        return Purpose.TECHNICAL
    if key.label.endswith("_SIG") or (
        _NON_REPUDIATION in key.usage and not key.label.endswith("_AUT")
    ):
        return Purpose.SIGNATURE
    return Purpose.AUTHENTICATION


def _entry_of(key: KeyObject, entries: tuple[StoredObject, ...]) -> StoredObject | None:
    """Find a key's certificate by identifier, else by label; no identifier is known beforehand."""
    same = [each for each in entries if key.identifier and each.identifier == key.identifier]
    same += [each for each in entries if key.label and each.label == key.label]
    return same[0] if same else None


def _certificate(content: bytes) -> bytes:
    """Return the certificate at the start of a file, without what pads the file."""
    found = parse_first(content) if content else None
    if found is None or found.tag != _SEQUENCE:
        raise CardProtocolError("a certificate file of the card holds no certificate")
    return found.encoded


def _list(
    files: CardFiles,
    paths: tuple[FilePath, ...],
    application: Application,
    parse: Callable[[bytes], tuple[Parsed, ...]],
) -> Exchange[tuple[Parsed, ...]]:
    found: list[Parsed] = []
    for path in dict.fromkeys(paths):
        content = yield from _optional(_read(files, path, application))
        found.extend(parse(content or b""))
    return tuple(found)


def _read(files: CardFiles, path: FilePath, application: Application) -> Exchange[bytes]:
    return read_file(files, path.within(application.path), application)


def _optional(exchange: Exchange[bytes]) -> Exchange[bytes | None]:
    """Return None where the card says that a file is absent or not to be read now."""
    try:
        return (yield from exchange)
    except CardStatusError as error:
        if error.status in _UNREADABLE:
            return None
        raise
