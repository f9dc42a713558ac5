"""`cardd-kms operator`: who approves what one person alone may not do."""

import argparse

import msgspec

from cardd.cli.kms.recovery import take_shares
from cardd.cli.kms.room import SOFT, Room, last_counter, new_passphrase, open_masters, open_room
from cardd.cli.kms.verbs import Verbs, add_dry_run, add_group, add_verb, say
from cardd.config import Config
from cardd.errors import CeremonyCode, CeremonyError
from cardd.kms import operators
from cardd.kms.operators import Operator, Record
from cardd.kms.ports import Masters


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    group = add_group(verbs, "operator", "appoint and dismiss the operators, who approve in twos")
    add_verb(group, "list", show, "print their names")
    first = add_verb(group, "init", initialise, "appoint the first two, or anew with the shares")
    first.add_argument("names", nargs=operators.REQUIRED, metavar="NAME")
    add_dry_run(first)
    for name, run, summary in (
        ("add", add, "appoint another; two operators approve"),
        ("drop", drop, "dismiss one; two operators approve, and two must stay"),
        ("passphrase", change, "change one's own passphrase"),
    ):
        verb = add_verb(group, name, run, summary)
        verb.add_argument("name", metavar="NAME")
        add_dry_run(verb)


def show(config: Config, options: argparse.Namespace) -> None:
    """Print the names of the operators."""
    del options
    with open_room(config, attended=False) as room, room.masters() as masters:
        record = room.record(masters)
        for name in record.names if record else ():
            room.terminal.say(name)
        if record is None:
            room.terminal.say("no operators are appointed")


def initialise(config: Config, options: argparse.Namespace) -> None:
    """Appoint the first two operators; where there were others, the recovery shares decide."""
    operators.require_two(options.names)
    if options.dry_run:
        say(f"would ask {' and '.join(options.names)} for a passphrase each, and appoint them;")
        say("where operators were appointed before, it would take the recovery shares first")
        return
    with open_room(config) as room, room.masters() as masters:
        known = last_counter(room.folder)
        if known or room.operators_path.exists():
            _require_shares(room)
        appointed = tuple(_appoint(room, name) for name in options.names)
        _put(room, masters, Record(counter=known + 1, operators=appointed), ())


def appoint_first(room: Room, names: list[str]) -> tuple[Operator, ...]:
    """Ask the first operators for their passphrases."""
    operators.require_two(names)
    return tuple(_appoint(room, name) for name in names)


def add(config: Config, options: argparse.Namespace) -> None:
    """Appoint another operator."""
    if options.dry_run:
        say(f"would appoint {options.name}, whom two operators approve")
        return
    with open_room(config) as room, room.masters() as masters:
        record = _existing(room, masters)
        approved = room.approve_by(record)
        if options.name in record.names:
            raise CeremonyError(
                CeremonyCode.OPERATOR_TWICE, f"{options.name} is an operator already"
            )
        changed = (*record.operators, _appoint(room, options.name))
        _put_next(room, masters, record, changed, approved)


def drop(config: Config, options: argparse.Namespace) -> None:
    """Dismiss an operator."""
    if options.dry_run:
        say(f"would dismiss {options.name}, if two operators approve and two stay")
        return
    with open_room(config) as room, room.masters() as masters:
        record = _existing(room, masters)
        _require_operator(record, options.name)
        if len(record.operators) == operators.REQUIRED:
            raise CeremonyError(
                CeremonyCode.OPERATORS_MISSING,
                "two operators must stay: appoint another one first",
            )
        approved = room.approve_by(record)
        changed = tuple(each for each in record.operators if each.name != options.name)
        _put_next(room, masters, record, changed, approved)


def change(config: Config, options: argparse.Namespace) -> None:
    """Change an operator's own passphrase."""
    if options.dry_run:
        say(f"would ask {options.name} for the passphrase, and for a new one twice")
        return
    with open_room(config) as room, room.masters() as masters:
        record = _existing(room, masters)
        _require_operator(record, options.name)
        room.prove(record, options.name)
        new = _appoint(room, options.name)
        changed = tuple(new if each.name == new.name else each for each in record.operators)
        _put_next(room, masters, record, changed, (options.name,))


def _require_shares(room: Room) -> None:
    """Have the custodians decide, where the operators of before are lost."""
    if not room.config.kms.masters.startswith(SOFT):
        raise CeremonyError(
            CeremonyCode.OPERATORS_MISSING,
            "there were operators already, and masters in a token or on a server have no shares "
            "whose custodians could appoint others: put the record back from the backup",
        )
    room.terminal.say("there were operators already: the custodians of the shares decide")
    with open_masters(room.config, take_shares(room)):
        room.terminal.say("the shares open the keystore")


def _existing(room: Room, masters: Masters) -> Record:
    record = room.record(masters)
    if record is None:
        raise CeremonyError(
            CeremonyCode.OPERATORS_MISSING, "there are none yet: `cardd-kms operator init`"
        )
    return record


def _require_operator(record: Record, name: str) -> None:
    if name not in record.names:
        raise CeremonyError(
            CeremonyCode.OPERATOR_REFUSED,
            f"{name!r} is no operator; operators are {', '.join(record.names)}",
        )


def _appoint(room: Room, name: str) -> Operator:
    return operators.appointed(name, new_passphrase(room.terminal, f"of {name}"))


def _put_next(
    room: Room,
    masters: Masters,
    record: Record,
    changed: tuple[Operator, ...],
    approved: tuple[str, ...],
) -> None:
    following = msgspec.structs.replace(record, counter=record.counter + 1, operators=changed)
    _put(room, masters, following, approved)


def _put(room: Room, masters: Masters, record: Record, approved: tuple[str, ...]) -> None:
    room.change_operators(masters, record, approved)
    room.terminal.say(f"operators: {', '.join(record.names)}")
