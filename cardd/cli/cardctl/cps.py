"""`cardctl cps`: the CPS in a reader, and its PIN."""

from collections.abc import Mapping
from typing import Any

import click

from cardd.cli.cardctl.output import print_facts, print_json
from cardd.cli.cardctl.pins import ask, read_lines
from cardd.cli.cardctl.session import Rejected, Session, pass_session
from cardd.cli.cardctl.text import moment
from cardd.client import Client, Cps

reader_option = click.option("--reader", metavar="R", help="The CPS in this reader.")
last_try_option = click.option(
    "--last-try", is_flag=True, help="Use the last try too (needs the right last-try)."
)


@click.group()
def cps() -> None:
    """Show the CPS in a reader; change or unblock its PIN."""


@cps.command()
@reader_option
@pass_session
def show(session: Session, reader: str | None) -> None:
    """Show what the card says without its PIN: number, holder, validity, tries left."""
    client = session.client()
    card = client.cps(_card(client, reader))
    if session.as_json:
        print_json(card.raw)
    else:
        print_facts(_facts(card))


@cps.command("change-pin")
@reader_option
@click.option("--pin-fd", type=click.IntRange(min=0), metavar="N",
              help="Read the PIN and the new one from this descriptor, one a line.")  # fmt: skip
@last_try_option
@pass_session
def change_pin(session: Session, reader: str | None, pin_fd: int | None, *, last_try: bool) -> None:
    """Change the PIN of the card."""
    client = session.client()
    card = _card(client, reader)
    old, new = _codes(pin_fd, "PIN of the card: ")
    client.change_pin(card, old, new, use_last_try=last_try)
    _done(session, "the PIN was changed")


@cps.command("unblock-pin")
@reader_option
@click.option("--pin-fd", type=click.IntRange(min=0), metavar="N",
              help="Read the code and the new PIN from this descriptor, one a line.")  # fmt: skip
@last_try_option
@pass_session
def unblock_pin(
    session: Session, reader: str | None, pin_fd: int | None, *, last_try: bool
) -> None:
    """Give the card a new PIN with its unblocking code.

    A card whose unblocking code is blocked too is lost.
    """
    client = session.client()
    card = _card(client, reader)
    code, new = _codes(pin_fd, "Unblocking code of the card: ")
    client.unblock_pin(card, code, new, use_last_try=last_try)
    _done(session, "the card has a new PIN")


def _card(client: Client, reader: str | None) -> str:
    """Return the handle of the one CPS that is meant."""
    found = [
        each
        for each in client.readers()
        if each.card_type == "cps" and reader in {None, each.name} and each.card
    ]
    if len(found) != 1:
        where = "" if reader is None else f" in {reader}"
        said = "there is no CPS" if not found else "several readers hold a CPS; name one: --reader"
        raise Rejected(f"cardctl: {said}{where}")
    return found[0].card or ""


def _codes(descriptor: int | None, prompt: str) -> tuple[str, str]:
    if descriptor is not None:
        old, new = read_lines(descriptor, 2)
        return old, new
    old, new = ask(prompt), ask("New PIN: ")
    if ask("New PIN again: ") != new:
        raise Rejected("cardctl: the new PIN was not typed twice the same; nothing was changed")
    return old, new


def _done(session: Session, said: str) -> None:
    if not session.as_json:
        click.echo(said)


def _facts(card: Cps) -> dict[str, str]:
    who, pin = card.identity or {}, card.pin or {}
    name = " ".join(str(who[part]) for part in ("given_name", "family_name") if who.get(part))
    facts = {
        "card": f"{card.number} ({card.family})",
        "holder": name or "-",
        "identifier": str(who.get("SubjectNameID", "-")),
        "structure": str(who.get("SubjectOrganization", "-")),
        "valid": f"{moment(card.not_before)} to {moment(card.not_after)}",
    }
    if card.problem is not None:
        facts["refused"] = f"{card.problem.get('detail')} ({card.problem.get('code')})"
    if pin:
        facts["PIN"] = _tries(pin)
    facts["data"] = " ".join(card.data_objects) or "-"
    return facts


def _tries(pin: Mapping[str, Any]) -> str:
    """Say how many tries are left; a card that another program has verified does not tell."""
    if pin.get("blocked"):
        return "blocked"
    left = pin.get("tries_left")
    return "verified by another program" if left is None else f"{left} tries left"
