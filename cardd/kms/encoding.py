"""`prepare` and `encode`, with the journal that lets any presentation of the badge go on."""

import dataclasses
import secrets

from cardd.badges import numbers
from cardd.badges.model import Badge, Holder, HolderStatus, Scheme
from cardd.badges.states import BadgeEvent, BadgeState, following
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.administration import find_holder
from cardd.kms.badge_keys import NewKeys
from cardd.kms.core import Core
from cardd.kms.diversification import require_usable
from cardd.kms.ports import Client, Journal, Purpose, Right
from cardd.kms.procedures import encode as card
from cardd.kms.procedures.encode import Keys, PiccKey, Plan
from cardd.kms.procedures.guard import guarded
from cardd.kms.procedures.ports import Driven
from cardd.kms.rights import require
from cardd.kms.runs import Begun, Run, claimed_journal, new_journal, secret_of
from cardd.kms.views import claims

_HOLDS_A_BADGE = {BadgeState.ASSIGNED, BadgeState.ACTIVE, BadgeState.SUSPENDED}
_FACTORY = "encode-factory"
_TRANSPORT = "encode-transport"
_PREPARE = "prepare"


def begin_prepare(core: Core, client: Client, request: m.Prepare) -> Begun:
    """Return the procedure that gives a blank its transport key."""
    require(client, Right.PREPARE)
    known = core.registry.badge_by_uid(request.uid)
    badge = _with_transport(core, _still_blank(known or _new_badge(core, request.uid)))
    journal = claimed_journal(core, client, request.uid)
    if journal is not None and journal.procedure != _PREPARE:
        raise Refused(
            Code.CONFLICT, "the encoding of this badge has begun; go on with it, it needs no other"
        )
    # A prepared blank has its transport key, and no other card with its UID is given that again.
    fresh = known is None or known.transport_generation is None or journal is not None
    start = (PiccKey.TRANSPORT, PiccKey.FACTORY) if fresh else (PiccKey.TRANSPORT,)
    new = _new_journal(core, client, badge, _PREPARE)
    new_keys = core.keys.new_keys()
    transport = _transport_key(core, new_keys, known, badge)
    run = Run(core, client, badge, new, new_keys, resumed=False, replaces=journal)
    core.audit.record("prepare.begun", durable=True, client=client.name, badge=badge.id)
    return Begun(_prepare(core, client, run, transport, start), run.commit, card.PREPARE_STEPS)


def _prepare(
    core: Core, client: Client, run: Run, transport: DesfireKey, start: tuple[PiccKey, ...]
) -> Driven[m.Outcome]:
    procedure = card.prepare(run.badge, transport, core.minimum_scheme, start)
    found, scheme = yield from guarded(procedure)
    badge = dataclasses.replace(run.badge, scheme=scheme)
    run.finish(badge, "prepare.done", client=client.name, found=found.value)
    return m.Prepared(badge=run.badge.id)


def begin_encode(core: Core, client: Client, request: m.Encode) -> Begun:
    """Return the procedure that encodes a badge, or goes on where an earlier run was cut."""
    require(client, Right.ENCODE)
    holder = None if request.holder is None else _new_owner(core, request.holder)
    blank = badge = _still_blank(_blank(core, request.uid))
    journal = claimed_journal(core, client, request.uid)
    found = journal
    start = possible_picc_keys(core, badge, journal)
    if PiccKey.FACTORY in start:
        require(client, Right.ENCODE_FACTORY)
    resumed = journal is not None and journal.procedure != _PREPARE
    if journal is None or not resumed:
        badge = _with_transport(core, _renewed(core, badge))
        procedure = _FACTORY if PiccKey.FACTORY in start else _TRANSPORT
        journal = _new_journal(core, client, badge, procedure)
    core.audit.record(
        "encode.begun", durable=True, client=client.name, badge=badge.id, resumed=resumed
    )
    new_keys = core.keys.new_keys()
    run = Run(core, client, badge, journal, new_keys, resumed=resumed, replaces=found)
    transport = _transport_key(core, new_keys, blank, badge)
    take = core.keys.key if resumed else new_keys.draw
    keys = Keys(
        transport=transport,
        default=DesfireKey(KeyType.AES, secret_of(core, badge, journal), 0),
        picc=take(Purpose.PICC, badge),
        app_master=take(Purpose.APP_MASTER, badge),
        authenticate=take(Purpose.AUTHENTICATE, badge),
    )
    plan = Plan(badge, keys, start, resumed, core.minimum_scheme)
    exposed = journal.procedure == _FACTORY
    driven = _encode(core, client, run, plan, holder, exposed=exposed)
    return Begun(driven, run.commit, card.ENCODE_STEPS)


def _encode(
    core: Core, client: Client, run: Run, plan: Plan, holder: Holder | None, *, exposed: bool
) -> Driven[m.Outcome]:
    """Encode; `exposed` says that the badge started from a public key."""
    scheme = yield from guarded(card.encode(plan))
    with core.registry.atomically():
        holder, refusal = _still_entitled(core, holder)
        badge = _encoded(run.badge, scheme, holder)
        run.finish(
            badge,
            "encode.done",
            client=client.name,
            holder=badge.holder_id,
            scheme=scheme.value,
            exposed=exposed,
        )
    if refusal is not None:
        raise refusal  # the badge is encoded, and in stock
    assert badge.expires_at is not None
    return m.Encoded(
        badge=badge.id,
        number=badge.number,
        holder=None if holder is None else claims(holder),
        scheme=scheme,
        generation=badge.generation,
        expires_at=badge.expires_at,
        exposed=exposed,
    )


