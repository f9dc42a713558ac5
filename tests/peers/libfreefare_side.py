"""Debian's libfreefare through ctypes, on a libnfc that speaks PC/SC (scripts/libnfc-pcsc)."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_int32, c_size_t, c_uint8, c_uint16, c_uint32, c_void_p
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "libnfc"
PLAIN, MACED, ENCIPHERED = 0, 1, 3
DES, TDEA, TRIPLE_TDEA, AES = "des", "3des", "3k3des", "aes"
FACTORY_KEY = (DES, bytes(8))


def require_libnfc() -> Path:
    """Return the folder of our libnfc; skip where the package sources have none, else fail."""
    if (FOLDER / "installed").exists():
        return FOLDER
    reason = FOLDER / "missing"
    text = reason.read_text().strip() if reason.exists() else "scripts/libnfc-pcsc has not run"
    if text.startswith("registry:"):
        pytest.skip(text)
    pytest.fail(text)


class Refused(Exception):
    """The card refused; `status` is its answer, 0 where the library itself was not content."""

    def __init__(self, function: str, status: int) -> None:
        super().__init__(f"{function}: {status:02X}")
        self.status = status


class Libfreefare:
    """A DESFire in a reader, with libfreefare's functions by their names.

    `call("get_value", 1, ...)` is mifare_desfire_get_value(tag, 1, ...); Refused where that is
    negative. Keys are pairs of type and value; AIDs are numbers.
    """

    def __init__(self, library: ctypes.CDLL, tag: int) -> None:
        self._library = library
        self._tag = c_void_p(tag)

    def call(self, function: str, *arguments: object) -> int:
        result = int(self._library[f"mifare_desfire_{function}"](self._tag, *arguments))
        if result < 0:
            last = self._library["mifare_desfire_last_picc_error"]
            last.restype = c_uint8
            raise Refused(function, last(self._tag))
        return result

    def _made(self, function: str, *arguments: object) -> c_void_p:
        make = self._library[f"mifare_desfire_{function}"]
        make.restype = c_void_p
        return c_void_p(make(*arguments))

    def key(self, kind: str, value: bytes, version: int = 0) -> c_void_p:
        """Return a key of these bytes; those of a DES key have its version in their lowest bits.

        libfreefare 0.4.0 has a function that stamps a version on a key: it destroys TDEA keys.
        """
        if kind == AES:
            return self._made("aes_key_new_with_version", c_char_p(value), c_uint8(version))
        return self._made(f"{kind}_key_new_with_version", c_char_p(value))

    def aid(self, number: int) -> c_void_p:
        return self._made("aid_new", c_uint32(number))

    def authenticate(self, number: int, key: tuple[str, bytes], how: str = "") -> None:
        """Authenticate: D40 without `how`, else "_iso" or "_aes"."""
        self.call(f"authenticate{how}", c_uint8(number), self.key(*key))

    def select(self, aid: int) -> None:
        self.call("select_application", self.aid(aid) if aid else None)

    def number(self, function: str, *arguments: object, kind: type = c_int32) -> int:
        """Return what a function puts in its last argument."""
        value = kind()
        self.call(function, *arguments, ctypes.byref(value))
        return int(value.value)

    def uid(self) -> bytes:
        text = c_char_p()
        self.call("get_card_uid", ctypes.byref(text))
        assert text.value is not None
        return bytes.fromhex(text.value.decode())

    def file_ids(self) -> list[int]:
        found, count = ctypes.POINTER(c_uint8)(), c_size_t()
        self.call("get_file_ids", ctypes.byref(found), ctypes.byref(count))
        return sorted(found[: count.value])

    def create(self, kind: str, number: int, mode: int, rights: int, *sizes: int) -> None:
        """Create a file; `sizes` as the kind has them, limits of value files with a sign."""
        mode_and_rights = (c_uint8(number), c_uint8(mode), c_uint16(rights))
        self.call(f"create_{kind}", *mode_and_rights, *map(c_int32, sizes))

    def read(self, function: str, number: int, offset: int, length: int, room: int) -> bytes:
        """Return what read_data or read_records gives; `room` in bytes."""
        buffer = ctypes.create_string_buffer(room)
        got = self.call(function, c_uint8(number), ctypes.c_long(offset), c_size_t(length), buffer)
        return buffer.raw[:got]

    def write(self, function: str, number: int, data: bytes) -> None:
        """Write at the start of a file or of a new record."""
        got = self.call(function, c_uint8(number), ctypes.c_long(0), c_size_t(len(data)), data)
        assert got == len(data)


@contextmanager
def connected(reader: str) -> Iterator[Libfreefare]:
    """Give the DESFire in a PC/SC reader."""
    nfc = ctypes.CDLL(str(require_libnfc() / "libnfc.so.6"), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL("libfreefare.so.0")
    for function in (nfc.nfc_open, library.freefare_get_tags):
        function.restype = c_void_p
    context = c_void_p()
    nfc.nfc_init(ctypes.byref(context))
    device = c_void_p(nfc.nfc_open(context, f"pcsc:{reader}".encode()))
    assert device.value, "libnfc cannot open the reader"
    library.freefare_get_tags.argtypes = [c_void_p]
    tags = ctypes.cast(library.freefare_get_tags(device), ctypes.POINTER(c_void_p))
    assert tags[0], "libfreefare sees no card"
    tag = Libfreefare(library, tags[0])
    tag.call("connect")
    yield tag
    tag.call("disconnect")
    library.freefare_free_tags(tags)
    nfc.nfc_close(device)
    nfc.nfc_exit(context)
