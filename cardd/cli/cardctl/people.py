"""`cardctl holder`: the people who may hold badges."""

from collections.abc import Iterator

import click

from cardd.cli.cardctl.output import print_facts, print_json, print_table
from cardd.cli.cardctl.session import Session, pass_session
from cardd.cli.cardctl.text import person
from cardd.client import AdminClient, Holder


@click.group()
def holder() -> None:
    """The people who may hold badges."""


@holder.command()
@click.option("--staff-number", required=True, metavar="N")
@click.option("--given-name", metavar="NAME")
@click.option("--family-name", metavar="NAME")
@click.option("--account", "accounts", multiple=True, metavar="KIND=NAME",
              help="An account, such as unix=alice; may be repeated.")  # fmt: skip
@click.option("--national-id", "national_ids", multiple=True, metavar="ID",
              help="An RPPS or ADELI number; may be repeated.")  # fmt: skip
@click.option("--group", "groups", multiple=True, metavar="NAME", help="May be repeated.")
@pass_session
def add(
    session: Session,
    /,
    *,
    staff_number: str,
    accounts: tuple[str, ...],
    national_ids: tuple[str, ...],
    groups: tuple[str, ...],
    **names: str | None,
) -> None:
    """Register a person."""
    added = session.admin().add_holder(
        staff_number,
        accounts=_accounts(accounts),
        national_ids=list(national_ids),
        groups=list(groups),
        **names,
    )
    if session.as_json:
        print_json(added)
    else:
        print_facts({"holder": person(added), "id": added.id})


@holder.command("list")
@click.option("--q", metavar="TEXT", help="Names and staff numbers with this in them.")
@pass_session
def list_holders(session: Session, q: str | None) -> None:
    """List people, by staff number."""
    found = everybody(session.admin(), q)
    if session.as_json:
        print_json({"items": list(found)})
        return
    rows = (
        (
            each.staff_number,
            person(each),
            each.status or "-",
            " ".join(f"{kind}={name}" for kind, name in each.accounts.items()),
            each.id,
        )
        for each in found
    )
    print_table(("staff number", "holder", "status", "accounts", "id"), rows, empty="Nobody yet.")


def everybody(admin: AdminClient, q: str | None = None) -> Iterator[Holder]:
    """Yield the people of every page."""
    page = admin.holders(q=q)
    yield from page.items
    while page.next is not None:
        page = admin.holders(q=q, cursor=page.next)
        yield from page.items


def identified(admin: AdminClient, named: str) -> str:
    """Return the id of a person named by a staff number, or what was given as an id."""
    by_number = (each.id for each in everybody(admin, named) if each.staff_number == named)
    return next(by_number, named)


def _accounts(pairs: tuple[str, ...]) -> dict[str, str]:
    accounts = {}
    for pair in pairs:
        kind, equals, name = pair.partition("=")
        if not (kind and equals and name):
            raise click.BadParameter(f"{pair!r} is not KIND=NAME", param_hint="--account")
        if kind in accounts:
            raise click.BadParameter(f"{kind!r} is given twice", param_hint="--account")
        accounts[kind] = name
    return accounts
