"""Tells the workstations what the KMS ended."""

import threading
from collections.abc import Callable

import structlog

from cardd.kms.messages import Notice

Listener = Callable[[Notice], None]

_log = structlog.get_logger(__name__)


class Notices:
    """A list of listeners. One that raises is logged, and the others are told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Add a listener, called from any thread; return what takes it away again."""
        with self._lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def tell(self, notice: Notice) -> None:
        """Call every listener."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            try:
                listener(notice)
            except Exception:  # noqa: BLE001 - one listener's fault is not the others'
                _log.exception("kms.notice_failed")
