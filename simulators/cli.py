"""`cardd-sim`: make virtual cards, and put them into virtual readers."""

import random
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from simulators import card as card_files
from simulators.address import DEFAULT_READER, AddressError
from simulators.air import AirInterface, BitRate
from simulators.card import CardFileError
from simulators.desfire import VirtualDesfire
from simulators.desfire.listing import describe
from simulators.faults import Faults, TearMoment
from simulators.link import Insertion, LinkError, insert
from simulators.stay import Fixed, Stay, Tap

KINDS = {"desfire-ev1": "ev1", "desfire-ev2": "ev2"}
INSERT_SECONDS = 3600.0
LONGEST_SECONDS = 86_400.0
GRACE_SECONDS = 10.0


class CardFileFailure(click.ClickException):
    """A card file cannot be used."""

    exit_code = 3


class ReaderFailure(click.ClickException):
    """There is no reader at the address."""

    exit_code = 4


class NotNoticed(click.ClickException):
    """The reader did not power the card."""

    exit_code = 5


reader_option = click.option(
    "--reader",
    envvar="CARDD_SIM_READER",
    default=DEFAULT_READER,
    show_default=True,
    show_envvar=True,
    metavar="ADDRESS",
    help="tcp:HOST:PORT or unix:PATH of a virtual reader (vpcd, or cardd's own).",
)
file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Virtual smart cards, for machines without readers.

    Exit codes: 0 done, 2 wrong usage, 3 card file, 4 no reader, 5 the reader took no notice.
    """


@main.command()
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--uid", metavar="HEX", help="The UID, 7 bytes; random when not given.")
@click.option("--seed", type=int, help="Make the same card each time.")
def new(kind: str, out: Path, uid: str | None, seed: int | None) -> None:
    """Make a factory-fresh card of a KIND, in a file that keeps its state."""
    # The seed makes test cards repeatable; what a card draws in use is never seeded.
    rng = secrets.token_bytes if seed is None else random.Random(seed).randbytes  # noqa: S311
    card = VirtualDesfire.factory(KINDS[kind], uid=_uid(uid), rng=rng)
    with _reported():
        card_files.create(out, card)
    click.echo(f"{out}: {kind}, UID {card.uid.hex().upper()}")


@main.command("insert")
@file_argument
@reader_option
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(0, LONGEST_SECONDS, min_open=True),
    default=INSERT_SECONDS,
    show_default=True,
    help="Pull the card after that many seconds.",
)
@click.option(
    "--latency", type=click.Choice(["106", "212", "424", "848"]), help="Bit rate, kbit/s."
)
@click.option("--tear-after", type=click.IntRange(min=1), metavar="N", help="Tear at command N ...")
@click.option(
    "--tear",
    type=click.Choice(["before", "after"]),
    default="before",
    show_default=True,
    help="... before or after the card has carried it out.",
)
@click.option("--mute-after", type=click.IntRange(min=0), metavar="N", help="Fall silent after N.")
def insert_command(
    *,
    file: Path,
    reader: str,
    seconds: float,
    latency: str | None,
    tear_after: int | None,
    tear: TearMoment,
    mute_after: int | None,
) -> None:
    """Put the card of FILE into a reader, until Ctrl-C."""
    air = AirInterface(BitRate(int(latency))) if latency else None
    faults = Faults(tear_after, tear, mute_after)
    _present(
        file,
        reader,
        stay=Fixed(seconds),
        faults=faults,
        air=air,
        greeting="inserted, Ctrl-C pulls it",
    )


@main.command()
@file_argument
@reader_option
def tap(file: Path, reader: str) -> None:
    """Hold the card of FILE to a reader, until the reader is done with it (at most 5 s)."""
    _present(file, reader, stay=Tap())


@main.command()
@file_argument
def show(file: Path) -> None:
    """Print what is on the card of FILE; of its keys, only the check values."""
    with _reported():
        card = card_files.load(file)
    for line in describe(card.chip):
        click.echo(line)


def _present(
    file: Path,
    reader: str,
    *,
    stay: Stay,
    faults: Faults | None = None,
    air: AirInterface | None = None,
    greeting: str | None = None,
) -> None:
    insertion = None
    try:
        with _reported(), _signals_pull(), card_files.hold(file) as card:
            with insert(card, reader, stay=stay, faults=faults, air=air) as insertion:
                if greeting is not None:
                    click.echo(f"{file}: {greeting}")
                insertion.wait_gone(LONGEST_SECONDS + GRACE_SECONDS)
            if insertion.error is not None:
                raise insertion.error
    except KeyboardInterrupt:
        if insertion is None:
            raise
        click.echo()
    _report(file, reader, insertion)


def _report(file: Path, reader: str, insertion: Insertion) -> None:
    if not insertion.powered:
        raise NotNoticed(
            f"the reader at {reader} took no notice of the card: is another card in it?"
        )
    click.echo(f"{file}: answered {insertion.answered} commands")


@contextmanager
def _reported() -> Iterator[None]:
    """Turn the errors of card files and readers into one line and an exit code."""
    try:
        yield
    except CardFileError as error:
        raise CardFileFailure(str(error)) from error
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="--reader") from error
    except LinkError as error:
        raise ReaderFailure(str(error)) from error


@contextmanager
def _signals_pull() -> Iterator[None]:
    """Leave the reader in order on SIGTERM and SIGHUP too: a driver may hang on a killed card."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    former = {name: signal.signal(name, stop) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in former.items():
            signal.signal(name, handler)


def _uid(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        uid = bytes.fromhex(text)
    except ValueError:
        uid = b""
    if len(uid) != 7:
        raise click.BadParameter("write 7 bytes as 14 hexadecimal digits", param_hint="--uid")
    return uid


if __name__ == "__main__":
    main()
