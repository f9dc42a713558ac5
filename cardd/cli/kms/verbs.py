"""How a command of `cardd-kms` is added, and how it speaks."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from cardd.cli.cardd import DEFAULT_CONFIGURATION
from cardd.config import Config

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
Run = Callable[[Config, argparse.Namespace], None]


def add_group(verbs: Verbs, name: str, summary: str) -> Verbs:
    """Add a command that has commands of its own; return those."""
    group = verbs.add_parser(name, help=summary, description=summary)
    return group.add_subparsers(required=True, metavar="COMMAND")


def add_verb(verbs: Verbs, name: str, run: Run, summary: str) -> argparse.ArgumentParser:
    """Add a command, which `run` does with the configuration and its options; return its parser."""
    verb = verbs.add_parser(name, help=summary, description=summary)
    verb.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=DEFAULT_CONFIGURATION,
        help="the configuration (default: %(default)s)",
    )
    verb.set_defaults(run=run)
    return verb


def say(text: str) -> None:
    """Print a line of the answer."""
    sys.stdout.write(text + "\n")


def add_dry_run(verb: argparse.ArgumentParser) -> None:
    """Let a command say what it would do instead of doing it."""
    verb.add_argument("--dry-run", action="store_true", help="say what would be done; do nothing")


def add_seconds(verb: argparse.ArgumentParser) -> None:
    """Let a command be told how long a custodian may look at what is shown."""
    verb.add_argument(
        "--seconds",
        type=_seconds,
        default=60.0,
        metavar="N",
        help="how long what is secret is shown, 10 to 300 (default: 60)",
    )


def _seconds(text: str) -> float:
    seconds = int(text)
    if not 10 <= seconds <= 300:
        raise ValueError(text)
    return float(seconds)
