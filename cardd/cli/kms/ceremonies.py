"""`cardd-kms ceremony`: what people do together at a terminal, with pen and paper."""

import argparse

from cardd.cli.kms import components, recovery
from cardd.cli.kms.creation import create, make_folders, needs_passphrase
from cardd.cli.kms.kcvs import kcv_lines
from cardd.cli.kms.operators import appoint_first
from cardd.cli.kms.room import new_passphrase, open_room
from cardd.cli.kms.verbs import Verbs, add_dry_run, add_group, add_verb, say
from cardd.config import Config
from cardd.kms.masters.slots import Passphrase
from cardd.kms.operators import REQUIRED, Record


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    group = add_group(verbs, "ceremony", "hold a key ceremony (docs/key-ceremony.md)")
    making = add_verb(group, "generate", generate, "create the key service, with two operators")
    making.add_argument("operators", nargs=REQUIRED, metavar="OPERATOR")
    add_dry_run(making)
    components.add_to(group)
    recovery.add_to(group)


def generate(config: Config, options: argparse.Namespace) -> None:
    """Create the key service with its first masters, and appoint its first two operators."""
    names = options.operators
    if options.dry_run:
        say(f"would ask {' and '.join(names)} for a passphrase each, then make the masters in")
        say(f"{config.kms.masters} and the registry {config.kms.registry}, and appoint them")
        return
    make_folders(config)
    with open_room(config, opening=False) as room:
        slot = None
        if needs_passphrase(config):
            slot = Passphrase(new_passphrase(room.terminal, "of the keystore"))
        appointed = appoint_first(room, names)
        with room.acting("generate", tuple(names), masters=config.kms.masters):
            create(config, slot)
            with room.masters(slot) as masters:
                record = Record(counter=1, operators=appointed)
                room.change_operators(masters, record, tuple(names))
                lines = kcv_lines(masters)
        room.terminal.say("Write on the form:")
        for line in lines:
            room.terminal.say(line)
