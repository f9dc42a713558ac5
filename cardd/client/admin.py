"""The client of administrators."""

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from cardd.client.client import Client
from cardd.client.errors import DaemonUnavailable
from cardd.client.inspections import Inspection
from cardd.client.models import Badge, Holder, Page
from cardd.client.operations import Enrolment, Receipt
from cardd.client.parsing import items, member, parsed
from cardd.client.waiting import POLL_S, failure, until_ended

DEFAULT_PATH = "/run/cardd/admin.sock"


class AdminClient(Client):
    """Calls the daemon at its socket for administrators: people, badges and the work on them."""

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT_PATH,
        *,
        timeout_s: float = 10.0,
        language: str | None = None,
    ) -> None:
        super().__init__(path, timeout_s=timeout_s, language=language)

    def add_holder(self, staff_number: str, **members: Any) -> Holder:
        """Register a person; `members` are `given_name`, `family_name`, `accounts`, ..."""
        given = {name: value for name, value in members.items() if value is not None}
        body = {"staff_number": staff_number, **given}
        return parsed(Holder.parse, self._call("POST", "/v1/holders", body=body))

    def holders(
        self, *, cursor: str | None = None, limit: int | None = None, q: str | None = None
    ) -> Page[Holder]:
        """Return a page of people, by staff number; `q` matches names and staff numbers."""
        raw = self._get("/v1/holders", cursor=cursor, limit=limit, q=q)
        return Page(items(Holder.parse, raw), member(raw, "next"))

    def badges(
        self, *, cursor: str | None = None, limit: int | None = None, q: str | None = None
    ) -> Page[Badge]:
        """Return a page of badges, by number; `q` matches numbers, UIDs and holders."""
        raw = self._get("/v1/badges", cursor=cursor, limit=limit, q=q)
        return Page(items(Badge.parse, raw), member(raw, "next"))

    def revoke(self, badge: str, reason: str) -> Badge:
        """Revoke a badge, named by its id or number, and end its presences."""
        path = f"/v1/badges/{quote(badge, safe='')}/revoke"
        return parsed(Badge.parse, self._call("POST", path, body={"reason": reason}))

    def enrol(
        self,
        holder: str | None = None,
        *,
        reader: str | None = None,
        timeout_s: float = 60.0,
        progress: Callable[[Enrolment], None] | None = None,
    ) -> Receipt:
        """Encode the badge in the reader, or the next one shown, for a holder (by id)."""
        started = self.start_enrolment("encode", holder=holder, reader=reader, timeout_s=timeout_s)
        return _receipt(self._finished(started, timeout_s, progress))

    def prepare(
        self,
        *,
        reader: str | None = None,
        timeout_s: float = 60.0,
        progress: Callable[[Enrolment], None] | None = None,
    ) -> Receipt:
        """Give a factory-fresh badge its transport key, in a trusted room."""
        started = self.start_enrolment("prepare", reader=reader, timeout_s=timeout_s)
        return _receipt(self._finished(started, timeout_s, progress))

    def inspect(
        self,
        *,
        reader: str | None = None,
        timeout_s: float = 60.0,
        try_default_keys: bool = False,
        progress: Callable[[Enrolment], None] | None = None,
    ) -> Inspection:
        """Say what the card in the reader is, what it holds and what is wrong with it.

        Nothing on it changes. `try_default_keys` also tries keys that everybody knows, which a
        card may count as failed attempts.
        """
        started = self.start_enrolment(
            "inspect",
            reader=reader,
            timeout_s=timeout_s,
            try_default_keys=try_default_keys or None,
        )
        return _inspection(self._finished(started, timeout_s, progress))

    def rekey(
        self,
        generation: int | None = None,
        *,
        reader: str | None = None,
        timeout_s: float = 60.0,
        progress: Callable[[Enrolment], None] | None = None,
    ) -> Receipt:
        """Give a badge its keys from another generation of the masters, by default the current."""
        started = self.start_enrolment(
            "rekey", reader=reader, timeout_s=timeout_s, generation=generation
        )
        return _receipt(self._finished(started, timeout_s, progress))

    def wipe(
        self,
        *,
        reader: str | None = None,
        timeout_s: float = 60.0,
        progress: Callable[[Enrolment], None] | None = None,
    ) -> Receipt:
        """Make a revoked badge a prepared blank again."""
        started = self.start_enrolment("wipe", reader=reader, timeout_s=timeout_s)
        return _receipt(self._finished(started, timeout_s, progress))

    def start_enrolment(
        self,
        action: str,
        *,
        reader: str | None = None,
        timeout_s: float = 60.0,
        **members: Any,
    ) -> Enrolment:
        """Start to `prepare`, `encode`, `rekey`, `wipe` or `inspect` a badge, and return at once.

        `members` are those of the action: `holder` (an id) to encode, `generation` to re-key,
        `try_default_keys` to inspect.
        """
        given = {"reader": reader, **members}
        body: dict[str, Any] = {"action": action, "timeout_s": timeout_s}
        body |= {name: value for name, value in given.items() if value is not None}
        return parsed(Enrolment.parse, self._call("POST", "/v1/enrolments", body=body))

    def poll_enrolment(self, enrolment_id: str, *, wait_s: float = 0.0) -> Enrolment:
        """Return an encoding, at its next change or after `wait_s`."""
        path = f"/v1/enrolments/{quote(enrolment_id, safe='')}"
        return parsed(Enrolment.parse, self._get(path, wait_s=wait_s))

    def cancel_enrolment(self, enrolment_id: str) -> None:
        """Cancel an encoding, which stops between two commands unless it was at its last one.

        A badge that was begun is finished when the same is started again for it.
        """
        self._call("DELETE", f"/v1/enrolments/{quote(enrolment_id, safe='')}")

    def _finished(
        self,
        started: Enrolment,
        timeout_s: float,
        progress: Callable[[Enrolment], None] | None,
    ) -> Receipt | Inspection:
        ended = until_ended(
            started,
            timeout_s,
            poll=lambda seen: self.poll_enrolment(seen.id, wait_s=POLL_S),
            cancel=self.cancel_enrolment,
            watch=progress,
        )
        if ended.result is None:
            raise failure(ended)
        return ended.result


def _receipt(result: Receipt | Inspection) -> Receipt:
    if not isinstance(result, Receipt):
        raise DaemonUnavailable("the daemon answered with an inspection that nobody asked for")
    return result


def _inspection(result: Receipt | Inspection) -> Inspection:
    if not isinstance(result, Inspection):
        raise DaemonUnavailable(f"the daemon {result.type} a badge that was to be inspected")
    return result
