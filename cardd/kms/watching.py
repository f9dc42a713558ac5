"""The kept stream of notices of a remote key service, resumed wherever it breaks."""

import random
import threading
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import structlog

from cardd.errors import KmsUnavailable
from cardd.kms import wire
from cardd.kms.endpoints import Endpoint, Endpoints
from cardd.kms.links import Link, LinkLost, Request
from cardd.kms.messages import Notice

SILENCE_S = 2.4 * wire.HEARTBEAT_S
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0

_log = structlog.get_logger(__name__)
_line = msgspec.json.Decoder(wire.NoticeLine)


class Watcher:
    """Follows the notices in a thread of its own, until `stop`, and calls `listener` there."""

    def __init__(self, endpoints: Endpoints, listener: Callable[[Notice], None]) -> None:
        self._endpoints = endpoints
        self._listener = listener
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._link: Link | None = None
        self._since: str | None = None
        self._hearing = True
        self._heard_some = False
        threading.Thread(target=self._run, name="kms notices", daemon=True).start()

    def stop(self) -> None:
        """End it; nothing is heard after that. Returns at once."""
        self._stopping.set()
        with self._lock:
            link = self._link
        if link is not None:
            link.close()

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._heard_some = False
            try:
                self._follow()
            except KmsUnavailable as error:
                self._lost(str(error))
            pause_s = FIRST_PAUSE_S if self._heard_some else min(pause_s * 2, LONGEST_PAUSE_S)
            # Not in step with other workstations that lost the same stream.
            self._stopping.wait(pause_s * (0.5 + random.random()))  # noqa: S311 - no secret

    def _follow(self) -> None:
        """Follow one stream to its end."""
        for endpoint in self._endpoints.usable():
            link = endpoint.connect()
            with self._lock:
                self._link = link
            if self._stopping.is_set():
                link.close()
            self._read(endpoint, link)
            return
        raise self._endpoints.unavailable()

    def _read(self, endpoint: Endpoint, link: Link) -> None:
        path = wire.NOTICES if self._since is None else f"{wire.NOTICES}?since={quote(self._since)}"
        try:
            for line in link.lines(Request("GET", path), SILENCE_S):
                endpoint.backoff.succeeded()
                self._heard(line)
        except LinkLost as lost:
            if not link.used:
                raise endpoint.failed(str(lost)) from lost
            self._lost(str(lost))
        except msgspec.MsgspecError:
            self._lost("what it says is not understood")
        finally:
            endpoint.backoff.released()

    def _heard(self, line: bytes) -> None:
        self._heard_some = True
        if not self._hearing:
            _log.info("kms.notices_resumed")
        self._hearing = True
        if not line or self._stopping.is_set():
            return
        told = _line.decode(line)
        self._since = told.id
        try:
            self._listener(told.notice)
        except Exception:  # noqa: BLE001 - the next notice is still to be heard
            _log.exception("kms.notice_failed")

    def _lost(self, why: str) -> None:
        if self._hearing and not self._stopping.is_set():
            _log.warning("kms.notices_lost", reason=why)
        self._hearing = False
