"""`rekey`: a badge of ours goes over to another generation of the masters."""

import dataclasses
from collections.abc import Callable

from cardd.badges.admission import require_scheme
from cardd.badges.model import Badge
from cardd.badges.states import BadgeState
from cardd.desfire.keys import DesfireKey
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.core import Core
from cardd.kms.ports import BADGE_PURPOSES, Client, Journal, Purpose, Right
from cardd.kms.procedures import rekey as card
from cardd.kms.procedures.guard import guarded
from cardd.kms.procedures.layout import BadgeKeys
from cardd.kms.procedures.ports import Driven
from cardd.kms.rights import require
from cardd.kms.runs import Begun, Run, claimed_journal, new_journal, secret_of
from cardd.kms.views import claims

PROCEDURE = "rekey"

_ENCODED = {BadgeState.STOCK, BadgeState.ASSIGNED, BadgeState.ACTIVE, BadgeState.SUSPENDED}


def begin(core: Core, client: Client, request: m.Rekey) -> Begun:
    """Return the procedure that re-keys a badge, or goes on where an earlier run was cut."""
    require(client, Right.REKEY)
    badge = _encoded(core, request.uid)
    require_scheme(badge, core.minimum_scheme)
    found = claimed_journal(core, client, request.uid)
    resumed = is_rekey(found)
    generation = _generation(core, badge, request, found)
    journal = found
    if journal is None or not resumed:
        journal = new_journal(core, client, badge, PROCEDURE, bytes((generation,)))
    core.audit.record(
        "rekey.begun",
        durable=True,
        client=client.name,
        badge=badge.id,
        generation=generation,
        previous=badge.generation,
        resumed=resumed,
    )
    new_keys = core.keys.new_keys()
    run = Run(core, client, badge, journal, new_keys, resumed=resumed, replaces=found)
    old = keys_of(core.keys.key, badge, badge.generation)
    new = keys_of(core.keys.key if resumed else new_keys.draw, badge, generation)
    plan = card.Plan(badge, old, new, journal.step)
    return Begun(_rekey(core, client, run, plan, generation), run.commit, card.STEPS)


def is_rekey(journal: Journal | None) -> bool:
    """Tell whether a journal is that of a re-key."""
    return journal is not None and journal.procedure == PROCEDURE


def target(core: Core, badge: Badge, journal: Journal) -> int:
    """Return the generation that a re-key which has begun brings its badge to."""
    return secret_of(core, badge, journal).reveal()[0]


def keys_of(
    take: Callable[[Purpose, Badge], DesfireKey], badge: Badge, generation: int
) -> BadgeKeys:
    """Return a badge's keys of a generation."""
    of_it = dataclasses.replace(badge, generation=generation)
    return BadgeKeys(*(take(purpose, of_it) for purpose in BADGE_PURPOSES))


def unfinished(core: Core, badge: Badge) -> bool:
    """Tell whether a badge may have an authenticate key that the registry does not name yet."""
    journal = core.registry.journal(badge.uid)
    return (
        journal is not None
        and journal.procedure == PROCEDURE
        and journal.step == card.AUTHENTICATE_STEP
    )


def _rekey(
    core: Core, client: Client, run: Run, plan: card.Plan, generation: int
) -> Driven[m.Outcome]:
    previous = plan.badge.generation
    yield from guarded(card.rekey(plan), registered=True)
    with core.registry.atomically():
        # Read again: whatever else became of the badge meanwhile, its keys are new.
        badge = core.registry.badge(run.badge.id) or run.badge
        badge = dataclasses.replace(badge, generation=generation)
        run.finish(
            badge, "rekey.done", client=client.name, generation=generation, previous=previous
        )
    # After the act: within it, a holder's row is locked before a badge's, or not at all.
    holder = None if badge.holder_id is None else core.registry.holder(badge.holder_id)
    return m.Rekeyed(
        badge=badge.id,
        number=badge.number,
        holder=None if holder is None else claims(holder),
        scheme=badge.scheme,
        generation=generation,
        previous_generation=previous,
        expires_at=badge.expires_at,
    )


def _encoded(core: Core, uid: bytes) -> Badge:
    badge = core.registry.badge_by_uid(uid)
    if badge is None:
        raise Refused(Code.BADGE_UNKNOWN, "this badge is not in the registry; encode it instead")
    if badge.state not in _ENCODED:
        raise Refused(
            Code.CONFLICT,
            f"badge {badge.number} is {badge.state}; only a badge in use or in stock is re-keyed",
            number=badge.number,
            state=badge.state.value,
        )
    return badge


def _generation(core: Core, badge: Badge, request: m.Rekey, journal: Journal | None) -> int:
    """Return the generation to reach: the one begun, else the one asked for, else the current."""
    if journal is not None and is_rekey(journal):
        begun = target(core, badge, journal)
        if request.generation not in {None, begun}:
            raise Refused(
                Code.CONFLICT,
                f"the re-key of badge {badge.number} to generation {begun} has begun; finish that "
                "first",
                number=badge.number,
                generation=begun,
            )
        return begun
    wanted = request.generation or core.masters.current(Purpose.AUTHENTICATE)
    if wanted == badge.generation:
        raise Refused(
            Code.CONFLICT,
            f"badge {badge.number} has keys of generation {wanted} already; nothing was changed",
            number=badge.number,
            generation=wanted,
        )
    _require_masters(core, wanted)
    return wanted


def _require_masters(core: Core, generation: int) -> None:
    for purpose in BADGE_PURPOSES:
        known = core.masters.generations(purpose)
        if generation not in known:
            raise Refused(
                Code.NOT_FOUND,
                f"there is no {purpose} master of generation {generation}; there are: "
                f"{', '.join(map(str, known))}",
            )
