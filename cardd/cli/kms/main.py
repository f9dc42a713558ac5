"""The command line of `cardd-kms`: its commands, and how one that fails ends."""

import argparse
import sys
from collections.abc import Sequence

from cardd import __version__
from cardd.cli.kms import (
    audit,
    ceremonies,
    creation,
    generations,
    operators,
    publishing,
    registry,
    reporting,
    restores,
    serving,
    slots,
)
from cardd.cli.start import reporting_start_errors
from cardd.config import load

GROUPS = (
    creation,
    publishing,
    generations,
    slots,
    operators,
    ceremonies,
    reporting,
    audit,
    registry,
    restores,
    serving,
)
"""Each adds its commands by `add_to`, and imports what is heavy when one of them is run."""


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="cardd-kms", description="Keep the keys of an establishment's badges."
    )
    parser.add_argument("--version", action="version", version=f"cardd-kms {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add_to(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = arguments().parse_args(argv)
    with reporting_start_errors("cardd-kms"):
        options.run(load(options.config), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
