"""Presences as the KMS keeps them: opened by a proof, the ground of further assertions."""

import dataclasses
import secrets

from cardd.assurance import levels
from cardd.assurance.assertion import TYP, assertion_claims
from cardd.assurance.presence import PresenceRecord
from cardd.badges.admission import admit
from cardd.badges.model import Badge, Holder
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.core import Core
from cardd.kms.ports import Client
from cardd.kms.rights import require_audiences


def new_presence(core: Core, client: Client, badge: Badge, holder: Holder) -> PresenceRecord:
    """Return the record of a badge that proved its key now; the caller stores it."""
    now = core.now()
    return PresenceRecord(
        sid=secrets.token_urlsafe(16),
        holder_id=holder.id,
        badge_id=badge.id,
        device=client.device,
        client=client.name,
        auth_time=now,
        acr=levels.Acr.ONE_FACTOR,
        amr=levels.BADGE_AMR,
        expires_at=now + int(core.config.presence.maximum_s),
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
        claims = assertion_claims(
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
            badge=record.badge_id,
            audience=request.audience,
            jti=claims["jti"],
            sid=sid,
            client=record.client,
        )
        signed.append(core.signer.sign(claims, TYP))
    return tuple(signed)


def assertions(
    core: Core, client: Client, sid: str, requests: tuple[m.AssertionRequest, ...]
) -> tuple[str, ...]:
    """Sign assertions on a presence that this client opened and that lives."""
    require_audiences(client, requests)
    record = core.registry.presence(sid)
    if record is None or record.client != client.name or record.device != client.device:
        raise Refused(
            Code.NOT_FOUND, "there is no such presence on this workstation; tap the badge"
        )
    if record.ended_at is not None or core.now() >= record.expires_at:
        raise Refused(Code.NOT_FOUND, "this presence has ended; tap the badge again")
    badge = core.registry.badge(record.badge_id)
    if badge is None:
        raise Refused(Code.BADGE_UNKNOWN, "the badge of this presence is not in the registry")
    holder = core.registry.holder(record.holder_id)
    admit(badge, holder, core.now())
    if badge.holder_id != record.holder_id:
        raise Refused(Code.NOT_FOUND, "the badge of this presence has another holder now")
    return assert_presence(core, record, requests, sid)


def end_presence(core: Core, client: Client, sid: str, reason: str) -> None:
    """End a presence that this client opened; one that is ended already stays as it is."""
    with core.registry.atomically():
        record = core.registry.presence(sid)
        if record is None or record.client != client.name:
            raise Refused(Code.NOT_FOUND, "there is no such presence on this workstation")
        if record.ended_at is None:
            core.audit.record("presence.ended", sid=sid, reason=reason, client=client.name)
            _end(core, record, reason)


def end_open_presences(core: Core, badge_id: str, reason: str) -> list[m.PresenceEnded]:
    """End a badge's open presences in the caller's transaction; return what to tell after it."""
    ended = []
    for record in core.registry.open_presences_of_badge(badge_id):
        _end(core, record, reason)
        ended.append(m.PresenceEnded(record.sid, reason))
    return ended


def _end(core: Core, record: PresenceRecord, reason: str) -> None:
    core.registry.put_presence(dataclasses.replace(record, ended_at=core.now(), end_reason=reason))
