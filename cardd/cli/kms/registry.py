"""`cardd-kms migrate` and `cardd-kms registry`: its tables, and whether all is as it was left."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cardd.cli.kms.verbs import Verbs, add_dry_run, add_group, add_verb, say
from cardd.clock import SystemClock
from cardd.config import Config
from cardd.kms.audit.recording import open_audit
from cardd.kms.audit.verification import entries
from cardd.kms.masters.opening import open_keys
from cardd.store.opening import configured
from cardd.store.sealing import MastersSealer
from cardd.store.verification.audited import open_audited
from cardd.store.verification.walking import Verification

EX_FOUND = 1
"""The exit status where something was found."""


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    migrating = add_verb(verbs, "migrate", migrate, "bring the registry to another schema version")
    migrating.add_argument("--to", type=int, metavar="VERSION", help="instead of this program's")
    add_dry_run(migrating)
    group = add_group(verbs, "registry", "look at the registry")
    checking = add_verb(group, "verify", verify, "verify every row, also against the audit")
    checking.add_argument(
        "--audit",
        type=Path,
        action="append",
        metavar="FILE",
        help="the audit file of a replica, instead of kms.audit; once for each replica",
    )


def migrate(config: Config, options: argparse.Namespace) -> None:
    """Migrate, with the key service stopped, and record it."""
    from cardd.store.migrations.running import migrate as run  # noqa: PLC0415 - imports alembic

    where = configured(config.kms)
    with open_keys(config.kms) as keys, _record(config, options.dry_run) as record:
        done = run(
            where,
            MastersSealer(keys.masters),
            to=options.to,
            dry_run=options.dry_run,
            before_commit=record,
        )
    if not done.steps:
        say(f"registry         {where.name} has schema version {done.found}: nothing to do")
        return
    if done.backup is not None:
        say(f"copy of before   {done.backup}")
    path = " -> ".join(map(str, done.steps))
    say(f"registry         {where.name}: schema {path}")
    if options.dry_run:
        say("all of it would succeed; nothing was changed")


def verify(config: Config, options: argparse.Namespace) -> None:
    """Print what is wrong, a line each; the exit status is 1 where something is."""
    faults = 0
    with open_keys(config.kms) as keys, open_audited() as audited:
        files = options.audit or [config.kms.audit]
        for file in files:
            audited.take(str(file), entries(file))
        run = Verification(configured(config.kms), MastersSealer(keys.masters), audited)
        for finding in run.findings():
            faults += 1
            say(str(finding))
    counts = run.counts
    say(f"{counts.rows} rows, {counts.audited} of them compared with the audit, {faults} faults")
    if counts.unknown:
        say(
            f"{counts.unknown} people and badges are newer than the audit files say, or not in "
            "them: an old row of theirs put back would not be seen. Give the audit file of every "
            "replica (--audit), from the first on"
        )
    if faults:
        sys.exit(EX_FOUND)


@contextmanager
def _record(config: Config, dry_run: bool) -> Iterator[Callable[[int, int], None]]:
    """Return what records a migration. While it is open, no key service here uses its audit."""
    if dry_run:
        yield lambda *_: None
        return
    with open_audit(config.kms.audit, SystemClock(), config.kms.replica) as audit:
        yield lambda found, reached: audit.record(
            "registry.migrated", durable=True, found=found, reached=reached
        )
