"""`cardd-kms serve`."""

import argparse

from cardd.cli.kms.verbs import Verbs, add_verb
from cardd.config import Config, load


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    add_verb(verbs, "serve", serve, "serve the workstations until a signal ends it")


def serve(config: Config, options: argparse.Namespace) -> None:
    """Serve; SIGHUP takes the clients and the certificates of the file anew."""
    # Here, so that a ceremony does not load a server.
    from cardd import kmsd  # noqa: PLC0415

    kmsd.run(config, lambda: load(options.config))
