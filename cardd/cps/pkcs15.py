"""The files of PKCS#15 v1.1 (ISO/IEC 7816-15) as a CPS has them: bytes in, descriptions out.

Tolerant where real cards are known to be odd: bit strings that are no strict DER, a leading
category byte, padding after the last object, key references written as negative numbers, objects
of unknown kinds. A file that is no sequence of data objects is refused.

No source gives the content of a real card's ODF, AODF, PrKDF, CDF or DODF: this reads the standard.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cardd.cps import asn1
from cardd.cps.pin import LONGEST_PIN, PinAttributes, PinType
from cardd.errors import CardProtocolError
from cardd.iso7816.tlv import Tlv, find, parse_tlvs

MASTER_FILE = bytes.fromhex("3F00")
MOST_OBJECTS = 64
MOST_FILES = 16
LONGEST_PATH = 16

# Tags of an EF.DIR record (ISO/IEC 7816-4, 12.2.3).
_APPLICATION, _AID, _PATH, _DISCRETIONARY = 0x61, 0x4F, 0x51, 0x73
# Of an object's parts (PKCS#15 v1.1, 6.1.4): the type's own attributes, and an ODF's lists (6.2).
_TYPE_ATTRIBUTES = 0xA1
_PIN_REFERENCE = 0x80
_LENGTH = 0x80
_DIRECT = 0xA0

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class FilePath:
    """Where content is: file identifiers from the MF or the application, and a part of the file.

    `ids` are 2-byte identifiers; absolute paths begin with 3F00.
    """

    ids: bytes
    offset: int = 0
    length: int | None = None

    def __post_init__(self) -> None:
        if len(self.ids) % 2 or not 2 <= len(self.ids) <= LONGEST_PATH:
            raise CardProtocolError(f"a path of {len(self.ids)} bytes is none")

    @property
    def absolute(self) -> bool:
        """Tell whether it starts at the MF."""
        return self.ids.startswith(MASTER_FILE)

    def within(self, application: bytes) -> "FilePath":
        """Return the absolute path of a file of an application; `application` is its own path."""
        if self.absolute or not application:
            return self
        return FilePath(application + self.ids, self.offset, self.length)


@dataclass(frozen=True, slots=True)
class Application:
    """An entry of EF.DIR: the application's path, empty where only its AID selects it.

    `odf` is where its own data says that the ODF is.
    """

    aid: bytes
    path: bytes = b""
    odf: FilePath | None = None


@dataclass(frozen=True, slots=True)
class ObjectDirectory:
    """The ODF: where the other directory files are."""

    private_keys: tuple[FilePath, ...] = ()
    certificates: tuple[FilePath, ...] = ()
    data_objects: tuple[FilePath, ...] = ()
    authentication_objects: tuple[FilePath, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyObject:
    """A private RSA key of the PrKDF. `usage` holds bit numbers (6.1.9), `path` may be empty."""

    label: str
    identifier: bytes
    usage: frozenset[int]
    reference: int
    authentication: bytes
    path: bytes


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A certificate or data object: in a file, or in the directory file itself (`direct`).

    `protected` says that it names the PIN that it needs.
    """

    label: str
    identifier: bytes = b""
    path: FilePath | None = None
    direct: bytes = b""
    protected: bool = False


def parse_directory(content: bytes, aid: bytes) -> Application | None:
    """Find an application in EF.DIR by the AID of its own entry; a DDO's AID counts for nothing."""
    for record in parse_tlvs(content):
        if record.tag == _APPLICATION:
            parts = record.children()
            if asn1.first(parts, _AID) == aid:
                return _application(aid, parts)
    return None


def _application(aid: bytes, parts: tuple[Tlv, ...]) -> Application:
    path = asn1.first(parts, _PATH) or b""
    if path:
        path = FilePath(path).ids
        path = path if path.startswith(MASTER_FILE) else MASTER_FILE + path
    data = find(parts, _DISCRETIONARY)
    odf = find(data.children(), asn1.SEQUENCE) if data else None
    return Application(aid, path, _path(odf) if odf else None)


def parse_object_directory(content: bytes) -> ObjectDirectory:
    """Read an ODF; each entry holds a path (6.2). Kinds that are not used here are passed over."""
    found: dict[int, list[FilePath]] = {}
    for entry in parse_tlvs(content)[:MOST_FILES]:
        if entry.tag & 0xF0 == 0xA0:
            found.setdefault(entry.tag & 0x0F, []).append(_entry_path(entry))
    return ObjectDirectory(
        private_keys=tuple(found.get(0, ())),
        certificates=tuple(path for kind in (4, 5, 6) for path in found.get(kind, ())),
        data_objects=tuple(found.get(7, ())),
        authentication_objects=tuple(found.get(8, ())),
    )


def _entry_path(entry: Tlv) -> FilePath:
    sequence = find(entry.children(), asn1.SEQUENCE)
    if sequence is None:
        raise CardProtocolError("an entry of the ODF holds no path")
    return _path(sequence)


def _path(sequence: Tlv) -> FilePath:
    """Read a Path: OCTET STRING, and with an index and a length a part of the file (6.1.5)."""
    parts = sequence.children()
    ids = asn1.first(parts, asn1.OCTET_STRING)
    if ids is None:
        raise CardProtocolError("a path of PKCS#15 holds no file identifiers")
    index, length = asn1.first(parts, asn1.INTEGER), asn1.first(parts, _LENGTH)
    if index is None or length is None:
        return FilePath(ids)
    return FilePath(ids, asn1.integer(index), asn1.integer(length))


def parse_keys(content: bytes) -> tuple[KeyObject, ...]:
    """Read the RSA keys of a PrKDF (6.3); keys without a reference are passed over."""
    return _objects(content, _key, {asn1.SEQUENCE})


