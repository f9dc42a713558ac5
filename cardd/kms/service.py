"""The key service: each verb, its rights, and the audit of what it refuses."""

from collections.abc import Callable
from typing import Any

from cardd.cps.proof import parse
from cardd.errors import KmsUnavailable, Refused
from cardd.iso7816.exchange import Answers
from cardd.kms import administration, cps_proofs, encoding, presences, taps
from cardd.kms import messages as m
from cardd.kms.core import Core
from cardd.kms.handles import Running
from cardd.kms.ports import Client, KeyService, Right
from cardd.kms.procedures.encode import ENCODE_STEPS, PREPARE_STEPS
from cardd.kms.rights import require


class Kms:
    """The key service itself; each client gets its own face of it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def for_client(self, client: Client) -> KeyService:
        """Return the service as one client sees it."""
        return _Face(self._core, client)


class _Face:
    """`KeyService` for one client."""

    def __init__(self, core: Core, client: Client) -> None:
        self._core = core
        self._client = client

    def begin(self, procedure: m.Procedure) -> m.Step:
        try:
            step = self._advance(self._open(procedure), ())
        except Refused as refusal:
            self._audit_refusal(refusal, procedure=type(procedure).__name__, uid=procedure.uid)
            raise
        if not isinstance(step, m.Step):
            raise KmsUnavailable("a procedure ended before it asked the card anything")
        return step

    def next(self, handle: str, answers: Answers) -> m.Step | m.Outcome:
        running = self._core.handles.take(self._client.name, handle)
        try:
            running.check(answers)
            return self._advance(running, answers)
        except Refused as refusal:
            self._audit_refusal(refusal, step=running.step)
            raise

    def abort(self, handle: str) -> None:
        self._core.handles.abort(self._client.name, handle)

    def challenge(self) -> m.Challenge:
        try:
            require(self._client, Right.CPS)
            return cps_proofs.challenge(self._core, self._client)
        except Refused as refusal:
            self._audit_refusal(refusal, procedure="Challenge")
            raise

    def authenticate_cps(
        self,
        proof: str,
        requests: tuple[m.AssertionRequest, ...] = (),
        *,
        presence: bool = True,
        expect_holder: str | None = None,
    ) -> m.Authenticated:
        facts: dict[str, str] = {"procedure": "AuthenticateCps"}
        try:
            require(self._client, Right.CPS)
            login = cps_proofs.Login(parse(proof), requests, presence, expect_holder)
            facts["certificate"] = login.proof.x5t_s256
            return cps_proofs.authenticate(self._core, self._client, login)
        except Refused as refusal:
            self._audit_refusal(refusal, **facts)
            raise

    def assertions(self, sid: str, requests: tuple[m.AssertionRequest, ...]) -> tuple[str, ...]:
        return presences.assertions(self._core, self._client, sid, requests)

    def end_presence(self, sid: str, reason: str) -> None:
        presences.end_presence(self._core, self._client, sid, reason)

    def watch(self, listener: Callable[[m.Notice], None]) -> Callable[[], None]:
        return self._core.notices.watch(listener)

    def add_holder(self, holder: m.NewHolder) -> m.HolderView:
        require(self._client, Right.PEOPLE)
        return administration.add_holder(self._core, self._client, holder)

    def holders(self, page: m.Page) -> m.HolderList:
        require(self._client, Right.PEOPLE)
        return administration.holders(self._core, page)

    def badges(self, page: m.Page) -> m.BadgeList:
        require(self._client, Right.PEOPLE)
        return administration.badges(self._core, page)

    def revoke_badge(self, badge: str, reason: str) -> m.BadgeView:
        require(self._client, Right.REVOKE)
        return administration.revoke_badge(self._core, self._client, badge, reason)

    def jwks(self) -> dict[str, Any]:
        return self._core.signer.jwks()

    def health(self) -> m.Health:
        try:
            self._core.registry.ping()
        except KmsUnavailable as error:
            return m.Health(available=False, why=str(error))
        return m.Health(available=True)

    def _open(self, procedure: m.Procedure) -> Running:
        core, client = self._core, self._client
        match procedure:
            case m.Tap():
                return Running(client.name, taps.begin(core, client, procedure), _no_commit)
            case m.Prepare():
                driven, run = encoding.begin_prepare(core, client, procedure)
                return Running(client.name, driven, run.commit, PREPARE_STEPS)
            case m.Encode():
                driven, run = encoding.begin_encode(core, client, procedure)
                return Running(client.name, driven, run.commit, ENCODE_STEPS)

    def _advance(self, running: Running, answers: Answers) -> m.Step | m.Outcome:
        result = running.advance(answers)
        if not isinstance(result, tuple):
            return result
        return m.Step(self._core.handles.keep(running), result, running.progress)

    def _audit_refusal(self, refusal: Refused, **facts: Any) -> None:
        self._core.audit.record(
            "refused", code=refusal.code.value, client=self._client.name, **facts
        )


def _no_commit(step: str) -> None:
    raise AssertionError(f"a tap changes nothing on the card, and committed {step}")
