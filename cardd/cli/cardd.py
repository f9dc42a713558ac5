"""`cardd`: the daemon."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cardd import __version__, config
from cardd.cli.start import reporting_start_errors

DEFAULT_CONFIGURATION = Path("/etc/cardd/cardd.toml")


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="cardd",
        description="Watch the card readers, authenticate badges, serve the result on a socket.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=DEFAULT_CONFIGURATION,
        help="the configuration (default: %(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"cardd {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon until a signal ends it; return the exit status."""
    options = arguments().parse_args(argv)
    with reporting_start_errors("cardd"):
        settings = config.load(options.config)
        # After the configuration was read: a mistake in it is reported without loading all this.
        from cardd import daemon  # noqa: PLC0415

        daemon.run(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
