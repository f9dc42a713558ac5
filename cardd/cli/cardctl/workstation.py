"""`cardctl status`, `readers` and `jwks`."""

import click

from cardd.cli.cardctl.output import print_facts, print_json, print_table
from cardd.cli.cardctl.session import Session, pass_session
from cardd.cli.cardctl.text import person


@click.command()
@pass_session
def status(session: Session) -> None:
    """Show whether badges can be judged now, and why not."""
    now = session.client().status()
    if session.as_json:
        print_json(now.raw)
        return
    sources = now.raw.get("sources", ())
    facts = {
        "daemon": f"cardd {now.daemon_version}, API {now.api_version}",
        "site": f"{now.issuer}, device {now.device}",
        "badges": "ready" if now.badge else f"not now: {now.why}",
        "CPS cards": "ready" if now.cps else f"not now: {now.why_cps}",
    }
    for source in sources:
        why = source.get("why")
        facts[f"source {source['name']}"] = source["health"] + (f": {why}" if why else "")
    if now.raw.get("development"):
        facts["development"] = "yes: not for real badges"
    print_facts(facts)


@click.command()
@pass_session
def readers(session: Session) -> None:
    """List the readers and their cards."""
    found = session.client().readers()
    if session.as_json:
        print_json({"items": found})
        return
    rows = (
        (
            reader.name,
            reader.health if reader.why is None else f"{reader.health}: {reader.why}",
            reader.card_type or "empty",
            person(reader.holder),
        )
        for reader in found
    )
    print_table(("reader", "health", "card", "holder"), rows, empty="There is no reader.")


@click.command()
@pass_session
def jwks(session: Session) -> None:
    """Print the public keys that verify assertions (RFC 7517)."""
    print_json(session.client().jwks())
