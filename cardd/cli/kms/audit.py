"""`cardd-kms audit`."""

import argparse

from cardd.cli.kms.verbs import Verbs, add_group, add_verb, say
from cardd.config import Config
from cardd.kms.audit import verification


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    group = add_group(verbs, "audit", "look at the audit file")
    add_verb(group, "verify", verify, "verify the chain of hashes from the first line")


def verify(config: Config, options: argparse.Namespace) -> None:
    """Verify the audit file and say how long it is."""
    del options
    say(f"{config.kms.audit}: {verification.verify(config.kms.audit).lines} lines, chain intact")
