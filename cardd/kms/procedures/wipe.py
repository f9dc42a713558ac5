"""`wipe`: a revoked badge becomes a prepared blank again.

Where the PICC is ours and no other party is on it, FormatPICC takes our application away and gives
its memory back; else DeleteApplication takes ours alone. The PICC gets its transport key last:
until then it answers to the keys that the wipe began with. It converges as `encode` does, and its
journal never goes back to an earlier step, as the last one alone says that the transport key is
possible. The settings of the PICC stay as the encoding left them.
"""

from dataclasses import dataclass

from cardd.badges.model import Badge, Picc, Scheme
from cardd.desfire.card import DesfireCard
from cardd.desfire.keys import DesfireKey
from cardd.desfire.status import Status
from cardd.errors import CardStatusError, Code, Refused
from cardd.kms.procedures import layout, read_back, recognition
from cardd.kms.procedures.layout import MASTER_KEY
from cardd.kms.procedures.ports import Commit, Driven

APPLICATION_STEP = "application"
DEFAULT_KEY_STEP = "default-key-reset"
TRANSPORT_STEP = "transport-key"
STEPS = (APPLICATION_STEP, DEFAULT_KEY_STEP, TRANSPORT_STEP)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a wipe is to reach, and from where.

    `keys` are the master keys that the level can have which is authenticated to, likeliest first:
    the PICC's where it is ours, else our application's. `step` is the journal's. `transport` is
    None where the PICC is another party's.
    """

    badge: Badge
    keys: tuple[DesfireKey, ...]
    transport: DesfireKey | None
    step: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a wipe learnt: the product's scheme, and whether the memory was given back."""

    scheme: Scheme
    formatted: bool


def wipe(plan: Plan) -> Driven[Found]:
    """Take our application from a badge, and give the PICC its transport key where it is ours."""
    card = DesfireCard()
    scheme = yield from recognition.scheme_of_known(card, plan.badge)
    if plan.badge.picc is Picc.FOREIGN or plan.transport is None:
        yield from _leave(card, plan, scheme)
        return Found(scheme, formatted=False)
    keys = (plan.transport, *plan.keys) if plan.step == TRANSPORT_STEP else plan.keys
    key = yield from _authenticate(card, keys, plan.badge, scheme)
    formatted = yield from _clear(card, plan, key, scheme)
    yield _commit(plan, DEFAULT_KEY_STEP)
    yield from card.set_default_key(layout.ZERO_DEFAULT_KEY)
    if key != plan.transport:
        yield _commit(plan, TRANSPORT_STEP)
        yield from card.change_key(MASTER_KEY, plan.transport)
    yield from read_back.picc_identity(card, plan.badge, plan.transport, scheme)
    left = yield from card.get_application_ids()
    read_back.same("the list of applications", plan.badge.aid in left, expected=False)
    return Found(scheme, formatted)


def _commit(plan: Plan, step: str) -> Commit:
    """Return the commit point of a step, or of a later one that an earlier run reached."""
    reached = STEPS.index(plan.step) if plan.step in STEPS else 0
    return Commit(STEPS[max(reached, STEPS.index(step))])


def _clear(card: DesfireCard, plan: Plan, key: DesfireKey, scheme: Scheme) -> Driven[bool]:
    """Take our application away; tell whether the whole PICC was formatted."""
    aid = plan.badge.aid
    applications = yield from card.get_application_ids()
    if set(applications) <= {aid}:
        yield _commit(plan, APPLICATION_STEP)
        if (yield from _formatted(card)):
            return True
        yield from layout.authenticate(card, MASTER_KEY, key, scheme)
    if aid in applications:
        yield _commit(plan, APPLICATION_STEP)
        yield from card.delete_application(aid)
    return False


def _formatted(card: DesfireCard) -> Driven[bool]:
    """Format the PICC; False where SetConfiguration disabled that, for good."""
    try:
        yield from card.format_picc()
    except CardStatusError as error:
        if error.status != Status.PERMISSION_DENIED.word:
            raise
        return False
    return True


def _leave(card: DesfireCard, plan: Plan, scheme: Scheme) -> Driven[None]:
    """Delete our application with its own master key, as far as the PICC's owner lets us."""
    try:
        yield from card.select_application(plan.badge.aid)
    except CardStatusError as error:
        if plan.step != APPLICATION_STEP or error.status != Status.APPLICATION_NOT_FOUND.word:
            raise
        return  # it was deleted, and the answer was lost
    yield from _authenticate(card, plan.keys, plan.badge, scheme)
    yield _commit(plan, APPLICATION_STEP)
    yield from card.delete_application(plan.badge.aid)


def _authenticate(
    card: DesfireCard, keys: tuple[DesfireKey, ...], badge: Badge, scheme: Scheme
) -> Driven[DesfireKey]:
    """Authenticate with the first of some master keys that fits; return it."""
    candidates = dict(enumerate(keys))
    found = yield from recognition.authenticate_with_one(card, candidates, scheme)
    if found is None:
        raise Refused(
            Code.BADGE_NOT_GENUINE,
            f"badge {badge.number} answers to no key that the registry knows it can have",
        )
    return candidates[found]
