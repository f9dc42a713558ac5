"""`cardd-kms jwks`."""

import argparse
import json

from cardd import assembly
from cardd.cli.kms.verbs import Verbs, add_verb, say
from cardd.config import Config


def add_to(verbs: Verbs) -> None:
    """Add the commands of this file."""
    add_verb(verbs, "jwks", jwks, "print the public keys that verify assertions (RFC 7517)")


def jwks(config: Config, options: argparse.Namespace) -> None:
    """Print the public keys as JSON."""
    del options
    say(json.dumps(assembly.public_keys(config), indent=2))
