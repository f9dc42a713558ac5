"""BER-TLV data objects as cards write them (ISO/IEC 7816-4:2020, 6.3; ITU-T X.690, 8.1).

Read what is bounded and of definite length; refuse everything else. Nothing recurses: a caller
asks for the children of the objects that it knows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cardd.errors import CardProtocolError

MOST_OBJECTS = 1024
"""In one constructed value or file; a card's own are some dozens."""

_LONGEST_TAG_BYTES = 3
_LONGEST_LENGTH_BYTES = 3
_PADDING = frozenset({0x00, 0xFF})


@dataclass(frozen=True, slots=True)
class Tlv:
    """One data object. `tag` is its 1 to 3 tag bytes as one number: 0x30, 0x7F48, 0xBF8101."""

    tag: int
    value: bytes
    encoded: bytes

    def children(self) -> tuple["Tlv", ...]:
        """Read the value as data objects; raise CardProtocolError where it is none."""
        return parse_tlvs(self.value)


def parse_tlvs(data: bytes) -> tuple[Tlv, ...]:
    """Read data objects one after the other; bytes 00 and FF between them are padding.

    Raises CardProtocolError for a tag of more than 3 bytes, an indefinite length or one of more
    than 3 bytes, an object that ends beyond `data`, and more than 1024 objects.
    """
    found: list[Tlv] = []
    at = 0
    while at < len(data):
        if data[at] in _PADDING:
            at += 1
            continue
        if len(found) == MOST_OBJECTS:
            raise CardProtocolError(f"there are more than {MOST_OBJECTS} data objects")
        found.append(parse_first(data, at))
        at += len(found[-1].encoded)
    return tuple(found)


def parse_first(data: bytes, at: int = 0) -> Tlv:
    """Read the data object that begins at an offset, and nothing after it; errors as above."""
    tag, start = _read_tag(data, at)
    length, start = _read_length(data, start)
    end = start + length
    if end > len(data):
        raise CardProtocolError(
            f"data object {tag:X} of {length} bytes ends beyond the {len(data)} bytes read"
        )
    return Tlv(tag, data[start:end], data[at:end])


def find(objects: Iterable[Tlv], tag: int) -> Tlv | None:
    """Return the first object with a tag."""
    return next((each for each in objects if each.tag == tag), None)


def descend(data: bytes, *tags: int) -> bytes | None:
    """Return the value at the end of a path of tags, None where one is not there."""
    for tag in tags:
        found = find(parse_tlvs(data), tag)
        if found is None:
            return None
        data = found.value
    return data


def _read_tag(data: bytes, at: int) -> tuple[int, int]:
    end = at + 1
    if end <= len(data) and data[at] & 0x1F == 0x1F:
        while end < len(data) and data[end] & 0x80 and end - at < _LONGEST_TAG_BYTES:
            end += 1
        end += 1
    if end > len(data) or end - at > _LONGEST_TAG_BYTES:
        raise CardProtocolError("a data object's tag is cut off or longer than 3 bytes")
    return int.from_bytes(data[at:end]), end


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise CardProtocolError("a data object is cut off before its length")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    end = at + 1 + count
    if not 1 <= count <= _LONGEST_LENGTH_BYTES or end > len(data):
        raise CardProtocolError("a data object's length is indefinite, cut off or too long")
    return int.from_bytes(data[at + 1 : end]), end
