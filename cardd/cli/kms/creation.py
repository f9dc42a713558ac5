"""`cardd-kms init`."""

import argparse
import getpass
import sys
from pathlib import Path

from cardd import assembly
from cardd.cli.kms.credential import make_credential, make_folder
from cardd.cli.kms.room import ceremonies_folder, is_configured
from cardd.cli.kms.verbs import Verbs, add_verb, say
from cardd.config import Config
from cardd.errors import StartCode, StartError
from cardd.kms.masters.slots import Passphrase
from cardd.secret import Secret

PASSPHRASE_MINIMUM = 12

_SOFT = "soft:"
_IN_FILES = frozenset({_SOFT, "sealed:", "sqlite:"})


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    add_verb(verbs, "init", initialise, "create the masters and the registry that a file names")


def initialise(config: Config, options: argparse.Namespace) -> None:
    """Create a key service.

    A passphrase is asked for on the terminal where nothing that opens the keystore is configured.
    """
    del options
    make_folders(config)
    create(config, _ask() if needs_passphrase(config) else None)


def create(config: Config, slot: Passphrase | None) -> None:
    """Make a credential where the configured one is not there yet, then the rest, and say so.

    `slot` opens the keystore in future; without it, what the configuration names does.
    """
    soft = config.kms.masters.startswith(_SOFT)
    credential = config.kms.credential_file if soft else None
    made = credential is not None and make_credential(credential)
    try:
        assembly.create_key_service(config, slot)
    except BaseException:
        if made and credential is not None:
            credential.unlink(missing_ok=True)
        raise
    if made:
        say(f"credential file  {credential}  (keep it apart from the backup of the keystore)")
    say(f"masters          {config.kms.masters}")
    if config.kms.assertion_key != "masters":
        say(f"assertion key    {config.kms.assertion_key}")
    say(f"registry         {config.kms.registry}")


def make_folders(config: Config) -> None:
    """Make the folders of the files that will be created; StartError as `make_folder`."""
    places = (config.kms.masters, config.kms.assertion_key, config.kms.registry)
    for place in places:
        scheme, _, path = place.partition(":")
        if f"{scheme}:" in _IN_FILES:
            make_folder(Path(path).parent)
    make_folder(config.kms.audit.parent)
    make_folder(ceremonies_folder(config))


def needs_passphrase(config: Config) -> bool:
    """Tell whether a person is to open the keystore, as nothing else is configured."""
    return config.kms.masters.startswith(_SOFT) and not is_configured(config)


def _ask() -> Passphrase:
    if not sys.stdin.isatty():
        raise StartError(
            StartCode.KEYSTORE_PASSPHRASE,
            "nothing is configured that opens the keystore, and there is no terminal to ask on; "
            "set kms.credential_file (it is created) or kms.passphrase_file",
        )
    first = getpass.getpass("Passphrase of the new keystore: ")
    if len(first) < PASSPHRASE_MINIMUM:
        raise StartError(
            StartCode.KEYSTORE_PASSPHRASE,
            f"a passphrase has at least {PASSPHRASE_MINIMUM} characters; nothing was created",
        )
    if getpass.getpass("The same again: ") != first:
        raise StartError(
            StartCode.KEYSTORE_PASSPHRASE, "the two passphrases differ; nothing was created"
        )
    return Passphrase(Secret(first.encode()))
