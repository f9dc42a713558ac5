"""`cardd-sim pki`, `revoke` and `ocsp`: a test IGC-Santé and what it says of its certificates."""

import threading
from pathlib import Path

import click

from simulators import card as card_files
from simulators.cli.reports import PkiFailure, reported, signals_interrupt
from simulators.cps import VirtualCps
from simulators.cps.chipdoc import VirtualCps4
from simulators.pki import Pki
from simulators.pki.ocsp import Manner
from simulators.pki.responder import OcspResponder

folder_argument = click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False)
)


@click.command()
@folder_argument
@click.option("--production", is_flag=True, help="Leave TEST out of the authorities' names.")
@click.option("--crl-base", metavar="URL", help="Where certificates say that the CRLs are.")
@click.option("--ocsp", metavar="URL", help="Where certificates say that an OCSP responder is.")
def pki(*, folder: Path, production: bool, crl_base: str | None, ocsp: str | None) -> None:
    """Make a test IGC-Santé in DIR: authorities, keys, CRLs."""
    with reported():
        made = Pki.create(folder, production=production, crl_base=crl_base, ocsp=ocsp)
    click.echo(f"{folder}: {made.naming.root}, {made.naming.intermediate}")
    click.echo(f"trust {made.roots}, intermediates in {made.intermediates}, CRLs in {made.crls}")


@click.command()
@folder_argument
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def revoke(*, folder: Path, file: Path) -> None:
    """Revoke the certificates on the CPS of FILE, and write the CRLs of DIR anew."""
    with reported():
        issuer = Pki.load(folder)
        card = card_files.load(file)
        if not isinstance(card, (VirtualCps, VirtualCps4)):
            raise PkiFailure(f"{file} is no CPS, and has no certificates")
        serials = issuer.serials_in(one.content for one in card.chip.files.values())
        if not serials:
            raise PkiFailure(f"{folder} has issued nothing that is on {file}")
        for serial in serials:
            issuer.revoke(serial)
        issuer.write_crls()
    click.echo(f"{file}: {len(serials)} certificates revoked")


@click.command()
@folder_argument
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:0",
    show_default=True,
    help="Where to listen; port 0 takes a free one.",
)
@click.option(
    "--manner",
    type=click.Choice([manner.value for manner in Manner]),
    default=Manner.HONEST.value,
    show_default=True,
    help="How to answer.",
)
def ocsp(*, folder: Path, listen: str, manner: str) -> None:
    """Answer OCSP requests about the certificates of DIR, until Ctrl-C."""
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise click.BadParameter("write HOST:PORT", param_hint="--listen")
    with reported():
        issuer = Pki.load(folder)
    try:
        responder = OcspResponder(issuer, host=host, port=int(port), manner=Manner(manner))
    except OSError as error:
        raise PkiFailure(f"{listen} cannot be listened on: {error.strerror or error}") from error
    try:
        with signals_interrupt(), responder:
            click.echo(f"{responder.address}: answers for {issuer.naming.intermediate}")
            threading.Event().wait()
    except KeyboardInterrupt:
        click.echo()
