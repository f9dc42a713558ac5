"""`cardctl badge`: encode, inspect, list, revoke, re-key and wipe badges."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cardd.badges.states import RevocationReason
from cardd.cli.cardctl.inspections import show
from cardd.cli.cardctl.output import console, print_facts, print_json, print_table
from cardd.cli.cardctl.people import identified
from cardd.cli.cardctl.session import Session, pass_session
from cardd.cli.cardctl.text import moment, person, plain
from cardd.client import AdminClient, Badge, Enrolment, Receipt

reader_option = click.option("--reader", metavar="R", help="The badge in this reader alone.")
timeout_option = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0, 300, min_open=True), default=60.0,
    show_default=True, metavar="S", help="How long to wait for the badge.",
)  # fmt: skip


@click.group()
def badge() -> None:
    """Encode, inspect, list, revoke, re-key and wipe badges."""


@badge.command()
@reader_option
@timeout_option
@pass_session
def prepare(session: Session, reader: str | None, timeout_s: float) -> None:
    """Give a factory-fresh badge its transport key, in a trusted room."""
    with _progress(session, "preparing") as report:
        receipt = session.admin().prepare(reader=reader, timeout_s=timeout_s, progress=report)
    _print(session, receipt)


@badge.command()
@click.option("--holder", required=True, metavar="STAFF_NUMBER_OR_ID", help="Whose it becomes.")
@reader_option
@timeout_option
@pass_session
def enrol(session: Session, holder: str, reader: str | None, timeout_s: float) -> None:
    """Encode the badge in the reader, or the next one shown, for a person.

    A badge that is taken away too early is waited for: showing it again goes on where it was.
    """
    admin = session.admin()
    holder_id = identified(admin, holder)
    with _progress(session, "encoding") as report:
        receipt = admin.enrol(holder_id, reader=reader, timeout_s=timeout_s, progress=report)
    _print(session, receipt)


@badge.command()
@click.option(
    "--generation", type=click.IntRange(1, 255), metavar="N",
    help="Of the masters; without it, the current one.",
)  # fmt: skip
@reader_option
@timeout_option
@pass_session
def rekey(session: Session, generation: int | None, reader: str | None, timeout_s: float) -> None:
    """Give the badge in the reader, or the next one shown, its keys from other masters.

    A badge that is taken away too early is waited for: showing it again goes on where it was.
    """
    with _progress(session, "re-keying") as report:
        receipt = session.admin().rekey(
            generation, reader=reader, timeout_s=timeout_s, progress=report
        )
    _print(session, receipt)


@badge.command()
@reader_option
@timeout_option
@pass_session
def wipe(session: Session, reader: str | None, timeout_s: float) -> None:
    """Make the revoked badge in the reader, or the next one shown, a prepared blank again.

    A badge that is taken away too early is waited for: showing it again goes on where it was.
    """
    with _progress(session, "wiping") as report:
        receipt = session.admin().wipe(reader=reader, timeout_s=timeout_s, progress=report)
    _print(session, receipt)


@badge.command()
@reader_option
@timeout_option
@click.option(
    "--try-default-keys",
    is_flag=True,
    help="Also try keys that everybody knows; a card may count that as failed attempts.",
)
@pass_session
def inspect(
    session: Session, reader: str | None, timeout_s: float, *, try_default_keys: bool
) -> None:
    """Say what the card in the reader is, what it holds, and what is wrong with it.

    Any DESFire will do, and nothing on it changes. A badge of this establishment is also read under
    its own keys, where the key service is there.
    """
    with _progress(session, "inspecting") as report:
        seen = session.admin().inspect(
            reader=reader,
            timeout_s=timeout_s,
            try_default_keys=try_default_keys,
            progress=report,
        )
    if session.as_json:
        print_json(seen.raw)
    else:
        show(seen)


@badge.command("list")
@click.option("--q", metavar="TEXT", help="Numbers, UIDs and holders with this in them.")
@pass_session
def list_badges(session: Session, q: str | None) -> None:
    """List badges, by number."""
    found = _every(session.admin(), q)
    if session.as_json:
        print_json({"items": list(found)})
        return
    rows = (
        (
            each.number,
            each.state if each.reason is None else f"{each.state} ({each.reason})",
            person(each.holder),
            each.scheme,
            each.uid,
            moment(each.expires_at),
            each.id,
        )
        for each in found
    )
    heads = ("number", "state", "holder", "scheme", "UID", "expires", "id")
    print_table(heads, rows, empty="There is no badge yet.")


@badge.command()
@click.argument("named", metavar="BADGE")
@click.option(
    "--reason", required=True, type=click.Choice([str(each) for each in RevocationReason])
)
@pass_session
def revoke(session: Session, named: str, reason: str) -> None:
    """Revoke BADGE (its number or id) for good, and end its presences."""
    revoked = session.admin().revoke(named, reason)
    if session.as_json:
        print_json(revoked)
    else:
        print_facts(
            {
                "badge": revoked.number,
                "state": f"{revoked.state} ({revoked.reason})",
                "holder": person(revoked.holder),
            }
        )


def _every(admin: AdminClient, q: str | None) -> Iterator[Badge]:
    page = admin.badges(q=q)
    yield from page.items
    while page.next is not None:
        page = admin.badges(q=q, cursor=page.next)
        yield from page.items


@contextmanager
def _progress(session: Session, verb: str) -> Iterator[Callable[[Enrolment], None]]:
    """Show a bar on standard error; give what moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    shown = Progress(
        *columns, console=console(stderr=True), transient=True, disable=session.as_json
    )
    with shown as bar:
        task = bar.add_task("Show the badge and leave it in place", total=None)

        def report(enrolment: Enrolment) -> None:
            if enrolment.problem is not None:
                message = enrolment.problem.user_message
                bar.update(task, description=plain(message).replace("[", "("))
            elif enrolment.progress is not None:
                done, steps = enrolment.progress
                bar.update(task, completed=done, total=steps, description=verb)

        yield report


def _print(session: Session, receipt: Receipt) -> None:
    if session.as_json:
        print_json(receipt)
        return
    print_facts(_FACTS.get(receipt.type, _of_a_blank)(receipt))


def _of_a_blank(receipt: Receipt) -> dict[str, str]:
    return {"badge": receipt.badge}


def _of_an_encoding(receipt: Receipt) -> dict[str, str]:
    facts = {
        "badge": receipt.badge,
        "number": f"{receipt.number}  (print it on the badge)",
        "holder": person(receipt.holder),
        "scheme": f"{receipt.scheme}, key generation {receipt.generation}",
        "expires": moment(receipt.expires_at),
    }
    if receipt.exposed:
        facts["exposed"] = "yes: it began from a public key, so a recording gives this badge's keys"
    return facts


def _of_a_rekey(receipt: Receipt) -> dict[str, str]:
    return {
        "badge": str(receipt.number),
        "holder": person(receipt.holder),
        "keys": f"generation {receipt.generation}, before that {receipt.previous_generation}",
        "expires": moment(receipt.expires_at),
    }


def _of_a_wipe(receipt: Receipt) -> dict[str, str]:
    generation = receipt.transport_generation
    return {
        "badge": f"{receipt.number}  (a blank now: it can be encoded)",
        "transport key": "another party's" if generation is None else f"generation {generation}",
        "memory": "given back" if receipt.formatted else "not given back",
    }


_FACTS: dict[str, Callable[[Receipt], dict[str, str]]] = {
    "encoded": _of_an_encoding,
    "rekeyed": _of_a_rekey,
    "wiped": _of_a_wipe,
}
