"""`cardd-kms slot`: what opens the keystore."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from cardd.cli.kms.credential import make_credential
from cardd.cli.kms.room import Room, is_configured, keystore_path, new_passphrase, open_room
from cardd.cli.kms.verbs import Verbs, add_dry_run, add_group, add_verb, say
from cardd.config import Config
from cardd.kms.masters import keystore, keystore_token
from cardd.kms.masters.configured import keystore_slot, token_pin
from cardd.kms.masters.slots import CredentialFile, Passphrase, Slot, describe, name_of


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    group = add_group(verbs, "slot", "look at what opens the keystore, add a way, drop one")
    add_verb(group, "list", show, "print the slots, each by its name")
    adding = add_group(group, "add", "let something else open the keystore too")
    add_dry_run(add_verb(adding, "passphrase", add_passphrase, "a passphrase, asked for twice"))
    credential = add_verb(adding, "credential", add_credential, "a file of random bytes")
    credential.add_argument("file", type=Path, help="made where it is not there yet")
    add_dry_run(credential)
    token = add_verb(adding, "token", add_token, "a key in a PKCS #11 token, with kms.pin_file")
    token.add_argument("uri", help="pkcs11:token=LABEL?module-path=/FILE (RFC 7512)")
    add_dry_run(token)
    dropping = add_verb(group, "drop", drop, "let a slot not open the keystore any more")
    dropping.add_argument("name", help="as `slot list` prints it")
    add_dry_run(dropping)


def show(config: Config, options: argparse.Namespace) -> None:
    """Print the slots of the keystore; it is opened, where something configured opens it."""
    del options
    path = keystore_path(config)
    opened = keystore.opening(path, keystore_slot(config.kms)) if is_configured(config) else None
    for each in keystore.read_slots(path):
        by_it = ", by which the key service opens it" if each == opened else ""
        say(f"{name_of(each)}  {describe(each)}{by_it}")
    if opened is None:
        say("nothing configured opens the keystore: whether somebody changed it was not looked at")


def add_passphrase(config: Config, options: argparse.Namespace) -> None:
    """Add a slot under a passphrase."""
    keystore_path(config)
    if options.dry_run:
        say("would ask for a new passphrase twice, and let it open the keystore too")
        return
    with open_room(config) as room:
        with room.masters() as masters:
            approved = room.approve(masters, always=False)
        _add(room, Passphrase(new_passphrase(room.terminal, "of the keystore")), approved)


def add_credential(config: Config, options: argparse.Namespace) -> None:
    """Add a slot under a credential file, which is made where it is not there yet."""
    keystore_path(config)
    if options.dry_run:
        what = "let" if options.file.exists() else "make the credential file, and let"
        say(f"would {what} {options.file} open the keystore too")
        return
    with open_room(config, attended=False) as room:
        with room.masters() as masters:
            approved = room.approve(masters, always=False)
        with ExitStack() as undo:
            if make_credential(options.file):
                undo.callback(options.file.unlink, missing_ok=True)
            _add(room, CredentialFile(options.file), approved)
            undo.pop_all()


def add_token(config: Config, options: argparse.Namespace) -> None:
    """Add a slot under a key in a token, which is made where the token has none."""
    keystore_path(config)
    if options.dry_run:
        key = keystore_token.token_key(options.uri, token_pin(config.kms))
        say(f"would make {key} where it is not there yet, and let it open the keystore too")
        return
    with open_room(config, attended=False) as room:
        with room.masters() as masters:
            approved = room.approve(masters, always=False)
        _add(room, keystore_token.make_token_key(options.uri, token_pin(config.kms)), approved)


def drop(config: Config, options: argparse.Namespace) -> None:
    """Drop a slot by its name."""
    path = keystore_path(config)
    if options.dry_run:
        found = [each for each in keystore.read_slots(path) if name_of(each) == options.name]
        for each in found:
            say(f"would drop the slot {options.name}: {describe(each)}")
        if not found:
            say(f"there is no slot {options.name}")
        return
    with open_room(config, attended=False) as room:
        with room.masters() as masters:
            approved = room.approve(masters, always=False)
        opened_by = room.slot or keystore_slot(config.kms)
        with room.acting("slot.drop", approved, slot=options.name):
            dropped = keystore.drop_slot_named(path, opened_by, options.name)
        room.terminal.say(f"dropped the slot {options.name}: {describe(dropped)}")
        room.terminal.say("copies of the keystore from before still open by it: destroy them")


def _add(room: Room, new: Slot, approved: tuple[str, ...]) -> None:
    path, opened_by = keystore_path(room.config), room.slot or keystore_slot(room.config.kms)
    with room.acting("slot.add", approved, slot=str(new)):
        keystore.add_slot(path, opened_by, new)
    room.terminal.say(f"the {new} opens the keystore too")
