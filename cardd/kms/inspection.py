"""`inspect`: what the registry says of a badge, and what the badge says under its own keys."""

import dataclasses
from collections.abc import Iterable

from cardd.badges.inspection.facts import BadgeFacts, KeyMatch, RegistryFacts
from cardd.badges.inspection.reading import aid_texts, application_facts
from cardd.badges.model import Badge, Holder, Picc
from cardd.badges.states import BadgeState
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.core import Core
from cardd.kms.ports import Client, Journal, Purpose, Right
from cardd.kms.procedures import inspect as card
from cardd.kms.procedures.guard import guarded
from cardd.kms.procedures.inspect import Plan, Reading
from cardd.kms.procedures.ports import Driven
from cardd.kms.rights import require
from cardd.kms.runs import Begun
from cardd.kms.views import claims

MOST_OTHERS = 4
"""How many other badges' keys are tried where a badge does not answer to its own.

A card may refuse a key after many failed authentications, so it is a sample.
"""

MOST_GENERATIONS = 3

_NO_ID = "0" * 32
_NO_UID = bytes(7)
_NOT_ENCODED = frozenset({BadgeState.BLANK, BadgeState.WIPED})


def begin(core: Core, client: Client, request: m.Inspect) -> Begun:
    """Return the procedure that reads a badge of ours, in whatever state it is."""
    require(client, Right.INSPECT)
    found = core.registry.badge_and_holder(request.uid)
    if found is None:
        raise Refused(Code.BADGE_UNKNOWN, "no badge with this UID is in the registry")
    badge, holder = found
    journal = core.registry.journal(badge.uid)
    core.audit.record("inspect.begun", client=client.name, badge=badge.id)
    plan = _plan(core, badge, journal, try_others=request.try_other_keys)
    return Begun(_inspect(core, client, plan, holder, journal))


def _inspect(
    core: Core, client: Client, plan: Plan, holder: Holder | None, journal: Journal | None
) -> Driven[m.Outcome]:
    reading = yield from guarded(card.inspect(plan))
    facts = _badge_facts(plan.badge, reading)
    core.audit.record(
        "inspect.done",
        client=client.name,
        badge=plan.badge.id,
        picc_key=facts.picc_key,
        master_key=facts.master_key,
        authenticate_key=facts.authenticate_key,
        differences=" ".join(facts.differences),
    )
    return m.Inspected(
        registry=_registry_facts(core, plan.badge, journal),
        holder=None if holder is None else claims(holder),
        card=facts,
    )


def _plan(core: Core, badge: Badge, journal: Journal | None, *, try_others: bool) -> Plan:
    others = _others(core, badge) if try_others else ()
    encoded = badge.state not in _NOT_ENCODED

    def candidates(purpose: Purpose) -> list[tuple[KeyMatch, DesfireKey]]:
        own = core.keys.key if encoded else core.keys.find
        keys: list[tuple[KeyMatch, DesfireKey | None]] = [("own", own(purpose, badge))]
        if journal is not None:
            keys += (("next", key) for key in _of_other_generations(core, purpose, badge))
        if purpose is Purpose.PICC and badge.transport_generation is not None:
            keys.append(("transport", core.keys.find(Purpose.TRANSPORT, badge)))
        if try_others:
            nobody = dataclasses.replace(badge, id=_NO_ID, uid=_NO_UID)
            keys.append(("zeros", DesfireKey.zero(KeyType.AES)))
            keys.append(("without-uid", core.keys.find(purpose, nobody)))
            keys += (("another-badge", core.keys.find(purpose, other)) for other in others)
        return [(match, key) for match, key in keys if key is not None]

    return Plan(
        badge,
        candidates(Purpose.PICC) if badge.picc is Picc.OURS else [],
        candidates(Purpose.APP_MASTER),
        candidates(Purpose.AUTHENTICATE),
    )


def _of_other_generations(
    core: Core, purpose: Purpose, badge: Badge
) -> Iterable[DesfireKey | None]:
    """Yield the keys that an unfinished re-keying may have given a badge, newest first."""
    others = (each for each in core.masters.generations(purpose) if each != badge.generation)
    for generation in sorted(others, reverse=True)[:MOST_GENERATIONS]:
        yield core.keys.find(purpose, dataclasses.replace(badge, generation=generation))


def _others(core: Core, badge: Badge) -> tuple[Badge, ...]:
    """Return a few other badges, in the order of their numbers, which is random."""
    rows, _ = core.registry.badges(m.Page(limit=MOST_OTHERS + 1))
    return tuple(other for other, _ in rows if other.id != badge.id)[:MOST_OTHERS]


def _badge_facts(badge: Badge, reading: Reading) -> BadgeFacts:
    picc, encoded = reading.picc, badge.state not in _NOT_ENCODED
    return BadgeFacts(
        picc_key=reading.picc_key,
        master_key=reading.master_key,
        authenticate_key=reading.authenticate_key,
        picc=None if picc is None else application_facts(picc.level),
        free_bytes=None if picc is None else picc.free_bytes,
        listed=None if picc is None else aid_texts(picc.aids),
        application=None if reading.application is None else application_facts(reading.application),
        differences=card.differences(badge, reading) if encoded else (),
    )


def _registry_facts(core: Core, badge: Badge, journal: Journal | None) -> RegistryFacts:
    now = core.now()
    return RegistryFacts(
        badge=badge.id,
        number=badge.number,
        state=badge.state.value,
        reason=badge.reason,
        scheme=badge.scheme.value,
        picc=badge.picc.value,
        generation=badge.generation,
        current_generation=core.masters.current(Purpose.AUTHENTICATE),
        issued_at=badge.issued_at,
        expires_at=badge.expires_at,
        expired=badge.expires_at is not None and now >= badge.expires_at,
        unfinished=None if journal is None else journal.procedure,
    )
