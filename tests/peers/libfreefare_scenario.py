"""What libfreefare does with a badge, in a process of its own: it ends on what it cannot parse.

    python -m tests.peers.libfreefare_scenario READER MECHANISM BYTES

personalises an application with it, works with a file of each type, and prints as JSON what it
saw. Data files have BYTES bytes.

libfreefare 0.4.0 writes beyond its buffers for a CMAC under DES and 2K3DES keys (valgrind shows
it), so that their files are not MACed here, and beyond those of an answer with a CMAC unless its
length is 5 or 6 modulo 8. Of a D40 answer it takes the MAC over one block too many where that is 0
or 7.
"""

import json
import sys
from collections.abc import Callable
from ctypes import c_int32, c_uint8
from dataclasses import dataclass
from typing import Any

from tests.peers.libfreefare_side import (
    AES,
    DES,
    ENCIPHERED,
    MACED,
    PLAIN,
    TDEA,
    TRIPLE_TDEA,
    Libfreefare,
    Refused,
    connected,
)

AID = 0x5CA1AB
SIZES = {DES: 8, TDEA: 16, TRIPLE_TDEA: 24, AES: 16}


@dataclass(frozen=True)
class Mechanism:
    """A type of key, how it is authenticated with, and how an application of it is made."""

    kind: str
    how: str
    create: str

    @property
    def modes(self) -> dict[int, int]:
        """The number and communication mode of each data file."""
        overflows = self.how == "_iso" and self.kind in {DES, TDEA}
        return {1: PLAIN, 3: ENCIPHERED} if overflows else {1: PLAIN, 2: MACED, 3: ENCIPHERED}

    @property
    def default_key(self) -> tuple[str, bytes]:
        """The key of a new application. A TDEA key of two equal halves is a DES key to the card."""
        kind = DES if self.kind == TDEA else self.kind
        return kind, bytes(SIZES[kind])

    def key(self, version: int) -> tuple[str, bytes]:
        """Return a key of a version, which DES keys carry in the lowest bits of the first 8."""
        value = bytearray(2 * (version + place) & 0xFF for place in range(SIZES[self.kind]))
        if self.kind != AES:
            for place in range(8):
                value[place] |= version >> (7 - place) & 1
        return self.kind, bytes(value)


MECHANISMS = {
    "d40-des": Mechanism(DES, "", ""),
    "d40-2k3des": Mechanism(TDEA, "", ""),
    "iso-des": Mechanism(DES, "_iso", ""),
    "iso-2k3des": Mechanism(TDEA, "_iso", ""),
    "iso-3k3des": Mechanism(TRIPLE_TDEA, "_iso", "_3k3des"),
    "aes": Mechanism(AES, "_aes", "_aes"),
}


def refusal(act: Callable[[], object]) -> int | None:
    """Return the status that the card refuses something with, None where it does not."""
    try:
        act()
    except Refused as refused:
        return refused.status
    return None


def change_the_keys(tag: Libfreefare, mechanism: Mechanism) -> int | None:
    """Change key 1, which is another's, then key 0, the session's own; authenticate anew.

    Returns what the card says to the old key 0.
    """
    new = {number: mechanism.key(0x41 + number) for number in (0, 1)}
    old = tag.key(*mechanism.default_key)
    tag.authenticate(0, mechanism.default_key, mechanism.how)
    for number in (1, 0):
        tag.call("change_key", c_uint8(number), tag.key(*new[number], 0x41 + number), old)
    refused = refusal(lambda: tag.authenticate(0, mechanism.default_key, mechanism.how))
    for number in (1, 0):
        tag.authenticate(number, new[number], mechanism.how)
    return refused


def write_and_read_data(tag: Libfreefare, modes: dict[int, int], size: int) -> None:
    """Write a file in each mode, and read the whole and a part back."""
    content = bytes(range(1, 1 + size))
    for number, mode in modes.items():
        tag.create("std_data_file", number, mode, 0x0000, len(content))
        tag.write("write_data", number, content)
        assert tag.read("read_data", number, 0, len(content), 300) == content
        assert tag.read("read_data", number, 7, 21, 300) == content[7:28]
    tag.create("backup_data_file", 4, ENCIPHERED, 0x0000, 32)
    tag.write("write_data", 4, content[:32])
    assert tag.read("read_data", 4, 0, 32, 300) == bytes(32)
    tag.call("commit_transaction")
    tag.write("write_data", 4, bytes(32))
    tag.call("abort_transaction")
    assert tag.read("read_data", 4, 0, 32, 300) == content[:32]


def spend_and_abort(tag: Libfreefare) -> None:
    tag.create("value_file", 5, ENCIPHERED, 0x0000, -10, 1000, 50, 0)
    tag.call("credit", c_uint8(5), c_int32(7))
    tag.call("commit_transaction")
    tag.call("debit", c_uint8(5), c_int32(60))
    tag.call("commit_transaction")
    tag.call("credit", c_uint8(5), c_int32(1))
    tag.call("abort_transaction")
    assert tag.number("get_value", c_uint8(5)) == -3


def write_and_read_records(tag: Libfreefare, mode: int) -> None:
    """Write three records to a cyclic file of three, which keeps the two last."""
    tag.create("cyclic_record_file", 6, mode, 0x0000, 15, 3)
    for letter in b"abc":
        tag.write("write_record", 6, bytes((letter,)) * 15)
        tag.call("commit_transaction")
    assert tag.read("read_records", 6, 0, 0, 300) == b"b" * 15 + b"c" * 15
    tag.call("clear_record_file", c_uint8(6))
    tag.call("commit_transaction")


def personalise(tag: Libfreefare, mechanism: Mechanism, size: int) -> dict[str, Any]:
    """Do all of it; return what was seen."""
    tag.call(f"create_application{mechanism.create}", tag.aid(AID), c_uint8(0x0B), c_uint8(3))
    tag.select(AID)
    old_key = change_the_keys(tag, mechanism)
    write_and_read_data(tag, mechanism.modes, size)
    spend_and_abort(tag)
    write_and_read_records(tag, mechanism.modes.get(2, ENCIPHERED))
    return {
        "uid": tag.uid().hex() if mechanism.how else "",
        "versions": [tag.number("get_key_version", c_uint8(n), kind=c_uint8) for n in range(3)],
        "files": tag.file_ids(),
        "old_key": old_key,
        # Last, as a refusal ends the session.
        "no_records": refusal(lambda: tag.read("read_records", 6, 0, 0, 300)),
    }


if __name__ == "__main__":
    with connected(sys.argv[1]) as connection:
        seen = personalise(connection, MECHANISMS[sys.argv[2]], int(sys.argv[3]))
    sys.stdout.write(json.dumps(seen))
