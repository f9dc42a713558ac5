"""Presences as the KMS keeps them: opened by a proof, the ground of further assertions."""

import dataclasses
import secrets
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from cardd.assurance import levels
from cardd.assurance.assertion import TYP, assertion_claims
from cardd.assurance.presence import PresenceRecord
from cardd.badges.admission import admit, admit_holder
from cardd.badges.model import Holder
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms import messages as m
from cardd.kms.core import Core
from cardd.kms.ports import Client
from cardd.kms.rights import require_audiences
from cardd.kms.views import claims

_log = structlog.get_logger(__name__)


class Wanted(Protocol):
    """What a request for an authentication asks for besides the card."""

    @property
    def requests(self) -> tuple[m.AssertionRequest, ...]:
        """The assertions."""

    @property
    def presence(self) -> bool:
        """Whether a presence is opened."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A card that proved its key now: a badge by its id, or a CPS by its certificate's thumbprint.

    `valid_until`, in Unix seconds, is the end of the certificate: no presence outlives it.
    """

    acr: levels.Acr
    amr: tuple[str, ...]
    badge_id: str | None = None
    certificate: str | None = None
    valid_until: int | None = None


def new_presence(core: Core, client: Client, holder: Holder, proven: Proven) -> PresenceRecord:
    """Return the record of a card that proved its key now; the caller stores it."""
    now = core.now()
    expires_at = now + int(core.config.presence.maximum_s)
    if proven.valid_until is not None:
        expires_at = min(expires_at, proven.valid_until)
    return PresenceRecord(
        sid=secrets.token_urlsafe(16),
        holder_id=holder.id,
        badge_id=proven.badge_id,
        certificate=proven.certificate,
        device=client.device,
        client=client.name,
        auth_time=now,
        acr=proven.acr,
        amr=proven.amr,
        expires_at=expires_at,
    )


def conclude(
    core: Core, event: str, holder: Holder, record: PresenceRecord, wanted: Wanted
) -> m.Authenticated:
    """Record a success, sign what was asked for and open the presence, in the caller's act."""
    sid = record.sid if wanted.presence else None
    core.audit.record(
        event,
        client=record.client,
        **_card(record),
        acr=record.acr,
        holder=record.holder_id,
        sid=sid,
    )
    assertions = assert_presence(core, record, wanted.requests, sid)
    if wanted.presence:
        core.registry.add_presence(record)
    return m.Authenticated(
        holder=claims(holder),
        badge=record.badge_id,
        acr=record.acr,
        amr=record.amr,
        auth_time=record.auth_time,
        sid=sid,
        expires_at=record.expires_at if wanted.presence else None,
        assertions=assertions,
        certificate=record.certificate,
    )


def assert_presence(
    core: Core,
    record: PresenceRecord,
    requests: tuple[m.AssertionRequest, ...],
    sid: str | None,
) -> tuple[str, ...]:
    """Sign one assertion per request on what a record says, and audit each before it leaves."""
    signed = []
    for request in requests:
        levels.require(record.acr, request.minimum_acr)
        statement = assertion_claims(
            issuer=core.config.site.issuer,
            record=record,
            audience=request.audience,
            nonce=request.nonce,
            sid=sid,
            now=core.now(),
        )
        core.audit.record(
            "assertion.signed",
            holder=record.holder_id,
            **_card(record),
            audience=request.audience,
            jti=statement["jti"],
            sid=sid,
            client=record.client,
        )
        signed.append(core.signer.sign(statement, TYP))
    return tuple(signed)


def assertions(
    core: Core, client: Client, sid: str, requests: tuple[m.AssertionRequest, ...]
) -> tuple[str, ...]:
    """Sign assertions on a presence that this client opened and that lives."""
    require_audiences(client, requests)
    seen = _living(core, client, sid)
    # One act, so that no revocation falls between the look and the signature. Holder, badge,
    # presence: whoever locks rows in another order waits for those who wait for it.
    with core.registry.atomically():
        _admit_again(core, seen)
        return assert_presence(core, _living(core, client, sid), requests, sid)


def _living(core: Core, client: Client, sid: str) -> PresenceRecord:
    record = core.registry.presence(sid)
    if record is None or record.client != client.name or record.device != client.device:
        raise Refused(
            Code.NOT_FOUND, "there is no such presence on this workstation; authenticate again"
        )
    if record.ended_at is not None or core.now() >= record.expires_at:
        raise Refused(Code.NOT_FOUND, "this presence has ended; authenticate again")
    return record


def end_presence(core: Core, client: Client, sid: str, reason: str) -> None:
    """End a presence that this client opened; one that is ended already stays as it is."""
    with core.registry.atomically():
        record = core.registry.presence(sid)
        if record is None or record.client != client.name:
            raise Refused(Code.NOT_FOUND, "there is no such presence on this workstation")
        if record.ended_at is None:
            _record_end(core, _end(core, record, reason))


def end_open_presences(core: Core, badge_id: str, reason: str) -> list[tuple[str, m.PresenceEnded]]:
    """End a badge's open presences in the caller's transaction.

    Return what to tell after it, and which client.
    """
    ended = []
    for record in core.registry.open_presences_of_badge(badge_id):
        stored = _end(core, record, reason)
        try:
            _record_end(core, stored)
        except KmsUnavailable:
            # What the badge's end is worth does not depend on room for its record.
            _log.error("audit.presence_end_not_recorded", sid=stored.sid, reason=reason)
        ended.append((record.client, m.PresenceEnded(record.sid, reason)))
    return ended


def _admit_again(core: Core, record: PresenceRecord) -> None:
    """Raise Refused where the badge, or the holder of a CPS, may not be used any more."""
    holder = core.registry.holder(record.holder_id)
    if record.badge_id is None:
        if holder is None:
            raise Refused(Code.HOLDER_UNKNOWN, "the holder of this presence is not registered")
        admit_holder(holder, core.now())
        return
    badge = core.registry.badge(record.badge_id)
    if badge is None:
        raise Refused(Code.BADGE_UNKNOWN, "the badge of this presence is not in the registry")
    admit(badge, holder, core.now())
    if badge.holder_id != record.holder_id:
        raise Refused(Code.NOT_FOUND, "the badge of this presence has another holder now")


def _card(record: PresenceRecord) -> dict[str, Any]:
    """Return what the audit calls the card."""
    if record.certificate is not None:
        return {"certificate": record.certificate}
    return {"badge": record.badge_id}


def _end(core: Core, record: PresenceRecord, reason: str) -> PresenceRecord:
    ended = dataclasses.replace(record, ended_at=core.now(), end_reason=reason)
    return core.registry.put_presence(ended)


def _record_end(core: Core, ended: PresenceRecord) -> None:
    core.audit.record_or_keep(
        "presence.ended",
        sid=ended.sid,
        presence_version=ended.version,
        reason=ended.end_reason,
        client=ended.client,
    )
