"""Requests to the key services of `kms.urls`: one kept link per thread, to the first that answers.

Nothing is asked twice that must not be done twice, and nobody is asked again who has just failed.
"""

import threading
import time
import weakref
from dataclasses import dataclass

from cardd.errors import KmsUnavailable
from cardd.kms.endpoints import Endpoint, Endpoints
from cardd.kms.links import Answer, Link, LinkLost, Request
from cardd.kms.replies import is_unavailable

# A reader whose worker is silent for 5 s counts as stuck.
CALL_S = 4.0


@dataclass(slots=True)
class _Kept:
    endpoint: Endpoint
    link: Link


class Exchanges:
    """Sends requests; every error is KmsUnavailable. Thread-safe."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._local = threading.local()
        self._lock = threading.Lock()
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()
        self._closed = False

    def ask(self, request: Request) -> Answer:
        """Ask over this thread's link, or over a new one where it has none that lives."""
        answer = self._over_kept(request)
        return self._over_new(request) if answer is None else answer

    def go_on(self, request: Request) -> Answer:
        """Ask over this thread's link, and over no other."""
        kept = self._kept()
        if kept is None:
            raise KmsUnavailable(
                "the connection to the key service was lost in the middle; present the badge again"
            )
        try:
            return kept.link.ask(request)
        except LinkLost as lost:
            raise self._lost(kept.endpoint, lost) from lost

    def has_link(self) -> bool:
        """Tell whether this thread has a link, as far as is known."""
        return self._kept() is not None

    def close(self) -> None:
        """End every link; calls after that raise KmsUnavailable."""
        with self._lock:
            self._closed = True
            links = tuple(self._links)
        for link in links:
            link.close()

    def _kept(self) -> _Kept | None:
        kept: _Kept | None = getattr(self._local, "kept", None)
        return kept if kept is not None and kept.link.open else None

    def _over_kept(self, request: Request) -> Answer | None:
        """Return None where this thread has no link that lives, or another is to be asked."""
        kept = self._kept()
        if kept is None or not kept.link.alive():
            return None
        try:
            answer = kept.link.ask(request)
        except LinkLost as lost:
            error = self._lost(kept.endpoint, lost)
            if lost.late or not request.repeatable:
                raise error from lost
            return None
        return answer if self._is_final(kept, answer, request) else None

    def _over_new(self, request: Request) -> Answer:
        failure: KmsUnavailable | None = None
        for endpoint in self._endpoints.usable(time.monotonic() + CALL_S):
            try:
                kept = self._connect(endpoint)
            except KmsUnavailable as error:
                failure = failure or error
                continue
            try:
                answer = kept.link.ask(request)
            except LinkLost as lost:
                refusal = endpoint.failed(f"{lost}, at the first request; its own log may say why")
                if lost.late or not request.repeatable:
                    raise refusal from lost
                failure = failure or refusal
                continue
            if self._is_final(kept, answer, request):
                return answer
        raise failure or self._endpoints.unavailable()

    def _connect(self, endpoint: Endpoint) -> _Kept:
        kept = _Kept(endpoint, endpoint.connect())
        with self._lock:
            self._links.add(kept.link)
            closed = self._closed
        if closed:
            kept.link.close()
            endpoint.backoff.released()
            raise KmsUnavailable("this process is stopping")
        self._local.kept = kept
        return kept

    def _is_final(self, kept: _Kept, answer: Answer, request: Request) -> bool:
        """Tell whether to take an answer: another replica may be well where this one is not."""
        if is_unavailable(answer) and request.repeatable and self._endpoints.several:
            kept.endpoint.failed("it says that it cannot judge badges now")
            kept.link.close()
            return False
        kept.endpoint.backoff.succeeded()
        return True

    def _lost(self, endpoint: Endpoint, lost: LinkLost) -> KmsUnavailable:
        """Return the error of a link that was good: only one that says nothing counts."""
        if lost.late:
            return endpoint.failed(str(lost))
        return KmsUnavailable(f"the connection to {endpoint.url} was lost: {lost}")
