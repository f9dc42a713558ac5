"""The client of agents."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from cardd.client.errors import CarddProblem, ClientError
from cardd.client.events import EventStream
from cardd.client.models import Cps, Presence, Reader, Status
from cardd.client.operations import Authentication, AuthenticationResult, PinWanted
from cardd.client.parsing import items, member, parsed
from cardd.client.problems import Problem
from cardd.client.transport import Transport
from cardd.client.waiting import POLL_S, failure, until_ended

DEFAULT_PATH = "/run/cardd/cardd.sock"
PIN_S = 45.0  # a card may take some seconds, and a person at a reader's keypad half a minute

AskPin = Callable[[PinWanted, Problem | None], str | None]
"""Asks a person for a PIN; None gives up."""


def new_nonce() -> str:
    """Return a fresh nonce: 32 random bytes in base64url."""
    return secrets.token_urlsafe(32)


class Client:
    """Calls the daemon at one socket. Safe to share between threads: each call connects anew.

    `language` is an Accept-Language for the messages to people, such as "en".
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT_PATH,
        *,
        timeout_s: float = 10.0,
        language: str | None = None,
    ) -> None:
        self._transport = Transport(os.fspath(path), language)
        self._timeout_s = timeout_s

    def status(self) -> Status:
        """Return the health of the workstation."""
        return parsed(Status.parse, self._get("/v1/status"))

    def readers(self) -> tuple[Reader, ...]:
        """Return the readers and their cards."""
        return items(Reader.parse, self._get("/v1/readers"))

    def events(
        self, last_event_id: str | None = None, *, timeout_s: float | None = None
    ) -> EventStream:
        """Return an iterator of events; the first is a snapshot unless `last_event_id` is known.

        `timeout_s` limits the wait for each event: TimeoutError, and iterating may go on.
        """
        return EventStream(self._transport, last_event_id, timeout_s)

    def authenticate(
        self,
        audience: str,
        nonce: str | None = None,
        *,
        timeout_s: float = 60.0,
        ask_pin: AskPin | None = None,
        **options: Any,
    ) -> AuthenticationResult:
        """Wait for the next card and return who holds it.

        `options` are members of the request: `methods`, `reader`, `presence`, `expect_holder`,
        `minimum_acr`, `purpose`. Raises CarddProblem, also for a card that was refused
        (`code` says why) and where nobody showed one (`timeout` or `no_card`).

        `ask_pin` is called where a CPS wants its PIN, with the question and the problem of the PIN
        before; it returns the PIN, or None to give up (CarddProblem, `cancelled`). With it, CPS
        are accepted besides badges unless `methods` says otherwise. Where the PIN is typed at the
        reader it is called too, with `entry` "pinpad", and what it returns is not sent; after a
        wrong PIN there it begins the entry anew. The last try is used where `last_try` is set in
        the question and a PIN is returned all the same; that needs the right last-try.
        """
        if ask_pin is not None:
            options.setdefault("methods", ("badge", "cps"))
        started = self.start_authentication(
            audience, nonce, timeout_s=timeout_s, wait_s=min(timeout_s, POLL_S), **options
        )
        ended = until_ended(
            started,
            timeout_s,
            poll=lambda seen: self._next(seen, ask_pin),
            cancel=self.cancel_authentication,
        )
        if ended.result is None:
            raise failure(ended)
        return ended.result

    def start_authentication(
        self,
        audience: str,
        nonce: str | None = None,
        *,
        timeout_s: float = 60.0,
        wait_s: float = 0.0,
        **options: Any,
    ) -> Authentication:
        """Ask for the next card, and return at once or after `wait_s`. The nonce may be chosen."""
        body = {
            "audience": audience,
            "nonce": nonce or new_nonce(),
            "timeout_s": timeout_s,
            "wait_s": wait_s,
            **{name: value for name, value in options.items() if value is not None},
        }
        raw = self._call("POST", "/v1/authentications", body=body, wait_s=wait_s)
        return parsed(Authentication.parse, raw)

    def poll_authentication(
        self, authentication_id: str, *, wait_s: float = 0.0, state: str | None = None
    ) -> Authentication:
        """Return an authentication, at its next change or after `wait_s`.

        With `state`, at once where it is in another. Without, at once where it wants a PIN.
        """
        path = f"/v1/authentications/{quote(authentication_id, safe='')}"
        return parsed(Authentication.parse, self._get(path, wait_s=wait_s, state=state))

    def give_pin(
        self,
        authentication_id: str,
        card: str,
        pin: str | None,
        *,
        use_last_try: bool = False,
    ) -> Authentication:
        """Give the PIN that an authentication waits for, and return what came of it.

        A wrong PIN leaves it waiting, with fewer tries. Raises CarddProblem where the card was not
        asked: `pin_malformed`, `pin_last_try`, `rate_limited`, `card_removed`, `conflict`. Without
        a PIN, the reader's own keypad asks for it.
        """
        path = f"/v1/authentications/{quote(authentication_id, safe='')}/pin"
        body = {"card": card, "pin": pin, "use_last_try": use_last_try}
        return parsed(Authentication.parse, self._call("POST", path, body=body, wait_s=PIN_S))

    def cps(self, card: str) -> Cps:
        """Return what a CPS in a reader shows without its PIN; `card` is its handle."""
        return parsed(Cps.parse, self._get(f"/v1/cards/{quote(card, safe='')}"))

    def change_pin(self, card: str, old: str, new: str, *, use_last_try: bool = False) -> None:
        """Change the PIN of a CPS."""
        body = {"old": old, "new": new, "use_last_try": use_last_try}
        self._call("POST", f"/v1/cards/{quote(card, safe='')}/pin/change", body=body)

    def unblock_pin(self, card: str, code: str, new: str, *, use_last_try: bool = False) -> None:
        """Give a CPS a new PIN with its unblocking code."""
        body = {"code": code, "new": new, "use_last_try": use_last_try}
        self._call("POST", f"/v1/cards/{quote(card, safe='')}/pin/unblock", body=body)

    def cancel_authentication(self, authentication_id: str) -> None:
        """Cancel an authentication."""
        self._call("DELETE", f"/v1/authentications/{quote(authentication_id, safe='')}")

    def presences(self) -> tuple[Presence, ...]:
        """Return who is at the workstation."""
        return items(Presence.parse, self._get("/v1/presences"))

    def presence(self, sid: str) -> Presence:
        """Return one presence."""
        return parsed(Presence.parse, self._get(f"/v1/presences/{quote(sid, safe='')}"))

    def assertion(
        self,
        sid: str,
        audience: str,
        nonce: str | None = None,
        *,
        minimum_acr: str | None = None,
    ) -> str:
        """Return an assertion (compact JWS) on a presence, without another tap."""
        body = {"audience": audience, "nonce": nonce or new_nonce()}
        if minimum_acr is not None:
            body["minimum_acr"] = minimum_acr
        raw = self._call("POST", f"/v1/presences/{quote(sid, safe='')}/assertions", body=body)
        return str(member(raw, "assertion"))

    def report_activity(self, sid: str, idle_since: float) -> Presence:
        """Tell since when the person is idle (Unix seconds)."""
        path = f"/v1/presences/{quote(sid, safe='')}/activity"
        return parsed(Presence.parse, self._call("PUT", path, body={"idle_since": idle_since}))

    def end_presence(self, sid: str) -> None:
        """End a presence."""
        self._call("DELETE", f"/v1/presences/{quote(sid, safe='')}")

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that verify assertions (RFC 7517)."""
        return dict(self._get("/v1/jwks"))

    def _next(self, seen: Authentication, ask_pin: AskPin | None) -> Authentication:
        """Wait for the next change, or have the PIN given that is asked for."""
        wanted = seen.pin
        if wanted is None or ask_pin is None:
            return self.poll_authentication(seen.id, wait_s=POLL_S, state=seen.state)
        try:
            pin = ask_pin(wanted, seen.problem)
        except BaseException:
            self._give_up(seen.id)
            raise
        if pin is None:
            self.cancel_authentication(seen.id)
            return self.poll_authentication(seen.id)
        if wanted.asked:
            return self.poll_authentication(seen.id, wait_s=POLL_S, state=seen.state)
        typed = None if wanted.entry == "pinpad" else pin
        try:
            return self.give_pin(seen.id, wanted.card, typed, use_last_try=wanted.last_try)
        except CarddProblem as problem:
            if problem.code != "pin_malformed":
                self._give_up(seen.id)
                raise
            return replace(seen, problem=Problem.of(problem))

    def _give_up(self, authentication_id: str) -> None:
        """Cancel what cannot go on; the problem that is already known is the one to tell."""
        with suppress(ClientError):
            self.cancel_authentication(authentication_id)

    def _get(self, path: str, **query: Any) -> Any:
        wait_s = query.get("wait_s") or 0.0
        timeout_s = self._timeout_s + wait_s
        return self._transport.call("GET", path, query=query, timeout_s=timeout_s)

    def _call(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, wait_s: float = 0.0
    ) -> Any:
        return self._transport.call(method, path, body=body, timeout_s=self._timeout_s + wait_s)
