"""`wipe`: a revoked badge goes back to the prepared blanks."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from cardd.badges.model import Badge, Picc
from cardd.badges.states import BadgeEvent, BadgeState, following
from cardd.desfire.keys import DesfireKey
from cardd.errors import Code, Refused
from cardd.kms import encoding, rekeying
from cardd.kms import messages as m
from cardd.kms.badge_keys import NewKeys
from cardd.kms.core import Core
from cardd.kms.ports import Client, Journal, Purpose, Right
from cardd.kms.procedures import rekey as rekey_card
from cardd.kms.procedures import wipe as card
from cardd.kms.procedures.encode import PiccKey
from cardd.kms.procedures.guard import guarded
from cardd.kms.procedures.layout import FACTORY_PICC_KEY
from cardd.kms.procedures.ports import Driven
from cardd.kms.rights import require
from cardd.kms.runs import Begun, Run, claimed_journal, new_journal, secret_of

PROCEDURE = "wipe"
_FACTORY: Literal["factory"] = "factory"


@dataclass(frozen=True, slots=True)
class _KeyName:
    """A master key that a badge may have; `generation` is 0 for the factory's."""

    purpose: Purpose | Literal["factory"]
    generation: int


def begin(core: Core, client: Client, request: m.Wipe) -> Begun:
    """Return the procedure that wipes a revoked badge, or goes on where an earlier run was cut."""
    require(client, Right.WIPE)
    badge = _revoked(core, request.uid)
    found = claimed_journal(core, client, request.uid)
    resumed = found is not None and found.procedure == PROCEDURE
    journal, known, new_keys = found, badge, core.keys.new_keys()
    if journal is None or not resumed:
        names = _possible(core, badge, journal)
        journal = new_journal(core, client, badge, PROCEDURE, _written(names))
        badge = _with_transport(core, badge)
    else:
        names = _read(secret_of(core, badge, journal).reveal())
    if any(name.purpose == _FACTORY for name in names):
        require(client, Right.PREPARE)  # it is then prepared from a public key
    core.audit.record(
        "wipe.begun", durable=True, client=client.name, badge=badge.id, resumed=resumed
    )
    transport = _transport_key(core, new_keys, known, badge)
    keys = tuple(_named(core, badge, name) for name in names)
    run = Run(core, client, badge, journal, new_keys, resumed=resumed, replaces=found)
    plan = card.Plan(badge, keys, transport, journal.step)
    return Begun(_wipe(client, run, plan), run.commit, card.STEPS)


def _wipe(client: Client, run: Run, plan: card.Plan) -> Driven[m.Outcome]:
    found = yield from guarded(card.wipe(plan), registered=True)
    badge = dataclasses.replace(
        run.badge,
        state=following(run.badge.state, BadgeEvent.WIPE),
        scheme=found.scheme,
        reason=None,
        holder_id=None,
        issued_at=None,
        expires_at=None,
    )
    run.finish(badge, "wipe.done", client=client.name, formatted=found.formatted)
    return m.Wiped(
        badge=badge.id,
        number=badge.number,
        transport_generation=badge.transport_generation,
        formatted=found.formatted,
    )


def _revoked(core: Core, uid: bytes) -> Badge:
    badge = core.registry.badge_by_uid(uid)
    if badge is None:
        raise Refused(Code.BADGE_UNKNOWN, "this badge is not in the registry; it stays as it is")
    if badge.state is not BadgeState.REVOKED:
        wiped = badge.state is BadgeState.WIPED
        remedy = "it can be encoded" if wiped else "revoke it before it is wiped"
        raise Refused(
            Code.CONFLICT,
            f"badge {badge.number} is {badge.state}; {remedy}",
            number=badge.number,
            state=badge.state.value,
        )
    return badge


def _with_transport(core: Core, badge: Badge) -> Badge:
    """Return the row of a badge whose wipe begins: which transport key its PICC will have."""
    ours = badge.picc is Picc.OURS
    generation = core.masters.current(Purpose.TRANSPORT) if ours else None
    return dataclasses.replace(badge, transport_generation=generation)


def _transport_key(core: Core, new_keys: NewKeys, known: Badge, badge: Badge) -> DesfireKey | None:
    """Return the key that the PICC gets at the end, which an unfinished badge may have already."""
    if badge.picc is not Picc.OURS:
        return None
    has_it = known.transport_generation == badge.transport_generation
    return (core.keys.key if has_it else new_keys.draw)(Purpose.TRANSPORT, badge)


def _possible(core: Core, badge: Badge, journal: Journal | None) -> tuple[_KeyName, ...]:
    """Return the master keys that may authenticate the wipe, likeliest first.

    A badge can be revoked while its encoding or its re-key is unfinished: the journal's step says
    which keys are left.
    """
    if badge.picc is Picc.FOREIGN:
        purpose, step = Purpose.APP_MASTER, rekey_card.APP_MASTER_STEP
    else:
        purpose, step = Purpose.PICC, rekey_card.PICC_STEP
    if journal is not None and rekeying.is_rekey(journal):
        new = rekeying.target(core, badge, journal)
        generations = rekey_card.possible(journal.step, step, badge.generation, new)
        return tuple(_KeyName(purpose, generation) for generation in generations)
    if journal is None and badge.transport_generation is None:
        return (_KeyName(purpose, badge.generation),)
    return tuple(_name(which, badge) for which in encoding.possible_picc_keys(core, badge, journal))


def _name(which: PiccKey, badge: Badge) -> _KeyName:
    if which is PiccKey.FACTORY:
        return _KeyName(_FACTORY, 0)
    if which is PiccKey.OWN:
        return _KeyName(Purpose.PICC, badge.generation)
    assert badge.transport_generation is not None
    return _KeyName(Purpose.TRANSPORT, badge.transport_generation)


def _named(core: Core, badge: Badge, name: _KeyName) -> DesfireKey:
    if name.purpose == _FACTORY:
        return FACTORY_PICC_KEY
    generation = name.generation
    of_it = dataclasses.replace(badge, generation=generation, transport_generation=generation)
    return core.keys.key(Purpose(name.purpose), of_it)


def _written(names: tuple[_KeyName, ...]) -> bytes:
    return " ".join(f"{name.purpose}:{name.generation}" for name in names).encode()


def _read(text: bytes) -> tuple[_KeyName, ...]:
    """Read what `_written` gave, which the journal kept sealed."""
    names = []
    for word in text.decode().split():
        purpose, generation = word.split(":")
        names.append(
            _KeyName(_FACTORY if purpose == _FACTORY else Purpose(purpose), int(generation))
        )
    return tuple(names)
