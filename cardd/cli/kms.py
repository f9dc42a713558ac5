"""`cardd-kms`: create a key service, publish its keys, renew its masters, verify its audit."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cardd import __version__, assembly
from cardd.cli.cardd import DEFAULT_CONFIGURATION
from cardd.cli.start import reporting_start_errors
from cardd.config import Config, load
from cardd.errors import StartCode, StartError
from cardd.kms import audit
from cardd.kms.masters.slots import Passphrase
from cardd.kms.ports import BADGE_PURPOSES, Purpose
from cardd.secret import Secret

CREDENTIAL_BYTES = 32
PASSPHRASE_MINIMUM = 12


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="cardd-kms", description="Keep the keys of an establishment's badges."
    )
    parser.add_argument("--version", action="version", version=f"cardd-kms {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    _verb(verbs, "init", initialise, "create the keystore and the registry that a file names")
    _verb(verbs, "jwks", jwks, "print the public keys that verify assertions (RFC 7517)")
    generations = verbs.add_parser("generation", help="look at the masters' generations, add one")
    of_generation = generations.add_subparsers(required=True, metavar="COMMAND")
    _verb(of_generation, "list", generation_list, "print which generations there are")
    adding = of_generation.add_parser("add", help="make a generation, and use it from now on")
    of_adding = adding.add_subparsers(required=True, metavar="MASTERS")
    _verb(of_adding, "badge", generation_add_badge, "the masters of encoded badges' keys")
    _verb(of_adding, "transport", generation_add_transport, "the master of prepared blanks' keys")
    audits = verbs.add_parser("audit", help="look at the audit file")
    of_audit = audits.add_subparsers(required=True, metavar="COMMAND")
    _verb(of_audit, "verify", audit_verify, "verify the chain of hashes from the first line")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = arguments().parse_args(argv)
    with reporting_start_errors("cardd-kms"):
        options.run(load(options.config))
    return 0


def initialise(config: Config) -> None:
    """Create a key service: a credential where the configured one is not there yet, then the rest.

    A passphrase is asked for on the terminal where nothing that opens the keystore is configured.
    """
    if config.kms.masters.startswith("soft:"):
        _make_folder(Path(config.kms.masters.removeprefix("soft:")).parent)
    _make_folder(Path(config.kms.registry.removeprefix("sqlite:")).parent)
    _make_folder(config.kms.audit.parent)
    credential = config.kms.credential_file
    made = credential is not None and _make_credential(credential)
    try:
        assembly.create_key_service(config, None if _is_configured(config) else _ask())
    except BaseException:
        if made and credential is not None:
            credential.unlink(missing_ok=True)
        raise
    if made:
        _say(f"credential file  {credential}  (keep it apart from the backup of the keystore)")
    _say(f"keystore         {config.kms.masters}")
    _say(f"registry         {config.kms.registry}")


def jwks(config: Config) -> None:
    """Print the public keys as JSON."""
    _say(json.dumps(assembly.public_keys(config), indent=2))


def generation_list(config: Config) -> None:
    """Print each purpose's generations, and which of them is current."""
    for purpose, (current, every) in assembly.generations(config).items():
        _say(f"{purpose:<13} current {current:<3} of {', '.join(map(str, every))}")


def generation_add_badge(config: Config) -> None:
    """Make new masters for the keys of badges: new badges get theirs, others by a re-key."""
    _say_added(assembly.add_generation(config, BADGE_PURPOSES))
    _say("badges keep their keys until `cardctl badge rekey` brings each to it")


def generation_add_transport(config: Config) -> None:
    """Make a new master for the keys of prepared blanks: those of before keep theirs."""
    _say_added(assembly.add_generation(config, (Purpose.TRANSPORT,)))


def _say_added(generation: int) -> None:
    _say(f"generation {generation} is current when the key service starts again")


def audit_verify(config: Config) -> None:
    """Verify the audit file and say how long it is."""
    _say(f"{config.kms.audit}: {audit.verify(config.kms.audit)} lines, chain intact")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[Config], None],
    summary: str,
) -> None:
    verb = verbs.add_parser(name, help=summary, description=summary)
    verb.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=DEFAULT_CONFIGURATION,
        help="the configuration (default: %(default)s)",
    )
    verb.set_defaults(run=run)


def _is_configured(config: Config) -> bool:
    """Tell whether the key service can be opened without a person."""
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


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
