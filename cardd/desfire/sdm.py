"""Secure Dynamic Messaging: what a file of an EV3 mirrors into the data that anybody reads.

A reader without keys gets the UID, a counter and a MAC as text in the file's data. The settings are
those of NTAG 424 DNA (NT4H2421Gx, tables 69 and 73; AN12196, tables 7 and 18), whose layout DESFire
EV3 shares; with other key numbers than that chip's five it is not confirmed on a card.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cardd.desfire.fields import encode_length, parse_lengths
from cardd.errors import CardProtocolError

_UID, _COUNTER, _LIMIT, _ENCIPHERED, _ASCII = 0x80, 0x40, 0x20, 0x10, 0x01
_KNOWN_OPTIONS = _UID | _COUNTER | _LIMIT | _ENCIPHERED | _ASCII
_FREE = 0xE
_NEVER = 0xF
_RESERVED_RIGHT = 0xF0
_HEAD_BYTES = 3
MAX_SDM_BYTES = _HEAD_BYTES + 8 * 3


@dataclass(frozen=True, slots=True)
class SecureDynamicMessaging:
    """What is mirrored, under which keys, and where; offsets and lengths are bytes of the file.

    `mirrors_uid`, `mirrors_counter` and `enciphers_data` are the options. `meta_read` is the key
    that enciphers UID and counter together, Eh for plain text, Fh for neither; `file_read` the key
    of the MAC and of the enciphered data, Fh for none; `counter_read` who may ask for the counter.
    An offset is None where these leave it out.
    """

    mirrors_uid: bool
    mirrors_counter: bool
    enciphers_data: bool
    meta_read: int
    file_read: int
    counter_read: int
    uid_offset: int | None = None
    counter_offset: int | None = None
    picc_data_offset: int | None = None
    mac_input_offset: int | None = None
    enciphered_offset: int | None = None
    enciphered_bytes: int | None = None
    mac_offset: int | None = None
    counter_limit: int | None = None

    def encode(self) -> bytes:
        """Return SDMOptions and what follows it in ChangeFileSettings.

        ValueError where an offset lacks, or is given though the options leave it out.
        """
        for right in (self.meta_read, self.file_read, self.counter_read):
            if not 0 <= right <= 0xF:
                raise ValueError("an access right is four bits")
        rights = bytes((_RESERVED_RIGHT | self.counter_read, self.meta_read << 4 | self.file_read))
        return bytes((self._options(),)) + rights + b"".join(self._encoded_numbers())

    def _options(self) -> int:
        return (
            self.mirrors_uid * _UID
            | self.mirrors_counter * _COUNTER
            | (self.counter_limit is not None) * _LIMIT
            | self.enciphers_data * _ENCIPHERED
            | _ASCII
        )

    def _encoded_numbers(self) -> Iterator[bytes]:
        for name, present in self._layout(limited=self.counter_limit is not None):
            number = getattr(self, name)
            if (number is not None) is not present:
                raise ValueError(f"these options {'need' if present else 'leave out'} {name}")
            if number is not None:
                yield encode_length(number)

    def _layout(self, *, limited: bool) -> Iterator[tuple[str, bool]]:
        """Yield each number in its order on the wire, and whether it is there."""
        in_plain, signed = self.meta_read == _FREE, self.file_read != _NEVER
        yield "uid_offset", self.mirrors_uid and in_plain
        yield "counter_offset", self.mirrors_counter and in_plain
        yield "picc_data_offset", self.meta_read < _FREE
        yield "mac_input_offset", signed
        yield "enciphered_offset", signed and self.enciphers_data
        yield "enciphered_bytes", signed and self.enciphers_data
        yield "mac_offset", signed
        yield "counter_limit", limited

    @classmethod
    def parse(cls, field: bytes) -> "SecureDynamicMessaging":
        """Read what follows the size in GetFileSettings; CardProtocolError for another layout."""
        if len(field) < _HEAD_BYTES or field[0] & ~_KNOWN_OPTIONS or not field[0] & _ASCII:
            raise CardProtocolError("the card reports Secure Dynamic Messaging of another kind")
        options, numbers = field[0], field[_HEAD_BYTES:]
        bare = cls(
            mirrors_uid=bool(options & _UID),
            mirrors_counter=bool(options & _COUNTER),
            enciphers_data=bool(options & _ENCIPHERED),
            meta_read=field[2] >> 4,
            file_read=field[2] & 0x0F,
            counter_read=field[1] & 0x0F,
        )
        layout = bare._layout(limited=bool(options & _LIMIT))
        names = [name for name, present in layout if present]
        if len(numbers) != len(names) * 3:
            raise CardProtocolError("the card reports Secure Dynamic Messaging of another length")
        found: dict[str, Any] = dict(zip(names, parse_lengths(numbers), strict=True))
        return replace(bare, **found)
