"""The keys of a virtual reader's pinpad: the end of the wire that a finger is.

A virtual reader at `unix:PATH` that announces a pinpad listens for a typist at the Unix socket
`PATH.keys`; a reader at a TCP port has none. One typist at a time: another is turned away by
closing its connection. Both ends send messages as on the vpcd wire, a 2-byte big-endian length and
as many bytes:

    from the typist   one key each: "0" to "9" (30 to 39), OK (0D), correction (08, takes away every
                      digit of this entry), cancel (1B)
    from the reader   01 WHICH MIN MAX   it asks for a PIN of MIN to MAX digits; WHICH is 00 the PIN
                                         to verify or the current one, 01 a new one, 02 the new one
                                         again. Sent when the entry begins, and at once to a typist
                                         who comes during one
                      02 SW1 SW2         all entries of this operation are over; the status word is
                                         the one that the program gets: the card's (9000, 63C2, ...)
                                         or the reader's own (PC/SC part 10: 6400 timed out,
                                         6401 cancelled, 6402 the new PINs differ, 6403 too short or
                                         too long), 0000 where the program got none, since the
                                         card left

A key pressed while nothing is asked for is ignored. A typist may leave in the middle: the entry
goes on, until another one comes or its time is over.
"""

import socket
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from simulators.address import ReaderAddress
from simulators.wire import StayOver, Wire, WireClosed

ENTRY, OVER = 0x01, 0x02
SOCKET_SUFFIX = ".keys"
WAIT_SECONDS = 30.0


class Key(IntEnum):
    """The keys of a pinpad that are no digits."""

    CORRECTION = 0x08
    OK = 0x0D
    CANCEL = 0x1B


class PinpadError(Exception):
    """Nothing could be typed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What came of typing: `entries` that the reader asked for, and the status word at the end."""

    entries: int
    status: int


def socket_of(address: str) -> Path:
    """Return where a reader's pinpad listens; raise AddressError, PinpadError."""
    reader = ReaderAddress.parse(address)
    if reader.family != socket.AF_UNIX:
        raise PinpadError(f"the reader at {address} has no pinpad: one at unix:PATH may have")
    return Path(f"{reader.target!s}{SOCKET_SUFFIX}")


def press(
    address: str,
    entries: Sequence[str],
    *,
    last: Key = Key.OK,
    wait_seconds: float = WAIT_SECONDS,
) -> Typed:
    """Wait until the reader asks, type one of `entries` at each question, and see how it ends.

    Each is ended with OK, the last one with the key `last`. Raises AddressError, and PinpadError
    where there is no pinpad, another one types, nothing is asked for within `wait_seconds`, or more
    is asked for than there are entries.
    """
    if not entries or not all(
        entry.isascii() and (entry.isdigit() or not entry) for entry in entries
    ):
        raise PinpadError("a pinpad has the digits 0 to 9 alone: give one PIN for each question")
    deadline = time.monotonic() + wait_seconds
    with closing(_connect(socket_of(address), wait_seconds)) as connection:
        wire = Wire(connection)
        try:
            return _type(wire, entries, last, deadline)
        except StayOver:
            raise PinpadError(
                f"the reader at {address} asked for nothing more within {wait_seconds:g} s"
            ) from None
        except (WireClosed, OSError) as error:
            raise PinpadError(
                f"the pinpad of {address} closed: does another one type, has the reader stopped?"
            ) from error


def _type(wire: Wire, entries: Sequence[str], last: Key, deadline: float) -> Typed:
    typed = 0
    while True:
        message = wire.receive(lambda: deadline)
        if len(message) == 3 and message[0] == OVER and typed:
            return Typed(typed, int.from_bytes(message[1:]))
        if len(message) != 4 or message[0] != ENTRY:
            continue
        if typed == len(entries):
            raise PinpadError("the reader asks for one PIN more than there are: give one for each")
        typed += 1
        end = last if typed == len(entries) else Key.OK
        for key in (*entries[typed - 1].encode(), end):
            wire.send(bytes((key,)))


def _connect(path: Path, wait_seconds: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(wait_seconds)
    try:
        connection.connect(str(path))
    except OSError as error:
        with suppress(OSError):
            connection.close()
        raise PinpadError(
            f"no pinpad at {path} ({error.strerror or error}): start cardd with a virtual reader "
            "that announces one"
        ) from error
    return connection
