"""`rekey`: a badge of ours gets its keys from another generation of the masters.

The order is PICC, application master, authenticate key. A tap needs the authenticate key alone, so
a badge whose re-key was cut goes on working with the old one as long as that key is not changed.
It changes last, after all the rest was read back; between that command and the registry's word are
only the proof that the new key opens the badge and the file's content. A badge that is pulled in
there opens with a key that the registry does not name yet: it must be shown to a badge desk again.

It converges as `encode` does: each change follows a commit point, and the journal's step says which
keys are possible. A card that goes back behind it is another card.
"""

from dataclasses import dataclass
from typing import TypeVar

from cardd.badges.model import Badge, Picc
from cardd.desfire.card import DesfireCard
from cardd.desfire.keys import DesfireKey
from cardd.errors import Code, Refused
from cardd.kms.procedures import read_back, recognition
from cardd.kms.procedures.layout import AUTHENTICATE_KEY, MASTER_KEY, BadgeKeys
from cardd.kms.procedures.ports import Commit, Driven

PICC_STEP = "picc-key"
APP_MASTER_STEP = "app-master-key"
AUTHENTICATE_STEP = "authenticate-key"
STEPS = (PICC_STEP, APP_MASTER_STEP, AUTHENTICATE_STEP)

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a re-key is to reach. `step` is the journal's: the change that was last committed."""

    badge: Badge
    old: BadgeKeys
    new: BadgeKeys
    step: str


def possible(reached: str, step: str, old: Key, new: Key) -> tuple[Key, ...]:
    """Return which of two keys can be there, where `reached` was committed and `step` changes it.

    The likelier one is first.
    """
    if reached == step:
        return (new, old)
    later = reached in STEPS and STEPS.index(reached) > STEPS.index(step)
    return (new,) if later else (old,)


def rekey(plan: Plan) -> Driven[None]:
    """Bring a badge to its new keys, and read it back under them."""
    card = DesfireCard()
    badge, scheme = plan.badge, plan.badge.scheme
    yield from recognition.scheme_of_known(card, badge)
    if badge.picc is Picc.OURS:
        yield from _change_master(card, plan, PICC_STEP, plan.old.picc, plan.new.picc)
        yield from read_back.picc(card, badge, plan.new.picc, scheme)
    yield from card.select_application(badge.aid)
    yield from _change_master(card, plan, APP_MASTER_STEP, plan.old.app_master, plan.new.app_master)
    yield from read_back.application(card, plan.new.app_master, scheme)
    yield from _change_authenticate_key(card, plan.old.authenticate, plan.new.authenticate)
    yield from read_back.content(card, badge, plan.new.authenticate, scheme)


def _change_master(
    card: DesfireCard, plan: Plan, step: str, old: DesfireKey, new: DesfireKey
) -> Driven[None]:
    """Change the master key of what is selected, where it is not the new one yet."""
    candidates = {key.version: key for key in possible(plan.step, step, old, new)}
    found = yield from recognition.authenticate_with_one(card, candidates, plan.badge.scheme)
    if found is None:
        raise Refused(
            Code.BADGE_NOT_GENUINE,
            f"badge {plan.badge.number} answers to no key that it can have before the step {step}",
        )
    if found != new.version:
        yield Commit(step)
        yield from card.change_key(MASTER_KEY, new)


def _change_authenticate_key(card: DesfireCard, old: DesfireKey, new: DesfireKey) -> Driven[None]:
    """Change it under the application's master key, where it is not the new one yet."""
    version = yield from card.get_key_version(AUTHENTICATE_KEY)
    if version == new.version:
        return
    read_back.same("the version of key 1", version, old.version)
    yield Commit(AUTHENTICATE_STEP)
    yield from card.change_key(AUTHENTICATE_KEY, new, old_key=old)
