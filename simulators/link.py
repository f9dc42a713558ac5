"""A virtual card in a virtual reader: the card end of the vpcd wire.

A message of one byte is a control code of the reader (0 off, 1 on, 2 reset; 4 asks for the ATR and
alone has an answer); anything longer is a command APDU.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, Self

from simulators.address import ReaderAddress
from simulators.air import AirInterface
from simulators.faults import Faults, Mute, Torn
from simulators.stay import Fixed, Stay, Times
from simulators.wire import StayOver, Wire, WireClosed

POWER_OFF, POWER_ON, RESET, GET_ATR = 0, 1, 2, 4
NOTICE_SECONDS = 0.3
ABSENCE_SECONDS = 0.6
RETRY_SECONDS = 0.05
CONNECT_SECONDS = 5.0
PULL_SECONDS = 5.0
STAY_SECONDS = 60.0


class VirtualCard(Protocol):
    """A card, as the link moves it into a reader."""

    @property
    def atr(self) -> bytes:
        """The answer to reset."""

    def power_on(self) -> None:
        """Get power from the reader."""

    def power_off(self) -> None:
        """Lose power."""

    def reset(self) -> None:
        """Be reset."""

    def transmit(self, command: bytes) -> bytes:
        """Answer a command APDU."""


class LinkError(Exception):
    """The card could not be put in the reader; the message says what to do."""


class Insertion:
    """A card in a reader: served, in its `with` block, until it is pulled or its stay ends.

    A daemon thread serves it. `error` is what ended it, where that was a fault of the card or of
    its file.
    """

    def __init__(
        self,
        card: VirtualCard,
        connect: Callable[[], Wire],
        stay: Stay,
        faults: Faults,
        air: AirInterface | None,
    ) -> None:
        self.error: Exception | None = None
        self.answered = 0
        self._card = card
        self._connect = connect
        self._wire = connect()
        self._stay = stay
        self._faults = faults
        self._air = air
        self._times = Times(time.monotonic())
        self._gone = False
        self._first_poll: float | None = None
        self._pulled = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="virtual-card", daemon=True)

    @property
    def powered(self) -> bool:
        """Whether the reader has powered the card."""
        return self._times.powered is not None

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except BaseException:  # A signal: the reader may have begun to talk to the card.
            self.pull()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()

    def wait_commands(self, count: int, timeout: float) -> bool:
        """Wait until `count` command APDUs of this insertion were answered, and say if they were.

        Returns False as soon as the card has left, or after `timeout` seconds.
        """
        return self._wait(lambda: self.answered >= count, timeout)

    def wait_powered(self, timeout: float) -> bool:
        """Wait until the reader has powered the card, and say if it has."""
        return self._wait(lambda: self.powered, timeout)

    def wait_gone(self, timeout: float) -> bool:
        """Wait until the card has left the reader, and say if it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._gone, timeout)

    def pull(self) -> None:
        """Take the card out, after the answer that is under way; a second call does nothing."""
        self._pulled.set()
        with suppress(OSError):
            self._wire.stop_receiving()
        if self._thread.ident is not None:
            self._thread.join(PULL_SECONDS)

    def _wait(self, happened: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: happened() or self._gone, timeout)
            return happened()

    def _serve(self) -> None:
        try:
            while not self._pulled.is_set():
                self._take(self._wire.receive(self._deadline))
        except (StayOver, WireClosed, Torn, OSError):
            pass  # All of them are ways to leave a reader.
        except Exception as error:  # noqa: BLE001 - reported by whoever inserted the card
            self.error = error
        finally:
            self._leave()

    def _leave(self) -> None:
        self._wire.close()
        with suppress(Exception):
            self._card.power_off()
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def _deadline(self) -> float:
        return self._stay.until(self._times)

    def _take(self, message: bytes) -> None:
        if len(message) > 1:
            self._answer(message)
        elif message == bytes((GET_ATR,)):
            self._show_atr()
        elif message:
            self._control(message[0])

    def _show_atr(self) -> None:
        """Answer the reader's poll; come anew where it takes this card for the one before it.

        A driver powers a new card at its first poll. One that missed the moment without a card
        polls on instead, so the card leaves for longer than the 0.4 s between two polls.
        """
        now = time.monotonic()
        first = self._first_poll = self._first_poll or now
        if self.powered or now - first < NOTICE_SECONDS:
            self._wire.send(self._card.atr)
            return
        self._first_poll = None
        self._wire.close()
        if not self._pulled.wait(ABSENCE_SECONDS):
            self._wire = self._connect()

    def _control(self, code: int) -> None:
        if code == POWER_OFF:
            self._card.power_off()
        elif code == POWER_ON:
            self._card.power_on()
        elif code == RESET:
            self._card.reset()
        if code in {POWER_ON, RESET} and not self.powered:
            with self._changed:
                self._times.powered = time.monotonic()
                self._changed.notify_all()

    def _answer(self, command: bytes) -> None:
        try:
            answer = self._faults.transmit(self._card.transmit, command)
        except Mute:
            self._pulled.wait(max(0.0, self._deadline() - time.monotonic()))
            raise StayOver from None
        late = self._faults.pause_seconds
        if self._air is not None:
            late += self._air.seconds(command, answer)
        if late:
            self._pulled.wait(late)
        self._wire.send(answer)
        with self._changed:
            self.answered += 1
            self._times.last_command = time.monotonic()
            self._changed.notify_all()


def insert(
    card: VirtualCard,
    address: str,
    *,
    stay: Stay | None = None,
    faults: Faults | None = None,
    air: AirInterface | None = None,
    connect_seconds: float = CONNECT_SECONDS,
) -> Insertion:
    """Put a card in the reader at `address`; it answers in the `with` block of what is returned.

    Waits up to `connect_seconds` for the reader to be there. The card leaves by itself at the end
    of `stay` (60 s). Raises AddressError, LinkError.
    """
    reader = ReaderAddress.parse(address)

    def connect() -> Wire:
        return Wire(_connect(reader, connect_seconds))

    return Insertion(card, connect, stay or Fixed(STAY_SECONDS), faults or Faults(), air)


def _connect(address: ReaderAddress, connect_seconds: float) -> socket.socket:
    deadline = time.monotonic() + connect_seconds
    pause = threading.Event()
    while True:
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(RETRY_SECONDS, deadline - time.monotonic()))
            connection.connect(address.target)
            # A client may meet itself on a free local port in the ephemeral range, where vpcd's is.
            if connection.getsockname() != connection.getpeername():
                return connection
            reason: OSError = ConnectionRefusedError("Connection refused")
        except OSError as error:
            reason = error
        connection.close()
        patient = isinstance(reason, (ConnectionRefusedError, FileNotFoundError))
        if not patient or time.monotonic() + RETRY_SECONDS > deadline:
            raise LinkError(
                f"no virtual reader at {address.text} ({reason.strerror or reason}): start cardd "
                "or pcscd with vpcd, or name another one with --reader"
            ) from reason
        pause.wait(RETRY_SECONDS)
