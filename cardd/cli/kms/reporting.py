"""`cardd-kms report`: the badges, counted."""

import argparse
import json
import time
from datetime import UTC, datetime

import msgspec

from cardd.cli.kms.papers import table
from cardd.cli.kms.room import open_rows
from cardd.cli.kms.verbs import Verbs, add_verb, say
from cardd.config import Config
from cardd.kms.masters.opening import open_keys
from cardd.kms.report import Line, Report, make_report


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    verb = add_verb(
        verbs, "report", report, "count the badges: generation, state, dormant, leaving"
    )
    verb.add_argument("--dormant-days", type=int, default=90, help="unused for (default: 90)")
    verb.add_argument("--leaving-days", type=int, default=30, help="ending within (default: 30)")
    verb.add_argument("--json", action="store_true", help="print JSON")


def report(config: Config, options: argparse.Namespace) -> None:
    """Print the report."""
    with open_keys(config.kms) as keys, open_rows(config, keys.masters) as registry:
        made = make_report(
            registry,
            int(time.time()),
            dormant_days=options.dormant_days,
            leaving_days=options.leaving_days,
        )
    if options.json:
        say(json.dumps(msgspec.to_builtins(made, str_keys=True), indent=2))
        return
    for line in _text(made):
        say(line)


def _text(made: Report) -> list[str]:
    lines = [f"{made.badges} badges at {_day(made.made_at)}", "", "by generation and state:"]
    lines += _indented(
        [
            (f"generation {generation}", state, str(count))
            for generation, of in made.by_generation.items()
            for state, count in of.items()
        ]
    )
    lines += ["blanks by generation of their transport key:"]
    lines += _indented(
        [(f"generation {g}", str(n)) for g, n in made.by_transport_generation.items()]
    )
    for title, counts in (("by state:", made.by_state), ("by scheme:", made.by_scheme)):
        lines += [title, *_indented([(name, str(count)) for name, count in counts.items()])]
    lines += ["dormant:", *_indented([_row(line) for line in made.dormant])]
    lines += ["leaving:", *_indented([_row(line) for line in made.leaving])]
    return [*lines, "lent and not returned: the registry does not know it"]


def _indented(rows: list[tuple[str, ...]]) -> list[str]:
    return [f"  {line}" for line in table(rows)] if rows else ["  none"]


def _row(line: Line) -> tuple[str, ...]:
    return (line.number, line.holder or "-", line.why, _day(line.at))


def _day(at: int | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).date().isoformat()
