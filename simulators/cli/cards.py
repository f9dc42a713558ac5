"""`cardd-sim new`, `insert`, `tap` and `show`: virtual cards, and the readers they go into."""

from pathlib import Path

import click

from simulators import card as card_files
from simulators.address import DEFAULT_READER
from simulators.air import AirInterface, BitRate
from simulators.card import StoredCard
from simulators.cli.reports import NotNoticed, reported, signals_interrupt
from simulators.cps import Face
from simulators.desfire import Product, VirtualDesfire
from simulators.desfire.product import STORAGE_BYTES
from simulators.faults import Disturbance, Fault, Faults, TearMoment
from simulators.issuing import CPS_KINDS, issue_cps, open_pki, random_source
from simulators.link import Insertion, insert
from simulators.stay import Fixed, Stay, Tap

DESFIRE_KINDS = {f"desfire-{product}": product for product in Product}
STORAGES = {f"{size}k": size for size in STORAGE_BYTES}
INSERT_SECONDS = 3600.0
LONGEST_SECONDS = 86_400.0
GRACE_SECONDS = 10.0


reader_option = click.option(
    "--reader",
    envvar="CARDD_SIM_READER",
    default=DEFAULT_READER,
    show_default=True,
    show_envvar=True,
    metavar="ADDRESS",
    help="tcp:HOST:PORT or unix:PATH of a virtual reader (vpcd, or cardd's own).",
)
face_option = click.option(
    "--face",
    type=click.Choice([face.value for face in Face]),
    help="The face of a CPS that the reader sees.",
)


def _disturbances(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[Disturbance, ...]:
    try:
        return tuple(Disturbance.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


fault_option = click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_disturbances,
    metavar="FAULT[:N]",
    help=f"Spoil answer N, or one in four: {', '.join(fault.value for fault in Fault)}.",
)
seed_option = click.option(
    "--fault-seed", type=int, default=0, show_default=True, help="What decides the faults' chance."
)
frame_option = click.option(
    "--reader-frame",
    type=click.Choice(["64", "128", "256"]),
    help="The longest frame that the reader takes from a DESFire.  [default: 256]",
)
file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@click.argument("kind", type=click.Choice(sorted([*DESFIRE_KINDS, *CPS_KINDS])))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option(
    "--uid", metavar="HEX", help="The UID of a DESFire: 7 bytes, since EV2 also 4 or 10; or random."
)
@click.option(
    "--storage",
    type=click.Choice(list(STORAGES)),
    default="4k",
    show_default=True,
    help="The storage of a DESFire: 16k since EV2, 32k on EV2 alone.",
)
@click.option("--holder", metavar="NAME", help="The holder of a CPS, surname last.")
@click.option(
    "--pki",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Who issues a CPS: a PKI's folder, made if it is new.  [default: pki, beside the card]",
)
@click.option("--seed", type=int, help="Make the same card each time.")
def new(
    *,
    kind: str,
    out: Path,
    uid: str | None,
    storage: str,
    holder: str | None,
    folder: Path | None,
    seed: int | None,
) -> None:
    """Make a card of a KIND, in a file that keeps its state.

    A DESFire is factory-fresh. A CPS, CPF, CPE or CPS4 has its keys and certificates, the PIN 1234
    and the unblocking code 12345678.
    """
    with reported():
        if kind in DESFIRE_KINDS:
            badge = _badge(DESFIRE_KINDS[kind], uid, storage, seed)
            _create(out, badge, f"{kind}, UID {badge.uid.hex().upper()}")
            return
        pki = open_pki(folder or out.parent / "pki")
        _create(out, issue_cps(kind, holder, pki, seed), f"{kind}, issued by {pki.folder}")


@click.command("insert")
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
@fault_option
@seed_option
@frame_option
@face_option
def insert_command(
    *,
    file: Path,
    reader: str,
    seconds: float,
    latency: str | None,
    tear_after: int | None,
    tear: TearMoment,
    mute_after: int | None,
    faults: tuple[Disturbance, ...],
    fault_seed: int,
    reader_frame: str | None,
    face: str | None,
) -> None:
    """Put the card of FILE into a reader, until Ctrl-C. A CPS goes in contacts first."""
    air = AirInterface(BitRate(int(latency))) if latency else None
    _present(
        file,
        reader,
        stay=Fixed(seconds),
        faults=Faults(tear_after, tear, mute_after, faults, fault_seed),
        air=air,
        greeting="inserted, Ctrl-C pulls it",
        reader_frame=reader_frame,
        face=face,
    )


@click.command()
@file_argument
@reader_option
@fault_option
@seed_option
@frame_option
@face_option
def tap(
    *,
    file: Path,
    reader: str,
    faults: tuple[Disturbance, ...],
    fault_seed: int,
    reader_frame: str | None,
    face: str | None,
) -> None:
    """Hold the card of FILE to a reader, until the reader is done with it (at most 5 s)."""
    disturbed = Faults(disturbances=faults, seed=fault_seed)
    _present(file, reader, stay=Tap(), faults=disturbed, reader_frame=reader_frame, face=face)


@click.command()
@file_argument
def show(file: Path) -> None:
    """Print what is on the card of FILE; of its keys, only the check values."""
    with reported():
        card = card_files.load(file)
    for line in card.describe():
        click.echo(line)


def _present(
    file: Path,
    reader: str,
    *,
    stay: Stay,
    faults: Faults | None = None,
    air: AirInterface | None = None,
    greeting: str | None = None,
    reader_frame: str | None = None,
    face: str | None = None,
) -> None:
    insertion = None
    try:
        with reported(), signals_interrupt(), card_files.hold(file) as card:
            if face is not None:
                card.turn(Face(face))
            if reader_frame is not None:
                card.meet_reader(int(reader_frame))
            insertion = insert(card, reader, stay=stay, faults=faults, air=air)
            with insertion:
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


def _create(out: Path, card: StoredCard, what: str) -> None:
    card_files.create(out, card)
    click.echo(f"{out}: {what}")


def _badge(product: Product, uid: str | None, storage: str, seed: int | None) -> VirtualDesfire:
    size = STORAGES[storage]
    if size not in product.storages_kib:
        had = ", ".join(f"{kib}k" for kib in product.storages_kib)
        raise click.BadParameter(f"a DESFire {product.upper()} has {had}", param_hint="--storage")
    return VirtualDesfire.factory(
        product, uid=_uid(product, uid), storage_kib=size, rng=random_source(seed)
    )


def _uid(product: Product, text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        uid = bytes.fromhex(text)
    except ValueError:
        uid = b""
    if len(uid) not in product.uid_lengths:
        digits = " or ".join(str(2 * length) for length in product.uid_lengths)
        raise click.BadParameter(f"write {digits} hexadecimal digits", param_hint="--uid")
    return uid
