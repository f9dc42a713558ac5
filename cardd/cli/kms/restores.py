"""`cardd-kms accept-restore`."""

import argparse

from cardd import assembly
from cardd.cli.kms.room import open_room
from cardd.cli.kms.verbs import Verbs, add_dry_run, add_verb, say
from cardd.config import Config
from cardd.errors import StartCode, StartError
from cardd.kms import rollback


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    verb = add_verb(
        verbs,
        "accept-restore",
        accept,
        "go on from an older keystore, registry or audit that was put back on purpose",
    )
    verb.add_argument("--reason", required=True, help="why, for the audit")
    add_dry_run(verb)


def accept(config: Config, options: argparse.Namespace) -> None:
    """Accept what was put back. Two operators approve, where operators are appointed."""
    reason: str = options.reason.strip()
    if not reason:
        raise StartError(StartCode.CONFIG_INVALID, "--reason is empty; say why, for the audit")
    with (
        open_room(config, attended=False) as room,
        room.masters() as masters,
        assembly.open_marker(config, masters) as marker,
    ):
        for finding in rollback.require_older(marker):
            say(f"the {finding.older.value} is older: {finding.why}")
        if options.dry_run:
            say("would accept this, and go on from it")
            return
        approved = room.approve(masters, always=False)
        with room.acting("restore.accept", approved, reason=reason):
            rollback.accept(marker, reason, approved)
    say("accepted; badges that changed since may have to be encoded or revoked again")