def parse_certificates(content: bytes) -> tuple[StoredObject, ...]:
    """Read the X.509 certificates of a CDF (6.6)."""
    return _objects(content, _stored, {asn1.SEQUENCE})


def parse_data_objects(content: bytes) -> tuple[StoredObject, ...]:
    """Read the opaque data objects of a DODF (6.7)."""
    return _objects(content, _stored, {asn1.SEQUENCE})


def parse_pins(content: bytes) -> tuple[PinAttributes, ...]:
    """Read the PINs of an AODF (6.8), also those whose lengths are odd: `PinAttributes.fits`."""
    return _objects(content, _pin, {asn1.SEQUENCE})


def _objects(
    content: bytes, parse: Callable[[tuple[Tlv, ...]], Parsed | None], kinds: set[int]
) -> tuple[Parsed, ...]:
    entries = [each for each in parse_tlvs(content) if each.tag in kinds]
    if len(entries) > MOST_OBJECTS:
        raise CardProtocolError(f"a directory file lists more than {MOST_OBJECTS} objects")
    return tuple(found for each in entries if (found := parse(each.children())) is not None)


def _key(parts: tuple[Tlv, ...]) -> KeyObject | None:
    common, own, specific = _attributes(parts)
    reference = asn1.first(own, asn1.INTEGER)
    if reference is None:
        return None
    number = asn1.integer(reference)
    if number & 0xFF != number and number >> 8 not in {0xFF, 0xFFFF, 0xFFFFFF}:
        raise CardProtocolError(f"a key reference is one byte; the card says {number:X}")
    path = _value_path(specific)
    return KeyObject(
        label=_label(common),
        identifier=asn1.first(own, asn1.OCTET_STRING) or b"",
        usage=asn1.bits(asn1.first(own, asn1.BIT_STRING) or b""),
        reference=number & 0xFF,
        authentication=asn1.first(common, asn1.OCTET_STRING) or b"",
        path=path.ids if path else b"",
    )


def _stored(parts: tuple[Tlv, ...]) -> StoredObject | None:
    common, own, specific = _attributes(parts)
    direct, path = _direct(specific), _value_path(specific)
    if not direct and path is None:
        return None
    return StoredObject(
        label=_label(common),
        identifier=asn1.first(own, asn1.OCTET_STRING) or b"",
        path=path,
        direct=direct,
        protected=asn1.first(common, asn1.OCTET_STRING) is not None,
    )


def _value_path(specific: tuple[Tlv, ...]) -> FilePath | None:
    """Return the path of an ObjectValue (6.1.6): for keys and certificates one level deeper."""
    for _ in range(2):
        sequence = find(specific, asn1.SEQUENCE)
        if sequence is None:
            return None
        specific = sequence.children()
        if asn1.first(specific, asn1.OCTET_STRING) is not None:
            return _path(sequence)
    return None


def _direct(specific: tuple[Tlv, ...]) -> bytes:
    """Return the value that is in the directory file itself, empty where there is none."""
    sequence = find(specific, asn1.SEQUENCE)
    inner = sequence.children() if sequence is not None else ()
    found = find((*specific, *inner), _DIRECT)
    return found.value if found is not None else b""


_NEEDS_PADDING, _UNBLOCKING, _SECURITY_OFFICER = 5, 6, 7


def _pin(parts: tuple[Tlv, ...]) -> PinAttributes | None:
    """Read PinAttributes (6.8.1): flags, type, lengths, reference, pad character, path."""
    common, own, specific = _attributes(parts)
    sequence = find(specific, asn1.SEQUENCE)
    attributes = sequence.children() if sequence is not None else ()
    numbers = [asn1.integer(each.value) for each in attributes if each.tag == asn1.INTEGER]
    kind = asn1.first(attributes, asn1.ENUMERATED)
    if kind is None or len(numbers) < 2 or asn1.integer(kind) not in set(PinType):
        return None
    minimum, stored = numbers[:2]
    flags = asn1.bits(asn1.first(attributes, asn1.BIT_STRING) or b"")
    pin_type = PinType(asn1.integer(kind))
    room = stored * (2 if pin_type is PinType.BCD else 1)
    maximum = min(numbers[2] if len(numbers) > 2 else room, room or LONGEST_PIN, LONGEST_PIN)
    path = find(attributes, asn1.SEQUENCE)
    fill = asn1.first(attributes, asn1.OCTET_STRING) or b"\xff"
    return PinAttributes(
        label=_label(common),
        reference=asn1.integer(asn1.first(attributes, _PIN_REFERENCE) or b"\x00") & 0xFF,
        minimum=minimum,
        maximum=maximum,
        stored_length=stored,
        type=pin_type,
        pad=fill[0],
        padded=_NEEDS_PADDING in flags,
        path=_path(path).ids if path is not None else b"",
        identifier=asn1.first(own, asn1.OCTET_STRING) or b"",
        unblocks=bool(flags & {_UNBLOCKING, _SECURITY_OFFICER}),
    )


def _attributes(
    parts: tuple[Tlv, ...],
) -> tuple[tuple[Tlv, ...], tuple[Tlv, ...], tuple[Tlv, ...]]:
    """Return the common, the class's and the type's attributes of an object (6.1.4)."""
    sequences = [each for each in parts if each.tag == asn1.SEQUENCE]
    typed = find(parts, _TYPE_ATTRIBUTES)
    if len(sequences) < 2 or typed is None:
        raise CardProtocolError("an object of PKCS#15 lacks its common, class or type attributes")
    # The type's attributes are one SEQUENCE inside their tag.
    return sequences[0].children(), sequences[1].children(), typed.children()


def _label(common: tuple[Tlv, ...]) -> str:
    return asn1.text(asn1.first(common, asn1.UTF8_STRING) or b"")
