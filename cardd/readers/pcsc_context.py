"""A context of PC/SC: what lists, waits and connects."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import ModuleType

from cardd.errors import CardBusy, CardError, CardRemoved
from cardd.readers import pcsc_errors as codes
from cardd.readers.pcsc_calls import BUSY_LIMIT_S, check, patiently, result_of
from cardd.readers.resource_manager import (
    STATE_EXCLUSIVE,
    STATE_INUSE,
    STATE_PRESENT,
    STATE_UNAWARE,
    ReaderState,
)


class AttemptAbandoned(CardBusy):
    """A connect still waits for another program; its context is no longer the caller's."""


@dataclass(frozen=True, slots=True)
class CardHandle:
    """An SCARDHANDLE, and the protocol that was agreed with the card."""

    handle: int
    protocol: int


class PcscContext:
    """An SCARDCONTEXT (`Context`)."""

    def __init__(self, scard: ModuleType, handle: int) -> None:
        self.scard = scard
        self._handle = handle

    def list_readers(self) -> tuple[str, ...]:
        """Return the names of the readers; see `Context.list_readers`."""
        code, readers = result_of(self.scard.SCardListReaders, self._handle, [])
        if code == codes.E_NO_READERS_AVAILABLE:
            return ()
        check(code, "SCardListReaders")
        return tuple(readers)

    def wait(self, states: Sequence[ReaderState], limit_s: float) -> tuple[ReaderState, ...]:
        """Wait for a change; see `Context.wait`."""
        code, found = result_of(
            self.scard.SCardGetStatusChange,
            self._handle,
            round(limit_s * 1000),
            [(state.reader, state.state) for state in states],
        )
        if code in {codes.E_TIMEOUT, codes.E_CANCELLED}:
            return ()
        check(code, "SCardGetStatusChange")
        return tuple(ReaderState(reader, state, bytes(atr)) for reader, state, atr in found)

    def look(self, reader: str) -> ReaderState:
        """Return the present state of a reader that holds a card; raise CardRemoved for none."""
        (seen,) = self.wait([ReaderState(reader, STATE_UNAWARE)], 0.0) or (ReaderState(reader),)
        if not seen.state & STATE_PRESENT:
            raise CardRemoved("there is no card in the reader: show one")
        return seen

    def attach(self, seen: ReaderState) -> CardHandle:
        """Connect to the card in a reader that `look` has just seen, shared with other programs.

        Raises CardBusy after 2 s; AttemptAbandoned if this context must then be left alone.
        """
        if seen.state & (STATE_INUSE | STATE_EXCLUSIVE):
            return self._attach_behind(seen.reader)
        return self._attach(seen.reader)

    def cancel(self) -> None:
        """Cut a wait short."""
        result_of(self.scard.SCardCancel, self._handle)

    def release(self) -> None:
        """Give the context back."""
        result_of(self.scard.SCardReleaseContext, self._handle)

    def _attach(self, reader: str) -> CardHandle:
        scard = self.scard
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        handle, protocol = patiently(
            scard.SCardConnect, self._handle, reader, scard.SCARD_SHARE_SHARED, protocols
        )
        return CardHandle(handle, protocol)

    def _attach_behind(self, reader: str) -> CardHandle:
        """Connect where another program already is.

        pcscd lets SCardConnect wait for the end of another's transaction, without limit; so it
        waits in a thread of its own, which cleans up when it is let go too late.
        """
        attempt: Future[CardHandle] = Future()

        def try_it() -> None:
            try:
                attempt.set_result(self._attach(reader))
            except CardError as error:
                attempt.set_exception(error)

        threading.Thread(target=try_it, name=f"connect {reader}", daemon=True).start()
        try:
            return attempt.result(BUSY_LIMIT_S)
        except TimeoutError:
            attempt.add_done_callback(self._clean_up)
            raise AttemptAbandoned(
                "another program holds the card: close it, or try again"
            ) from None

    def _clean_up(self, attempt: Future[CardHandle]) -> None:
        if attempt.exception() is None:
            card = attempt.result().handle
            result_of(self.scard.SCardDisconnect, card, self.scard.SCARD_LEAVE_CARD)
        self.release()
