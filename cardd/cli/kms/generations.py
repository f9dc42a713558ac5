"""`cardd-kms generation`: the generations of the masters."""

import argparse

from cardd.cli.kms.kcvs import shown
from cardd.cli.kms.papers import table
from cardd.cli.kms.room import open_masters, open_room, open_rows
from cardd.cli.kms.verbs import Verbs, add_dry_run, add_group, add_verb, say
from cardd.config import Config
from cardd.errors import CeremonyCode, CeremonyError
from cardd.kms import generations, key_use
from cardd.kms.masters.opening import open_keys, open_master_keys
from cardd.kms.masters.slots import Slot
from cardd.kms.ports import Purpose


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    group = add_group(verbs, "generation", "the masters' generations: make, promote, destroy")
    add_verb(group, "list", show, "print which there are, their states and check values")
    for name, run, summary in (
        ("add", add, "make the next generation"),
        ("promote", promote, "use the next generation from now on"),
        ("destroy", destroy, "destroy one that no badge needs; two operators approve"),
    ):
        verb = add_verb(group, name, run, summary)
        verb.add_argument("masters", choices=list(generations.TOGETHER))
        if run is destroy:
            verb.add_argument("generation", type=int)
        add_dry_run(verb)


def show(config: Config, options: argparse.Namespace) -> None:
    """Print each master's generation, state and check value."""
    del options
    with open_master_keys(config.kms) as keys:
        states = {purpose: keys.states(purpose) for purpose in Purpose}
    with open_keys(config.kms) as opened:
        rows = [
            (
                purpose.value,
                str(generation),
                state.value,
                f"KCV {shown(opened.masters.kcv(purpose, generation))}",
            )
            for purpose, of in states.items()
            for generation, state in of.items()
        ]
    for line in table(rows):
        say(line)


def add(config: Config, options: argparse.Namespace) -> None:
    """Make the next generation of masters; it is used once it is promoted."""
    group = options.masters
    if options.dry_run:
        with open_master_keys(config.kms) as keys:
            generation, missing = generations.to_make(generations.states_of(keys, group))
        say(f"would make generation {generation} of {', '.join(missing)}; it would be next")
        return
    with open_room(config, attended=False) as room:
        with room.masters() as masters:
            approved = room.approve(masters, always=False)
        with room.master_keys() as keys:
            generation, _ = generations.to_make(generations.states_of(keys, group))
            with room.acting("generation.add", approved, masters=group, generation=generation):
                generations.add(keys, group)
        room.terminal.say(f"generation {generation} of {group} is next: promote it to use it")


def promote(config: Config, options: argparse.Namespace) -> None:
    """Make the next generation the current one: new badges get theirs, others by a re-key."""
    group = options.masters
    if options.dry_run:
        with open_master_keys(config.kms) as keys:
            generation, _ = generations.to_promote(generations.states_of(keys, group))
        say(f"would make generation {generation} of {group} the current one")
        return
    with open_room(config, attended=False) as room:
        with room.masters() as masters:
            approved = room.approve(masters, always=False)
        with room.master_keys() as keys:
            generation, _ = generations.to_promote(generations.states_of(keys, group))
            with room.acting("generation.promote", approved, masters=group, generation=generation):
                generations.promote(keys, group)
        room.terminal.say(f"generation {generation} is current when the key service starts again")
        if group == "badge":
            room.terminal.say(
                "badges keep their keys until `cardctl badge rekey` brings each to it"
            )


def destroy(config: Config, options: argparse.Namespace) -> None:
    """Destroy a generation that no badge needs any more."""
    group, generation = options.masters, options.generation
    if options.dry_run:
        with open_master_keys(config.kms) as keys:
            having = generations.to_destroy(generations.states_of(keys, group), generation)
        say(_still_needed(config, group, generation))
        say(
            f"would destroy generation {generation} of {', '.join(having)}, two operators approving"
        )
        return
    with open_room(config) as room:
        with room.master_keys() as keys:
            generations.to_destroy(generations.states_of(keys, group), generation)
        room.terminal.say(_still_needed(config, group, generation, room.slot))
        with room.masters() as masters:
            approved = room.approve(masters, always=True)
        typed = room.terminal.ask(f"Type `destroy {group} {generation}` to destroy it for good: ")
        if typed != f"destroy {group} {generation}":
            raise CeremonyError(CeremonyCode.NOT_THE_SAME, "nothing was destroyed")
        with room.acting("generation.destroy", approved, masters=group, generation=generation):
            # Counted again: the key service went on while people typed.
            _still_needed(config, group, generation, room.slot)
            with room.master_keys() as keys:
                states = generations.states_of(keys, group)
                for purpose in generations.to_destroy(states, generation):
                    keys.destroy(purpose, generation)
        room.terminal.say(f"generation {generation} of {group} is destroyed here")
        room.terminal.say("backups and papers that still have it are yours to destroy")


def _still_needed(config: Config, group: str, generation: int, slot: Slot | None = None) -> str:
    """Return what is known of the badges of a generation; Refused where some still need it."""
    with open_masters(config, slot) as masters, open_rows(config, masters) as rows:
        use = key_use.count(rows, masters, group, generation)
    key_use.require_free(use, generation)
    said = f"no badge has keys of generation {generation}"
    return (
        said
        if not use.revoked
        else (f"{said}; {use.revoked} revoked ones have, and can not be wiped any more without it")
    )
