"""PC/SC through pyscard's `smartcard.scard`: the one file that imports it.

Import this file only where PC/SC is enabled: cardd also runs where pyscard cannot be built.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from cardd.errors import CardProtocolError, CardRemoved, ReaderUnavailable, StartCode, StartError
from cardd.readers import pcsc_errors as codes
from cardd.readers.pcsc_errors import error_of
from cardd.readers.resource_manager import STATE_UNAWARE, ReaderState

BUSY_LIMIT_S = 2.0
BUSY_PAUSE_S = (0.01, 0.05)
KEPT_CONTEXTS = 8
LONGEST_COMMAND = 65_544
"""An extended APDU: 4 + 3 + 65535 + 2 bytes (ISO/IEC 7816-3, 12.1.3)."""

ATTR_ATR_STRING: Final = 0x00090303
"""PC/SC part 3, 3.1.4: the ATR, as the reader keeps it."""


def open_resource_manager() -> "PcscResourceManager":
    """Load pyscard; raise StartError (`backend_not_installed`). pcscd itself need not run yet."""
    try:
        scard = import_module("smartcard.scard")
    except ImportError as error:
        raise StartError(
            StartCode.BACKEND_NOT_INSTALLED,
            "readers.pcsc is on, and pyscard is not installed: install cardd[pcsc] (it needs gcc,"
            f" swig and libpcsclite-dev), or set readers.pcsc = false ({error})",
        ) from error
    return PcscResourceManager(scard)


class PcscResourceManager:
    """PC/SC on this machine (`ResourceManager`); its methods may be called from any thread."""

    def __init__(self, scard: ModuleType) -> None:
        self._scard = scard
        self._lock = threading.Lock()
        self._idle: list[PcscContext] = []
        self._closed = False

    def establish(self) -> "PcscContext":
        """Connect to pcscd. Raises ReaderUnavailable; the message says what to do."""
        handle = _call(self._scard.SCardEstablishContext, self._scard.SCARD_SCOPE_SYSTEM)
        return PcscContext(self._scard, handle)

    def connect(self, reader: str) -> "PcscConnection":
        """Connect to the card in a reader, shared with other programs.

        A context is a socket to pcscd and a mutex, so each connection has its own: one that is
        stuck holds up no other. Contexts are kept for the next card.
        """
        kept = self._take()
        if kept is not None:
            try:
                return PcscConnection(kept, self._give_back, reader)
            except ReaderUnavailable:
                # pcscd was restarted since: its old contexts are all dead.
                kept.release()
                self._release_idle()
            except Exception:
                self._give_back(kept)
                raise
        context = self.establish()
        try:
            return PcscConnection(context, self._give_back, reader)
        except Exception:
            context.release()
            raise

    def close(self) -> None:
        """Release the kept contexts."""
        self._closed = True
        self._release_idle()

    def _take(self) -> "PcscContext | None":
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, context: "PcscContext") -> None:
        with self._lock:
            if not self._closed and len(self._idle) < KEPT_CONTEXTS:
                self._idle.append(context)
                return
        context.release()

    def _release_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for context in idle:
            context.release()


class PcscContext:
    """An SCARDCONTEXT (`Context`)."""

    def __init__(self, scard: ModuleType, handle: int) -> None:
        self.scard = scard
        self.handle = handle

    def list_readers(self) -> tuple[str, ...]:
        """Return the names of the readers."""
        code, readers = _result(self.scard.SCardListReaders, self.handle, [])
        if code == codes.E_NO_READERS_AVAILABLE:
            return ()
        _check(code, "SCardListReaders")
        return tuple(readers)

    def wait(self, states: Sequence[ReaderState], limit_s: float) -> tuple[ReaderState, ...]:
        """Wait for a change; see `Context.wait`."""
        code, found = _result(
            self.scard.SCardGetStatusChange,
            self.handle,
            round(limit_s * 1000),
            [(state.reader, state.state) for state in states],
        )
        if code in {codes.E_TIMEOUT, codes.E_CANCELLED}:
            return ()
        _check(code, "SCardGetStatusChange")
        return tuple(ReaderState(reader, state, bytes(atr)) for reader, state, atr in found)

    def cancel(self) -> None:
        """Cut a wait short."""
        _result(self.scard.SCardCancel, self.handle)

    def release(self) -> None:
        """Give the context back."""
        _result(self.scard.SCardReleaseContext, self.handle)


class PcscConnection:
    """A card connected in shared mode (`CardConnection`)."""

    def __init__(
        self, context: PcscContext, give_back: Callable[[PcscContext], None], reader: str
    ) -> None:
        self._context = context
        self._scard = context.scard
        self._give_back = give_back
        self._reader = reader
        self._atr: bytes | None = None
        self._depth = 0
        self._open = False
        scard = self._scard
        self._protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        self._card, self._protocol = _patiently(
            scard.SCardConnect, context.handle, reader, scard.SCARD_SHARE_SHARED, self._protocols
        )
        self._open = True

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        if self._atr is None:
            # Not SCardStatus: pcsc-lite's waits for as long as another program holds the card.
            (seen,) = self._context.wait([ReaderState(self._reader, STATE_UNAWARE)], 0.0) or (None,)
            if seen is None or not seen.atr:
                raise CardRemoved("the card was taken away: show it again")
            self._atr = seen.atr
        return self._atr

    def transmit(self, command: bytes) -> bytes:
        """Send a command APDU and return the response APDU; see `CardConnection.transmit`."""
        if not 4 <= len(command) <= LONGEST_COMMAND:
            raise ValueError(f"a command APDU has 4 to {LONGEST_COMMAND} bytes")
        self._wait_for_turn()
        answer = bytes(
            _patiently(self._scard.SCardTransmit, self._handle(), self._protocol, list(command))
        )
        if len(answer) < 2:
            raise CardProtocolError(f"an answer has 2 bytes or more; the card sent {len(answer)}")
        return answer

    def control(self, code: int, data: bytes) -> bytes:
        """Send a control code to the reader; see `CardConnection.control`."""
        self._wait_for_turn()
        return bytes(_patiently(self._scard.SCardControl, self._handle(), code, list(data)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other programs off the card; CardBusy when one holds it for 2 s. May be nested."""
        if self._depth == 0:
            self._begin()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._open:
                _result(self._scard.SCardEndTransaction, self._card, self._scard.SCARD_LEAVE_CARD)

    def reset(self) -> None:
        """Reset the card, which drops its security state."""
        self._wait_for_turn()
        self._reconnect(self._scard.SCARD_RESET_CARD)

    def close(self) -> None:
        """Let go of the card, and leave it as it is for other programs."""
        if not self._open:
            return
        self._open = False
        code, _ = _result(self._scard.SCardDisconnect, self._card, self._scard.SCARD_LEAVE_CARD)
        if code in codes.LOST:
            self._context.release()
        else:
            self._give_back(self._context)

    def _handle(self) -> int:
        if not self._open:
            raise CardRemoved("this connection was closed")
        return int(self._card)

    def _begin(self) -> None:
        self._wait_for_turn()
        code, _ = _result(self._scard.SCardBeginTransaction, self._handle())
        if code == codes.W_RESET_CARD:
            # Another program reset the card before our exchange: nothing of ours is lost.
            self._reconnect(self._scard.SCARD_LEAVE_CARD)
            code, _ = _result(self._scard.SCardBeginTransaction, self._handle())
        _check(code, "SCardBeginTransaction")

    def _wait_for_turn(self) -> None:
        """Wait, at most 2 s, until no other program has a transaction.

        pcsc-lite itself waits for ever; its SCardGetAttrib alone tells at once.
        """
        if self._depth == 0:
            _patiently(
                self._scard.SCardGetAttrib, self._handle(), ATTR_ATR_STRING, only_sharing=True
            )

    def _reconnect(self, how: int) -> None:
        self._protocol = _call(
            self._scard.SCardReconnect,
            self._handle(),
            self._scard.SCARD_SHARE_SHARED,
            self._protocols,
            how,
        )
        self._atr = None


def _result(function: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """Call pyscard; return the code, and what else it returned."""
    try:
        result = function(*arguments)
    except SystemError:
        # pyscard fails so when pcscd goes away between two of its own calls.
        return codes.E_NO_SERVICE, None
    if isinstance(result, int):
        return result & 0xFFFFFFFF, None
    code, *values = result
    return code & 0xFFFFFFFF, values[0] if len(values) == 1 else values


def _check(code: int, call: str) -> None:
    if code != codes.SUCCESS:
        raise error_of(code, call)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    code, value = _result(function, *arguments)
    _check(code, function.__name__)
    return value


def _patiently(function: Callable[..., Any], *arguments: Any, only_sharing: bool = False) -> Any:
    """Call pyscard, again and again for 2 s while another program holds the card."""
    limit = time.monotonic() + BUSY_LIMIT_S
    while True:
        code, value = _result(function, *arguments)
        if code != codes.E_SHARING_VIOLATION or time.monotonic() >= limit:
            break
        # The jitter keeps two programs from asking in step; it needs no strong randomness.
        time.sleep(random.uniform(*BUSY_PAUSE_S))  # noqa: S311
    if not only_sharing or code == codes.E_SHARING_VIOLATION:
        _check(code, function.__name__)
    return value
