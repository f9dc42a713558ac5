"""The keypad of a built-in virtual reader: its keys are bytes on a Unix socket beside the reader's.

Both ways a 2-byte big-endian length and that many bytes. From the typist one key each: "0" to "9",
OK, correction, cancel. From the reader ENTRY WHICH MIN MAX when it asks for a PIN, and OVER SW1 SW2
at the end. What is typed while nothing is asked for is ignored.
"""

import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from cardd.errors import CardRemoved
from cardd.readers.listening import listen, stop_listening
from cardd.readers.pinpad import ENTRY_S, Keyed, PinEntry

ENTRY, OVER = 0x01, 0x02
VERIFYING = 0x00
CORRECTION, OK, CANCEL = 0x08, 0x0D, 0x1B
SUFFIX = ".keys"
LOOK_S = 0.1
LONGEST_MESSAGE = 4

Gone = Callable[[], bool]
"""Tells whether the card has left the reader."""


class VirtualPinpad:
    """Asks a typist for a PIN. One entry at a time, in the thread that wants it.

    `address` is the reader's, `unix:PATH`; the keys are at `PATH.keys`.
    """

    def __init__(self, address: str) -> None:
        self._address = address + SUFFIX
        self._door: socket.socket | None = None
        self._typist: socket.socket | None = None
        self._received = bytearray()

    def open(self) -> None:
        """Take the address; raise StartError as `listen` does."""
        self._door = listen(self._address)
        self._door.setblocking(False)

    def close(self) -> None:
        """Let the typist go and free the address."""
        self._dismiss()
        if self._door is not None:
            stop_listening(self._door)
            self._door = None

    def verify(self, entry: PinEntry, transmit: Callable[[bytes], bytes], gone: Gone) -> bytes:
        """Ask for a PIN and send it to the card; return the card's status word, or the reader's.

        Raises CardRemoved where the card left meanwhile, and what `transmit` raises.
        """
        status = 0
        try:
            typed = self.digits(entry, ENTRY_S, gone)
            if isinstance(typed, Keyed):
                status = typed
            else:
                status = int.from_bytes(transmit(entry.command(typed))[-2:])
        finally:
            self.over(status)
        return status.to_bytes(2)

    def digits(self, entry: PinEntry, limit_s: float, gone: Gone) -> bytes | Keyed:
        """Return the digits that were typed, or how the entry ended without them.

        Raises CardRemoved where the card left meanwhile.
        """
        deadline = time.monotonic() + limit_s
        self._admit()
        self._forget_keys()
        self._ask(entry)
        typed = bytearray()
        while time.monotonic() < deadline:
            if gone():
                raise CardRemoved("the card was taken away while the PIN was typed")
            for key in self._keys(entry):
                if key == OK:
                    fits = entry.minimum <= len(typed) <= entry.maximum
                    return bytes(typed) if fits else Keyed.WRONG_LENGTH
                if key == CANCEL:
                    return Keyed.CANCELLED
                if key == CORRECTION:
                    typed.clear()
                elif len(typed) <= entry.maximum:
                    typed.append(key)
        return Keyed.TIMED_OUT

    def over(self, status: int) -> None:
        """Tell the typist how it ended; 0 where the card left."""
        self._say(bytes((OVER,)) + status.to_bytes(2))

    def _ask(self, entry: PinEntry) -> None:
        self._say(bytes((ENTRY, VERIFYING, entry.minimum, entry.maximum)))

    def _keys(self, entry: PinEntry) -> list[int]:
        """Wait a moment for keys, or for a typist; return the keys that are known."""
        sockets = [each for each in (self._door, self._typist) if each is not None]
        ready, _, _ = select.select(sockets, [], [], LOOK_S)
        keys = self._read() if self._typist in ready else []
        if self._door is not None and self._door in ready:
            former = self._typist
            self._admit()
            if self._typist is not former:
                self._forget_keys()
                self._ask(entry)
        return keys

    def _admit(self) -> None:
        """Take a typist, or turn one away where another types."""
        if self._door is None:
            return
        with suppress(OSError):
            channel, _ = self._door.accept()
            channel.setblocking(False)
            if self._typist is not None and not _has_left(self._typist):
                channel.close()
                return
            self._dismiss()
            self._typist = channel

    def _read(self) -> list[int]:
        if self._typist is None:
            return []
        try:
            chunk = self._typist.recv(256)
        except BlockingIOError:
            return []
        except OSError:
            chunk = b""
        if not chunk:
            self._dismiss()
            return []
        self._received += chunk
        return self._messages()

    def _messages(self) -> list[int]:
        """Take whole messages of one key out of what came in; dismiss who breaks the wire."""
        keys = []
        while len(self._received) >= 2:
            length = int.from_bytes(self._received[:2])
            if not 0 < length <= LONGEST_MESSAGE:
                self._dismiss()
                break
            if len(self._received) < 2 + length:
                break
            message = bytes(self._received[2 : 2 + length])
            del self._received[: 2 + length]
            if length == 1 and (message.isdigit() or message[0] in {CORRECTION, OK, CANCEL}):
                keys.append(message[0])
        return keys

    def _forget_keys(self) -> None:
        """Drop what was typed before anything was asked for."""
        self._read()
        self._received.clear()

    def _say(self, message: bytes) -> None:
        if self._typist is None:
            return
        try:
            self._typist.sendall(len(message).to_bytes(2) + message)
        except OSError:
            self._dismiss()

    def _dismiss(self) -> None:
        typist, self._typist = self._typist, None
        self._received.clear()
        if typist is not None:
            typist.close()


def _has_left(typist: socket.socket) -> bool:
    poll = select.poll()
    poll.register(typist, select.POLLRDHUP)
    return bool(poll.poll(0))
