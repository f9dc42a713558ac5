"""The generations of masters that change together: which is made next, promoted, destroyed."""

from collections.abc import Mapping

from cardd.errors import Code, Refused
from cardd.kms.ports import BADGE_PURPOSES, KeyState, MasterKeys, Purpose

TOGETHER: dict[str, tuple[Purpose, ...]] = {
    "badge": BADGE_PURPOSES,
    "transport": (Purpose.TRANSPORT,),
    "registry": (Purpose.REGISTRY,),
}
"""What people name. One generation names the masters of all three keys of a badge."""

States = Mapping[Purpose, Mapping[int, KeyState]]


def group_of(purpose: Purpose) -> str:
    """Return what a purpose changes together with."""
    return next(name for name, purposes in TOGETHER.items() if purpose in purposes)


def states_of(keys: MasterKeys, group: str) -> dict[Purpose, dict[int, KeyState]]:
    """Return the generations of a group and their states."""
    return {purpose: keys.states(purpose) for purpose in TOGETHER[group]}


def to_make(states: States) -> tuple[int, tuple[Purpose, ...]]:
    """Return the generation that is made next, and the purposes that do not have it yet.

    Where one was begun and broke off before all had it, it is that one.
    """
    newest = max(max(of, default=0) for of in states.values())
    missing = tuple(purpose for purpose, of in states.items() if newest not in of)
    return (newest, missing) if newest and missing else (newest + 1, tuple(states))


def add(keys: MasterKeys, group: str) -> tuple[int, tuple[Purpose, ...]]:
    """Make the next generation of a group, for the purposes that lack it; return both.

    Raises Refused (`conflict`) where the one that was made last is not promoted yet.
    """
    states = states_of(keys, group)
    generation, missing = to_make(states)
    if len(missing) == len(states):
        _require_none_next(states)
    for purpose in missing:
        keys.generate(purpose, generation)
    return generation, missing


def to_promote(states: States) -> tuple[int, tuple[Purpose, ...]]:
    """Return the generation to promote and the purposes whose master of it is `next`.

    Raises Refused: `not_found` where none is; `conflict` where a purpose lacks it.
    """
    waiting = [g for of in states.values() for g, state in of.items() if state is KeyState.NEXT]
    if not waiting:
        raise Refused(
            Code.NOT_FOUND, "there is no next generation; `cardd-kms generation add` makes one"
        )
    generation = max(waiting)
    lacking = [purpose.value for purpose, of in states.items() if generation not in of]
    if lacking:
        raise Refused(
            Code.CONFLICT,
            f"generation {generation} lacks its master for {', '.join(lacking)}: make or bring in "
            "what is missing first",
        )
    return generation, tuple(p for p, of in states.items() if of[generation] is KeyState.NEXT)


def promote(keys: MasterKeys, group: str) -> int:
    """Make the next generation of a group the current one, and return it; errors as `to_promote`.

    Badges take their generation from the last purpose of the group: where this breaks off, they
    still get the former one, and it can be done again.
    """
    generation, purposes = to_promote(states_of(keys, group))
    for purpose in purposes:
        keys.promote(purpose, generation)
    return generation


def to_destroy(states: States, generation: int) -> tuple[Purpose, ...]:
    """Return the purposes that have a generation which may go, as far as the masters know.

    Raises Refused: `not_found`; `conflict` where it is current.
    """
    having = tuple(purpose for purpose, of in states.items() if generation in of)
    if not having:
        raise Refused(Code.NOT_FOUND, f"there is no generation {generation}")
    if any(states[purpose][generation] is KeyState.CURRENT for purpose in having):
        raise Refused(
            Code.CONFLICT,
            f"generation {generation} is the current one: promote another first",
        )
    return having


def _require_none_next(states: States) -> None:
    for of in states.values():
        for generation, state in of.items():
            if state is KeyState.NEXT:
                raise Refused(
                    Code.CONFLICT,
                    f"generation {generation} waits to be promoted: promote or destroy it first",
                )