def _still_entitled(core: Core, holder: Holder | None) -> tuple[Holder | None, Refused | None]:
    """Look again at who is to get the badge: an encoding takes a while, and others go on."""
    if holder is None:
        return None, None
    try:
        return _new_owner(core, holder.id), None
    except Refused as refusal:
        return None, refusal


def _encoded(badge: Badge, scheme: Scheme, holder: Holder | None) -> Badge:
    state = following(badge.state, BadgeEvent.ENCODE)
    if holder is not None:
        state = following(following(state, BadgeEvent.ASSIGN), BadgeEvent.HAND_OVER)
    return dataclasses.replace(
        badge,
        scheme=scheme,
        state=state,
        transport_generation=None,
        holder_id=None if holder is None else holder.id,
    )


def _blank(core: Core, uid: bytes) -> Badge:
    """Find the badge with a UID, or make the row of a new one where blanks need no preparation."""
    badge = core.registry.badge_by_uid(uid)
    if badge is None and core.config.enrolment.blanks == "transport":
        raise Refused(
            Code.BADGE_KEYS_UNKNOWN,
            "this blank was not prepared here; run `cardctl badge prepare` in the trusted room",
        )
    return badge or _new_badge(core, uid)


def _still_blank(badge: Badge) -> Badge:
    if badge.state not in {BadgeState.BLANK, BadgeState.WIPED}:
        raise Refused(
            Code.ALREADY_ACTIVE,
            f"this is badge {badge.number}, which is {badge.state}; it is encoded once",
            number=badge.number,
            state=badge.state.value,
        )
    return badge


def _new_badge(core: Core, uid: bytes) -> Badge:
    require_usable(uid)
    return Badge(
        id=secrets.token_hex(16),
        uid=uid,
        aid=int(core.config.badge.aid, 16),
        number=numbers.draw(),
        scheme=core.minimum_scheme,
        generation=core.masters.current(Purpose.AUTHENTICATE),
        state=BadgeState.BLANK,
    )


def _with_transport(core: Core, badge: Badge) -> Badge:
    if badge.transport_generation is not None:
        return badge
    return dataclasses.replace(badge, transport_generation=core.masters.current(Purpose.TRANSPORT))


def _new_journal(core: Core, client: Client, badge: Badge, procedure: str) -> Journal:
    """Return the journal of a new run, with a random default key of its own."""
    return new_journal(core, client, badge, procedure, secrets.token_bytes(16))


def _transport_key(core: Core, new_keys: NewKeys, known: Badge | None, badge: Badge) -> DesfireKey:
    """Return the key that a blank has since it was prepared, else draw the one that it gets."""
    has_one = known is not None and known.transport_generation is not None
    take = core.keys.key if has_one else new_keys.draw
    return take(Purpose.TRANSPORT, badge)


def possible_picc_keys(core: Core, badge: Badge, journal: Journal | None) -> tuple[PiccKey, ...]:
    """Return the keys that the PICC may answer to, likeliest first.

    The journal's step tells which are left: a card that goes back behind it is another card.
    """
    if journal is None:
        return (PiccKey.FACTORY,) if badge.transport_generation is None else (PiccKey.TRANSPORT,)
    if journal.procedure == _PREPARE:
        factory = core.config.enrolment.blanks == "factory"
        return (PiccKey.TRANSPORT, PiccKey.FACTORY) if factory else (PiccKey.TRANSPORT,)
    if journal.step in card.BEFORE_TRANSPORT_KEY and journal.procedure == _FACTORY:
        return (PiccKey.TRANSPORT, PiccKey.FACTORY)
    if journal.step in card.BEFORE_OWN_KEY:
        return (PiccKey.TRANSPORT,)
    return (PiccKey.TRANSPORT, PiccKey.OWN) if journal.step == "picc-key" else (PiccKey.OWN,)


def _renewed(core: Core, badge: Badge) -> Badge:
    """Return a blank's row as its encoding begins: with today's dates and masters."""
    now = core.now()
    return dataclasses.replace(
        badge,
        generation=core.masters.current(Purpose.AUTHENTICATE),
        issued_at=now,
        expires_at=now + core.config.badge.lifetime_days * 86400,
    )


def _new_owner(core: Core, name: str) -> Holder:
    """Find who gets the badge; Refused where they left or have as many as they may have."""
    holder = find_holder(core, name)
    if holder.status is not HolderStatus.ACTIVE:
        raise Refused(Code.HOLDER_ENDED, f"{holder.display_name} has left; no badge is encoded")
    held = [b for b in core.registry.badges_of(holder.id) if b.state in _HOLDS_A_BADGE]
    if len(held) >= core.config.enrolment.max_badges:
        raise Refused(
            Code.CONFLICT,
            f"{holder.display_name} already has badge {held[0].number}; revoke it first",
        )
    return holder
