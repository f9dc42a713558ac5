"""`cardctl presence`: who is at this workstation."""

import click

from cardd.cli.cardctl.output import print_json, print_table
from cardd.cli.cardctl.session import Session, pass_session
from cardd.cli.cardctl.text import moment, person, short_acr


@click.group()
def presence() -> None:
    """Who is at this workstation."""


@presence.command("list")
@pass_session
def list_presences(session: Session) -> None:
    """List who is there."""
    found = session.client().presences()
    if session.as_json:
        print_json({"items": found})
        return
    rows = (
        (
            each.sid or "-",
            each.reader,
            person(each.holder),
            short_acr(each.acr) if each.acr else "-",
            moment(each.auth_time),
            moment(each.idle_until),
            moment(each.expires_at),
        )
        for each in found
    )
    heads = ("sid", "reader", "holder", "acr", "since", "idle limit", "ends")
    print_table(heads, rows, empty="Nobody is there.")


@presence.command()
@click.argument("sid")
@pass_session
def end(session: Session, sid: str) -> None:
    """End the presence SID."""
    session.client().end_presence(sid)
    if not session.as_json:
        click.echo(f"{sid} ended")
