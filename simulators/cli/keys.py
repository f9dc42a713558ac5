"""`cardd-sim keys`: a finger on the keys of a virtual reader's pinpad."""

import click

from simulators.cli.cards import reader_option
from simulators.cli.reports import reported
from simulators.pinpad import WAIT_SECONDS, Key, press


@click.command()
@click.argument("pins", metavar="PIN...", nargs=-1, required=True)
@reader_option
@click.option("--cancel", is_flag=True, help="End with the cancel key instead of OK.")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(0, 600, min_open=True),
    default=WAIT_SECONDS,
    show_default=True,
    help="How long to wait for the reader to ask.",
)
def keys(*, pins: tuple[str, ...], reader: str, cancel: bool, seconds: float) -> None:
    """Type a PIN at a reader that has a pinpad, once it asks: one PIN for each question.

    These are codes of virtual cards. A real PIN is never given as an argument.
    """
    last = Key.CANCEL if cancel else Key.OK
    with reported():
        typed = press(reader, pins, last=last, wait_seconds=seconds)
    click.echo(f"typed {typed.entries} of {len(pins)}, the reader ended with {typed.status:04X}")
