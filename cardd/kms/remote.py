"""A key service elsewhere, as a workstation calls it: one kept connection per thread.

A handle belongs to the connection over which it was given, so that one thread carries a procedure
from `begin` to its end. Where a connection is lost in between, the handle is lost with it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from cardd.config_kms import Tls
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.kms import wire
from cardd.kms.endpoints import Endpoints
from cardd.kms.exchanges import Exchanges
from cardd.kms.links import ANSWER_S, Request
from cardd.kms.ports import KeyService
from cardd.kms.replies import result_of
from cardd.kms.watching import Watcher

# As long as a configured responder may take, and less than the 5 s after which a reader is stuck.
CPS_ANSWER_S = 4.5

Result = TypeVar("Result")


@contextmanager
def remote_key_service(urls: tuple[str, ...], tls: Tls | None) -> Iterator[KeyService]:
    """Reach the key service at URLs that the configuration has checked, as long as the block runs.

    The first that can be reached is used, and kept as long as it answers. Where none can be,
    KmsUnavailable comes at once, or within the time limits the first time.
    Raises StartError (`tls_unusable`); that none can be reached is no error of the start.
    """
    remote = _Remote(Endpoints.of(urls, tls))
    try:
        yield remote
    finally:
        remote.close()


class _Remote:
    """`KeyService` over the wire."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._exchanges = Exchanges(endpoints)
        self._lock = threading.Lock()
        self._watchers: list[Watcher] = []
        self._closed = False

    def begin(self, procedure: m.Procedure) -> m.Step:
        return self._ask(m.Step, "POST", wire.PROCEDURES, procedure)

    def next(self, handle: str, answers: tuple[bytes, ...]) -> m.Step | m.Outcome:
        body = _encoded(wire.CardAnswers(answers=answers))
        request = Request("POST", f"{wire.PROCEDURES}/{_quoted(handle)}", body)
        result: m.Step | m.Outcome = result_of(self._exchanges.go_on(request), m.Step | m.Outcome)
        return result

    def abort(self, handle: str) -> None:
        if self._exchanges.has_link():  # else the handle died with it
            request = Request("DELETE", f"{wire.PROCEDURES}/{_quoted(handle)}")
            result_of(self._exchanges.go_on(request), type(None))

    def challenge(self) -> m.Challenge:
        return self._ask(m.Challenge, "POST", wire.CHALLENGES)

    def authenticate_cps(
        self,
        proof: str,
        requests: tuple[m.AssertionRequest, ...] = (),
        *,
        presence: bool = True,
        expect_holder: str | None = None,
    ) -> m.Authenticated:
        order = wire.CpsProof(
            proof=proof, requests=requests, presence=presence, expect_holder=expect_holder
        )
        # Its challenge is spent by the first try, and known only where it was given.
        return self._ask(
            m.Authenticated,
            "POST",
            wire.CPS_AUTHENTICATIONS,
            order,
            repeatable=False,
            answer_s=CPS_ANSWER_S,
        )

    def assertions(self, sid: str, requests: tuple[m.AssertionRequest, ...]) -> tuple[str, ...]:
        path = f"{wire.PRESENCES}/{_quoted(sid)}/assertions"
        order = wire.AssertionOrder(requests=requests)
        return self._ask(wire.Assertions, "POST", path, order).assertions

    def end_presence(self, sid: str, reason: str) -> None:
        path = f"{wire.PRESENCES}/{_quoted(sid)}/end"
        self._ask(type(None), "POST", path, wire.Reason(reason=reason))

    def watch(self, listener: Callable[[m.Notice], None]) -> Callable[[], None]:
        with self._lock:
            if self._closed:
                return lambda: None
            watcher = Watcher(self._endpoints, listener)
            self._watchers.append(watcher)
        return watcher.stop

    def add_holder(self, holder: m.NewHolder) -> m.HolderView:
        return self._ask(m.HolderView, "POST", wire.HOLDERS, holder, repeatable=False)

    def holder(self, name: str) -> m.HolderView:
        return self._ask(m.HolderView, "GET", f"{wire.HOLDERS}/{_quoted(name)}")

    def holders(self, page: m.Page) -> m.HolderList:
        return self._ask(m.HolderList, "GET", f"{wire.HOLDERS}?{_query(page)}")

    def badges(self, page: m.Page) -> m.BadgeList:
        return self._ask(m.BadgeList, "GET", f"{wire.BADGES}?{_query(page)}")

    def revoke_badge(self, badge: str, reason: str) -> m.BadgeView:
        path = f"{wire.BADGES}/{_quoted(badge)}/revoke"
        return self._ask(m.BadgeView, "POST", path, wire.Reason(reason=reason), repeatable=False)

    def jwks(self) -> dict[str, Any]:
        return self._ask(dict[str, Any], "GET", wire.JWKS)

    def health(self) -> m.Health:
        try:
            return self._ask(m.Health, "GET", wire.HEALTH)
        except KmsUnavailable as error:
            return m.Health(available=False, why=str(error))

    def close(self) -> None:
        """End every connection and stream; calls after that raise KmsUnavailable."""
        with self._lock:
            self._closed = True
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher.stop()
        self._exchanges.close()

    def _ask(
        self,
        kind: type[Result],
        method: str,
        path: str,
        order: object = None,
        *,
        repeatable: bool = True,
        answer_s: float | None = None,
    ) -> Result:
        body = None if order is None else _encoded(order)
        request = Request(method, path, body, repeatable, answer_s or ANSWER_S)
        answer = self._exchanges.ask(request)
        result: Result = result_of(answer, kind)
        return result


def _encoded(order: object) -> bytes:
    try:
        return msgspec.json.encode(order)
    except UnicodeEncodeError:
        raise _no_unicode() from None


def _quoted(name: str) -> str:
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        raise _no_unicode() from None


def _query(page: m.Page) -> str:
    given = {k: v for k, v in msgspec.to_builtins(page).items() if v is not None}
    try:
        return urlencode(given)
    except UnicodeEncodeError:
        raise _no_unicode() from None


def _no_unicode() -> Refused:
    return Refused(Code.INVALID_REQUEST, "a text in the request is not Unicode; correct it")
