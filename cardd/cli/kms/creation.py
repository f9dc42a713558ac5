"""`cardd-kms init`."""

import argparse
import getpass
import os
import sys
from pathlib import Path

from cardd import assembly
from cardd.cli.kms.verbs import Verbs, add_verb, say
from cardd.config import Config
from cardd.errors import StartCode, StartError
from cardd.kms.masters.slots import Passphrase
from cardd.secret import Secret

CREDENTIAL_BYTES = 32
PASSPHRASE_MINIMUM = 12

_SOFT = "soft:"
_IN_FILES = frozenset({_SOFT, "sealed:", "sqlite:"})


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    add_verb(verbs, "init", initialise, "create the masters and the registry that a file names")


def initialise(config: Config, options: argparse.Namespace) -> None:
    """Create a key service: a credential where the configured one is not there yet, then the rest.

    A passphrase is asked for on the terminal where nothing that opens the keystore is configured.
    """
    del options
    _make_folders(config)
    soft = config.kms.masters.startswith(_SOFT)
    credential = config.kms.credential_file if soft else None
    made = credential is not None and _make_credential(credential)
    try:
        assembly.create_key_service(config, _ask() if soft and not _is_configured(config) else None)
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


def _make_folders(config: Config) -> None:
    """Make the folders of the files that will be created."""
    places = (config.kms.masters, config.kms.assertion_key, config.kms.registry)
    for place in places:
        scheme, _, path = place.partition(":")
        if f"{scheme}:" in _IN_FILES:
            _make_folder(Path(path).parent)
    _make_folder(config.kms.audit.parent)


def _is_configured(config: Config) -> bool:
    """Tell whether the keystore can be opened without a person."""
    given = config.kms.credential_file or config.kms.passphrase_file
    return given is not None or bool(os.environ.get("CREDENTIALS_DIRECTORY"))


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


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            StartCode.KEYSTORE_PERMISSIONS, f"the folder {folder} cannot be made: {error.strerror}"
        ) from error


def _make_credential(path: Path) -> bool:
    """Write a new credential file, 0600; return False where there is one already."""
    _make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(CREDENTIAL_BYTES))
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        return False
    except OSError as error:
        raise StartError(
            StartCode.KEYSTORE_PERMISSIONS,
            f"the credential file {path} cannot be written: {error.strerror}",
        ) from error
    return True
