"""`cardd-kms audit`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from cardd import assembly
from cardd.cli.kms.verbs import Verbs, add_group, add_verb, say
from cardd.config import Config
from cardd.errors import CarddError, StartCode, StartError
from cardd.kms.audit import export
from cardd.kms.audit.checkpoints import CheckpointKeys
from cardd.kms.audit.lines import moment
from cardd.kms.audit.verification import Report, entries, verify


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    group = add_group(verbs, "audit", "look at the audit file")
    checking = add_verb(group, "verify", run_verify, "verify the chain, its checkpoints, a witness")
    checking.add_argument("--witness", type=Path, metavar="FILE", help="what a witness kept")
    checking.add_argument(
        "--jwks", type=Path, metavar="FILE", help="the public keys, instead of the key service's"
    )
    checking.add_argument("--replica", metavar="NAME", help="whose it is, instead of kms.replica")
    taking = add_verb(group, "export", run_export, "print lines as JSON or CSV")
    taking.add_argument("--from", dest="since", type=_since, metavar="TIME", help="e.g. 2026-11-22")
    taking.add_argument("--to", dest="before", type=_before, metavar="TIME", help="a day is whole")
    taking.add_argument("--event", action="append", default=[], help="e.g. badge.*; many times")
    taking.add_argument("--csv", action="store_true", help="CSV instead of JSON lines")
    for verb in (checking, taking):
        verb.add_argument("--file", type=Path, metavar="FILE", help="instead of kms.audit")


def run_verify(config: Config, options: argparse.Namespace) -> None:
    """Verify an audit file, and say what is vouched for by whom."""
    path: Path = options.file or config.kms.audit
    replica = options.replica or config.kms.replica
    unknown: CarddError | None = None
    keys: CheckpointKeys | None = None
    try:
        keys = CheckpointKeys(_jwks(options.jwks) if options.jwks else assembly.public_keys(config))
    except CarddError as error:
        if options.jwks or options.witness:
            raise
        unknown = error
    report = verify(path, keys=keys, replica=replica, witness=options.witness)
    say(f"{path}: {report.lines} lines of {report.chain.replica}, chain intact")
    if unknown is not None:
        say(f"its checkpoints were not verified: {unknown}")
    else:
        _say_covered(report)
    _say_witnessed(report, options.witness)


def run_export(config: Config, options: argparse.Namespace) -> None:
    """Print the lines that are asked for; the chain is verified on the way."""
    selection = export.Selection(options.since, options.before, tuple(options.event))
    chosen = selection.of(entries(options.file or config.kms.audit))
    write = export.write_csv if options.csv else export.write_json
    write(chosen, sys.stdout)


def _say_covered(report: Report) -> None:
    if not report.covered:
        say("no checkpoint is in it: whoever can write the file can have written it anew")
        return
    say(
        f"{report.checkpoints} checkpoints are good; the last one, of {report.covered_time}, "
        f"covers lines 1 to {report.covered}"
    )
    after = report.lines - report.covered
    say(f"the last {after} lines, until {report.last_time}, are vouched for by the chain alone")


def _say_witnessed(report: Report, witness: Path | None) -> None:
    if witness is None:
        say(
            "no witness was asked: a file that was cut off at a line, or put back from an older "
            "copy, looks just like this one"
        )
    elif report.witnessed is None:
        say(f"the witness {witness} knows nothing of this record")
    else:
        seen = report.witnessed
        say(
            f"the witness last saw line {seen.seq}, at {moment(seen.iat)}, as it is here; lines "
            "that were cut off after it cannot be found"
        )
    for other in report.others:
        say(
            f"the witness knows another record of this replica, {other.chain}, of at least "
            f"{other.seq} lines, until {moment(other.iat)}: verify that file too"
        )


def _jwks(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        CheckpointKeys(found)
    except (OSError, ValueError) as error:
        raise StartError(StartCode.CONFIG_INVALID, f"{path} has no public keys: {error}") from error
    return dict(found)


def _since(text: str) -> str:
    return _time(text, end=False)


def _before(text: str) -> str:
    return _time(text, end=True)


def _time(text: str, *, end: bool) -> str:
    try:
        return export.parse_time(text, end=end)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: {error}") from None
