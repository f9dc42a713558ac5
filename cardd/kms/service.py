"""The key service: each verb, its rights, and the audit of what it refuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cardd.cps.proof import parse
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.iso7816.exchange import Answers
from cardd.kms import (
    administration,
    cps_proofs,
    encoding,
    inspection,
    presences,
    rekeying,
    taps,
    wiping,
)
from cardd.kms import messages as m
from cardd.kms.core import Core
from cardd.kms.handles import Running
from cardd.kms.notices import Told
from cardd.kms.ports import Client, KeyService, Purpose, Right
from cardd.kms.rights import require, require_aid
from cardd.kms.runs import Begun
from cardd.kms.views import holder_view


class Kms:
    """The key service itself; each client gets its own face of it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def for_client(self, client: Client, connection: str = "") -> KeyService:
        """Return the service as one client sees it, over the connection that handles belong to."""
        return _Face(self._core, client, connection)

    def follow(
        self, client: Client, listener: Callable[[Told], None], since: str | None
    ) -> Callable[[], None]:
        """Watch, from the notice after `since` on; return what stops that (notices.py)."""
        return self._core.notices.follow(client.name, listener, since)

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that verify assertions, which are for everybody."""
        return self._core.signer.jwks()

    def disconnected(self, connection: str) -> None:
        """Let every handle of a connection die with it."""
        self._core.handles.drop(connection)

    def refused_stranger(self, who: str) -> None:
        """Record that somebody who is no client asked for something: at most once a minute each."""
        left_out = self._core.repeats.due(who)
        if left_out is not None:
            self._core.audit.record("stranger.refused", who=who, left_out=left_out)

    def client_changed(self, name: str, change: str) -> None:
        """Record that a client was added, changed or revoked, later where it cannot be now."""
        self._core.audit.record_or_keep(f"client.{change}", client=name)


class _Face:
    """`KeyService` for one client."""

    def __init__(self, core: Core, client: Client, connection: str = "") -> None:
        self._core = core
        self._client = client
        self._connection = connection

    def begin(self, procedure: m.Procedure) -> m.Step:
        with self._auditing(type(procedure).__name__, uid=procedure.uid):
            self._core.limits.count(self._client)
            require_aid(self._client, self._core.config.badge.aid)
            step = self._advance(self._open(procedure), ())
        if not isinstance(step, m.Step):
            raise KmsUnavailable("a procedure ended before it asked the card anything")
        return step

    def next(self, handle: str, answers: Answers) -> m.Step | m.Outcome:
        running = self._core.handles.take(self._client.name, handle, self._connection)
        with self._auditing(running.name, uid=running.uid, step=running.step):
            running.check(answers)
            return self._advance(running, answers)

    def abort(self, handle: str) -> None:
        self._core.handles.abort(self._client.name, handle, self._connection)

    def challenge(self) -> m.Challenge:
        with self._auditing("Challenge"):
            require(self._client, Right.CPS)
            return cps_proofs.challenge(self._core, self._client)

    def authenticate_cps(
        self,
        proof: str,
        requests: tuple[m.AssertionRequest, ...] = (),
        *,
        presence: bool = True,
        expect_holder: str | None = None,
    ) -> m.Authenticated:
        with self._auditing("AuthenticateCps"):
            require(self._client, Right.CPS)
            parsed = parse(proof)
        with self._auditing("AuthenticateCps", certificate=parsed.x5t_s256):
            login = cps_proofs.Login(parsed, requests, presence, expect_holder)
            return cps_proofs.authenticate(self._core, self._client, login)

    def assertions(self, sid: str, requests: tuple[m.AssertionRequest, ...]) -> tuple[str, ...]:
        with self._auditing("Assertions", sid=sid):
            return presences.assertions(self._core, self._client, sid, requests)

    def end_presence(self, sid: str, reason: str) -> None:
        with self._auditing("EndPresence", sid=sid):
            presences.end_presence(self._core, self._client, sid, reason)

    def watch(self, listener: Callable[[m.Notice], None]) -> Callable[[], None]:
        return self._core.notices.watch(self._client.name, listener)

    def add_holder(self, holder: m.NewHolder) -> m.HolderView:
        with self._auditing("AddHolder"):
            require(self._client, Right.PEOPLE)
            return administration.add_holder(self._core, self._client, holder)

    def holder(self, name: str) -> m.HolderView:
        require(self._client, Right.PEOPLE)
        return holder_view(administration.find_holder(self._core, name))

    def holders(self, page: m.Page) -> m.HolderList:
        require(self._client, Right.PEOPLE)
        return administration.holders(self._core, page)

    def badges(self, page: m.Page) -> m.BadgeList:
        require(self._client, Right.PEOPLE)
        return administration.badges(self._core, page)

    def revoke_badge(self, badge: str, reason: str) -> m.BadgeView:
        with self._auditing("RevokeBadge"):
            require(self._client, Right.REVOKE)
            return administration.revoke_badge(self._core, self._client, badge, reason)

    def jwks(self) -> dict[str, Any]:
        return self._core.signer.jwks()

    def health(self) -> m.Health:
        masters = self._core.masters
        try:
            masters.kcv(Purpose.REGISTRY, masters.current(Purpose.REGISTRY))  # do they answer?
            self._core.registry.ping()
            self._core.audit.ping()
        except KmsUnavailable as error:
            return m.Health(available=False, why=str(error), warnings=self._core.troubles())
        return m.Health(available=True, warnings=self._core.troubles())

    def _open(self, procedure: m.Procedure) -> Running:
        begun = _begin(self._core, self._client, procedure)
        name = type(procedure).__name__
        return Running(
            self._client.name,
            begun.driven,
            begun.commit,
            begun.steps,
            name,
            procedure.uid,
            self._connection,
        )

    def _advance(self, running: Running, answers: Answers) -> m.Step | m.Outcome:
        result = running.advance(answers)
        if not isinstance(result, tuple):
            return result
        return m.Step(self._core.handles.keep(running), result, running.progress)

    @contextmanager
    def _auditing(self, procedure: str, **facts: Any) -> Iterator[None]:
        """Record what is refused inside the block, and to whom."""
        try:
            yield
        except Refused as refusal:
            self._record(refusal.code, procedure, facts)
            raise

    def _record(self, code: Code, procedure: str, facts: dict[str, Any]) -> None:
        if code is Code.RATE_LIMITED:
            left_out = self._core.repeats.due(f"{self._client.name} {procedure}")
            if left_out is None:
                return
            facts = {**facts, "left_out": left_out}
        self._core.audit.record(
            "refused", code=code.value, client=self._client.name, procedure=procedure, **facts
        )


def _begin(core: Core, client: Client, procedure: m.Procedure) -> Begun:
    match procedure:
        case m.Tap():
            return taps.begin(core, client, procedure)
        case m.Prepare():
            return encoding.begin_prepare(core, client, procedure)
        case m.Encode():
            return encoding.begin_encode(core, client, procedure)
        case m.Rekey():
            return rekeying.begin(core, client, procedure)
        case m.Wipe():
            return wiping.begin(core, client, procedure)
        case m.Inspect():
            return inspection.begin(core, client, procedure)
