"""`cardd-kms generation`: the generations of the masters."""

import argparse

from cardd import assembly
from cardd.cli.kms.verbs import Verbs, add_group, add_verb, say
from cardd.config import Config
from cardd.kms.ports import BADGE_PURPOSES, Purpose


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    group = add_group(verbs, "generation", "look at the masters' generations, add one")
    add_verb(group, "list", show, "print which generations there are")
    adding = add_group(group, "add", "make a generation, and use it from now on")
    add_verb(adding, "badge", add_badge, "the masters of encoded badges' keys")
    add_verb(adding, "transport", add_transport, "the master of prepared blanks' keys")


def show(config: Config, options: argparse.Namespace) -> None:
    """Print each purpose's generations, and which of them is current."""
    del options
    for purpose, (current, every) in assembly.generations(config).items():
        say(f"{purpose:<13} current {current:<3} of {', '.join(map(str, every))}")


def add_badge(config: Config, options: argparse.Namespace) -> None:
    """Make new masters for the keys of badges: new badges get theirs, others by a re-key."""
    del options
    _say_added(assembly.add_generation(config, BADGE_PURPOSES))
    say("badges keep their keys until `cardctl badge rekey` brings each to it")


def add_transport(config: Config, options: argparse.Namespace) -> None:
    """Make a new master for the keys of prepared blanks: those of before keep theirs."""
    del options
    _say_added(assembly.add_generation(config, (Purpose.TRANSPORT,)))


def _say_added(generation: int) -> None:
    say(f"generation {generation} is current when the key service starts again")
