"""PC/SC through pyscard's `smartcard.scard`: the one file that loads it, when it is asked to.

cardd also runs where pyscard cannot be built.
"""

import threading
from importlib import import_module
from types import ModuleType

from cardd.errors import ReaderUnavailable, StartCode, StartError
from cardd.readers.pcsc_calls import call
from cardd.readers.pcsc_connection import PcscConnection
from cardd.readers.pcsc_context import AttemptAbandoned, PcscContext
from cardd.readers.resource_manager import ReaderState

KEPT_CONTEXTS = 8


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

    def establish(self) -> PcscContext:
        """Connect to pcscd. Raises ReaderUnavailable; the message says what to do."""
        handle = call(self._scard.SCardEstablishContext, self._scard.SCARD_SCOPE_SYSTEM)
        return PcscContext(self._scard, handle)

    def connect(self, reader: str) -> PcscConnection:
        """Connect to the card in a reader, shared with other programs.

        A context is a socket to pcscd and a mutex, so each connection has its own: one that is
        stuck holds up no other. Contexts are kept for the next card. Raises as
        `CardConnection.transmit` does.
        """
        context, seen = self._look(reader)
        try:
            card = context.attach(seen)
        except AttemptAbandoned:
            raise
        except Exception:
            context.release()
            raise
        return PcscConnection(context, card, seen, self._give_back)

    def close(self) -> None:
        """Release the kept contexts."""
        self._closed = True
        self._release_idle()

    def _look(self, reader: str) -> tuple[PcscContext, ReaderState]:
        """Return a context that works, kept or new, and the state of the reader."""
        kept = self._take()
        if kept is not None:
            try:
                return kept, kept.look(reader)
            except ReaderUnavailable:
                # pcscd was restarted since: its old contexts are all dead.
                kept.release()
                self._release_idle()
            except Exception:
                self._give_back(kept)
                raise
        context = self.establish()
        try:
            return context, context.look(reader)
        except Exception:
            context.release()
            raise

    def _take(self) -> PcscContext | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, context: PcscContext) -> None:
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
