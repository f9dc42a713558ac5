"""The built-in virtual reader: the reader end of the vpcd wire on a loopback port or Unix socket.

A virtual card plugs into it as it plugs into vpcd, and no pcscd is needed. One daemon thread waits
for a card to connect, for its socket to hang up (both are seen at once), and asks it for its ATR
from time to time; commands go to the card straight from the thread that sends them.
"""

import os
import select
import socket
import threading
import time

import structlog

from cardd.errors import CardError, CardRemoved, StartError
from cardd.iso7816.connection import CardConnection
from cardd.readers.listening import address_of, listen, stop_listening
from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    Listener,
    ReaderAdded,
    ReaderEvent,
    ReaderFault,
    ReaderRecovered,
    SourceLost,
)
from cardd.readers.virtual_connection import VirtualCard, VirtualConnection
from cardd.readers.virtual_pinpad import VirtualPinpad
from cardd.readers.vpcd_link import VpcdLink

PRESENCE_S = 0.3
STOP_LIMIT_S = 1.8
HUNG_UP = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL

_log = structlog.get_logger(__name__)


class VirtualSource:
    """One virtual reader, as a ReaderSource. `address` is `unix:PATH` or `tcp:127.0.0.1:PORT`.

    With `has_pinpad` it announces a keypad, whose keys are at `PATH.keys`.
    """

    def __init__(
        self,
        reader: str,
        address: str,
        *,
        answer_timeout_s: float = 3.0,
        has_pinpad: bool = False,
    ) -> None:
        self.name = f"virtual:{reader}"
        self._reader = reader
        self._address = address
        self._answer_timeout_s = answer_timeout_s
        self._listener: Listener = lambda _: None
        self._pinpad = VirtualPinpad(address) if has_pinpad else None
        self._entrance: socket.socket | None = None
        self._wake_read, self._wake_write = -1, -1
        self._link: VpcdLink | None = None
        self._card: VirtualCard | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._beat = time.monotonic()
        self.turns = 0

    def open(self) -> None:
        """Take the address, before `start`; raise StartError as `listen` does."""
        if self._entrance is None:
            self._entrance = listen(self._address)
            self._entrance.setblocking(False)
            if self._pinpad is not None:
                self._pinpad.open()

    @property
    def address(self) -> str:
        """The address that cards connect to; with port 0, the port is known after `open`."""
        return self._address if self._entrance is None else address_of(self._entrance)

    def start(self, listener: Listener) -> None:
        """Start watching; an address that cannot be had is a SourceLost."""
        self._listener = listener
        try:
            self.open()
        except StartError as error:
            self._tell(SourceLost(self.name, str(error)))
            return
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, power the card off, and free the address. A second call does nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        link = self._link
        if link is not None:
            link.power_off()
            link.drop()
        if self._thread.is_alive():
            os.write(self._wake_write, b"x")
            self._thread.join(STOP_LIMIT_S)
        for descriptor in (self._wake_read, self._wake_write):
            if descriptor >= 0:
                os.close(descriptor)
        if self._pinpad is not None:
            self._pinpad.close()
        if self._entrance is not None:
            stop_listening(self._entrance)

    def connect(self, reader: str) -> CardConnection:
        """Connect to the card. Raises CardRemoved where there is none."""
        card = self._card
        if card is None or reader != self._reader:
            raise CardRemoved(f"there is no card in {reader}: show one")
        return VirtualConnection(card)

    def heartbeat(self) -> float:
        """Return the `time.monotonic()` of the last turn of the watching loop."""
        return self._beat

    def _run(self) -> None:
        self._tell(ReaderAdded(self._reader))
        while not self._stopping.is_set():
            self.turns += 1
            self._beat = time.monotonic()
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - the thread must live on
                _log.exception("virtual.watch_failed", reader=self._reader)
                self._stopping.wait(PRESENCE_S)
        self._withdraw()

    def _turn(self) -> None:
        """Wait for a card, its end, or the time to ask whether it is still there."""
        ready = self._poll()
        link = self._link
        if link is not None and ready.get(link.fileno(), 0) & HUNG_UP:
            self._withdraw()
        elif link is not None and not ready:
            self._ask_presence(link)
        if self._entrance is not None and self._entrance.fileno() in ready:
            self._admit(self._entrance)

    def _poll(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if self._entrance is not None:
            poll.register(self._entrance, select.POLLIN)
        if self._link is None:
            return dict(poll.poll(1000))
        # Not POLLIN: what comes in is the answer to whoever sent a command.
        poll.register(self._link, select.POLLRDHUP)
        return dict(poll.poll(PRESENCE_S * 1000))

    def _admit(self, entrance: socket.socket) -> None:
        """Take a card that connects, or turn it away where there is one."""
        try:
            channel, _ = entrance.accept()
        except OSError:
            return  # It went away again.
        if self._link is not None or self._stopping.is_set():
            _log.warning("virtual.second_card_refused", reader=self._reader)
            channel.close()
            return
        link = self._link = VpcdLink(channel, self._answer_timeout_s)
        try:
            link.power_on()
            atr = link.atr()
        except CardRemoved:
            self._withdraw()
        except CardError as error:
            self._withdraw()
            self._tell(ReaderFault(self._reader, f"a card was refused: {error}"))
            self._tell(ReaderRecovered(self._reader))
        else:
            self._card = VirtualCard(link, atr, self._pinpad)
            self._tell(CardInserted(self._reader, atr))

    def _ask_presence(self, link: VpcdLink) -> None:
        card = self._card
        if card is None or card.in_use():
            return
        if not link.still_there():
            self._withdraw()

    def _withdraw(self) -> None:
        link, self._link = self._link, None
        card, self._card = self._card, None
        if link is not None:
            link.close()
        if card is not None:
            self._tell(CardWithdrawn(self._reader))

    def _tell(self, event: ReaderEvent) -> None:
        if self._stopping.is_set():
            return
        try:
            self._listener(event)
        except Exception:  # noqa: BLE001 - a listener's fault must not stop the watch
            _log.exception("virtual.listener_failed", reader=self._reader)
