"""`cardd-kms ceremony components`: a master from the parts of two or three custodians."""

import argparse
from contextlib import ExitStack

from cardd.cli.kms.kcvs import shown
from cardd.cli.kms.papers import Paper, hand_out, retried, take_in
from cardd.cli.kms.room import Room, open_room
from cardd.cli.kms.verbs import Verbs, add_dry_run, add_seconds, add_verb, say
from cardd.config import Config
from cardd.errors import CeremonyCode, CeremonyError, Code, Refused
from cardd.kms import generations
from cardd.kms.masters import components
from cardd.kms.masters.check_values import kcv_of, legacy_kcv_of
from cardd.kms.masters.held import require_new
from cardd.kms.masters.opening import open_master_keys
from cardd.kms.ports import MasterKeys, Purpose
from cardd.secret import Secret


def add_to(group: Verbs) -> None:
    """Add the commands of this file."""
    verb = add_verb(group, "components", hold, "make or bring in a master from custodians' parts")
    verb.add_argument("purpose", choices=[purpose.value for purpose in Purpose])
    verb.add_argument("--parts", type=int, choices=components.PARTS, default=3)
    verb.add_argument("--enter", action="store_true", help="the custodians have their parts")
    verb.add_argument("--generation", type=int, metavar="N", help="default: the next")
    verb.add_argument("--legacy-kcv", action="store_true", help="check values as E_K(0)")
    add_dry_run(verb)
    add_seconds(verb)


def hold(config: Config, options: argparse.Namespace) -> None:
    """Make a master from parts, new ones or those that the custodians bring."""
    purpose = Purpose(options.purpose)
    if options.dry_run:
        _plan(config, options, purpose)
        return
    with ExitStack() as stack:
        room = stack.enter_context(open_room(config, options.seconds))
        with room.masters() as masters:
            approved = room.approve(masters, always=True)
        with room.master_keys() as keys:
            generation = _generation(keys, purpose, options.generation)
        name = f"{purpose} generation {generation}"
        key = _enter(room, name, options) if options.enter else _make(room, name, options)
        kcv = _kcv(key, options)
        if options.enter:
            _confirm(room, kcv)
        room.terminal.say(f"the key of {options.parts} parts: KCV {shown(kcv)}")
        _import(room, approved, purpose, generation, key)


def _plan(config: Config, options: argparse.Namespace, purpose: Purpose) -> None:
    with open_master_keys(config.kms) as keys:
        generation = _generation(keys, purpose, options.generation)
    what = "take in" if options.enter else "hand out"
    say(f"would {what} {options.parts} parts of a key, two operators approving, and bring it in as")
    say(f"the {purpose} master of generation {generation}, which is next until it is promoted")


def _generation(keys: MasterKeys, purpose: Purpose, wanted: int | None) -> int:
    """Return the generation to bring in; Refused (`conflict`) where it cannot be."""
    states = generations.states_of(keys, generations.group_of(purpose))
    generation, missing = generations.to_make(states)
    if wanted is None and purpose not in missing:
        lacking = ", ".join(each.value for each in missing)
        raise Refused(
            Code.CONFLICT,
            f"generation {generation} has its {purpose} master already, and lacks {lacking}: bring "
            "those in first",
        )
    require_new(states[purpose], purpose, wanted or generation)
    return wanted or generation


def _make(room: Room, name: str, options: argparse.Namespace) -> Secret:
    """Hand out the parts of a new key."""
    parts = [components.random_component() for _ in range(options.parts)]
    for number, part in enumerate(parts, 1):
        note = f"KCV of this part: {shown(_kcv(part, options))}"
        heading = f"Part {number} of {options.parts}, {name}"
        paper = Paper(heading, components.text(part), (note,), components.parse_group)
        hand_out(room.terminal, f"Custodian {number} of {options.parts}", paper)
    return components.combine(parts)


def _enter(room: Room, name: str, options: argparse.Namespace) -> Secret:
    """Take in the parts that the custodians have on paper, each with its check value."""
    return components.combine(
        [_enter_part(room, number, name, options) for number in range(1, options.parts + 1)]
    )


def _enter_part(room: Room, number: int, name: str, options: argparse.Namespace) -> Secret:
    for left in (True, True, False):
        groups = take_in(
            room.terminal,
            f"Custodian {number} of {options.parts}",
            f"Part {number} of {options.parts}, {name}, group by group:",
            components.GROUPS,
            components.parse_group,
        )
        if groups is None:
            raise CeremonyError(
                CeremonyCode.COMPONENT_WRONG,
                f"{number - 1} of {options.parts} parts are here: without all of them there is no "
                "key; nothing was changed",
            )
        part = components.parse(groups)
        if _ask_kcv(room, "KCV of this part, from the paper: ") == _kcv(part, options):
            room.terminal.say(f"part {number}: taken")
            return part
        wrong = CeremonyError(
            CeremonyCode.COMPONENT_WRONG,
            f"part {number} has another check value than its paper: there is a typing error in it, "
            "or in the KCV (or it is of the other form: --legacy-kcv)",
        )
        if left:
            room.terminal.say(str(wrong))
    raise wrong


def _confirm(room: Room, kcv: bytes) -> None:
    """Have the combined key's check value compared with the form."""
    if _ask_kcv(room, "KCV of the combined key, from the form: ") != kcv:
        raise CeremonyError(
            CeremonyCode.COMPONENT_WRONG,
            "the parts do not make the key of the form: a part is of another key; nothing was "
            "changed",
        )


def _ask_kcv(room: Room, prompt: str) -> bytes:
    def parse(typed: str) -> str:
        return components.parse_kcv(typed).hex()

    return bytes.fromhex(retried(room.terminal, prompt, parse))


def _import(
    room: Room, approved: tuple[str, ...], purpose: Purpose, generation: int, key: Secret
) -> None:
    """Bring the key in, and have the backend say its check value."""
    kcv = kcv_of(key)
    facts = {"purpose": purpose.value, "generation": generation, "kcv": shown(kcv)}
    with room.acting("import", approved, **facts), room.master_keys() as keys:
        keys.import_key(purpose, generation, key)
    with room.masters() as masters:
        found = masters.kcv(purpose, generation)
    if found != kcv:
        raise CeremonyError(
            CeremonyCode.COMPONENT_WRONG,
            f"the {purpose} master of generation {generation} was brought in, and its KCV there is "
            f"{shown(found)}, not {shown(kcv)}: destroy it",
        )
    room.terminal.say(f"{purpose} generation {generation} is next. KCV {shown(found)}")
    room.terminal.say("promote it: cardd-kms generation promote " + generations.group_of(purpose))


def _kcv(key: Secret, options: argparse.Namespace) -> bytes:
    return legacy_kcv_of(key) if options.legacy_kcv else kcv_of(key)
