"""`cardd-sim`: virtual cards, the readers they go into, and who issues them."""

import click

from simulators.cli import authorities, cards, keys


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    commands=[
        cards.new,
        cards.insert_command,
        cards.tap,
        cards.show,
        keys.keys,
        authorities.pki,
        authorities.revoke,
        authorities.ocsp,
    ],
)
def main() -> None:
    """Virtual smart cards, for machines without readers.

    Exit codes: 0 done, 2 wrong usage, 3 card file, 4 no reader, 5 the reader took no notice,
    6 PKI, 7 no PIN was asked for.
    """
