"""`cardctl watch`: the events as they happen."""

import time
from collections.abc import Iterator
from typing import Any

import click

from cardd.cli.cardctl.output import console, print_json
from cardd.cli.cardctl.session import Session, pass_session
from cardd.cli.cardctl.text import person_of, plain, scalars, short_acr
from cardd.client import CarddProblem, Client, DaemonUnavailable, Event, EventStream

RECONNECT_S = 1.0


@click.command()
@pass_session
def watch(session: Session) -> None:
    """Show what happens, as it happens; Ctrl-C ends it.

    Where cardd goes away it is waited for, and what was missed is shown.
    """
    out = console()
    try:
        for event in following(session.client()):
            if session.as_json:
                print_json(event, indent=None)
            else:
                out.print(line(event), markup=False)
    except KeyboardInterrupt:
        if not session.as_json:
            click.echo(err=True)


def following(client: Client) -> Iterator[Event]:
    """Yield events, over reconnections; raise what the first connection raises."""
    stream = client.events()
    while True:
        try:
            with stream:
                yield from stream
        except DaemonUnavailable as error:
            click.echo(f"cardctl: {plain(str(error))}; waiting for it", err=True)
        else:
            click.echo("cardctl: the stream ended; connecting again", err=True)
        last = stream.last_event_id
        stream = _reconnected(client, last)


def _reconnected(client: Client, last_event_id: str | None) -> EventStream:
    while True:
        time.sleep(RECONNECT_S)
        try:
            return client.events(last_event_id)
        except DaemonUnavailable:
            continue
        except CarddProblem:
            # A daemon that starts or stops may refuse for a moment; a lost right is final.
            if last_event_id is None:
                raise
            last_event_id = None


def line(event: Event) -> str:
    """Return an event as one line: the time, what happened, where, who."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    words = [f"{plain(event.type):<20}", plain(event.reader or ""), described(event)]
    return f"{clock}  " + "  ".join(word for word in words if word)


def described(event: Event) -> str:
    """Return who and how, as far as this peer may know it."""
    data = dict(event.data)
    if event.type == "snapshot":
        gap = " (events were missed)" if data.get("reason") == "gap" else ""
        return f"{_count(data, 'readers')} reader(s), {_count(data, 'presences')} presence(s){gap}"
    if event.type == "presence.switched":
        return f"{_party(data.get('from'))} -> {_party(data.get('to'))}"
    holder = person_of(data.pop("holder", None))
    acr = data.pop("acr", None)
    words = [str(data.pop(name)) for name in ("outcome", "code", "reason") if data.get(name)]
    if event.type == "enrolment.progress" and "all" in data:
        words.append(f"{data.get('done')} of {data.get('all')}")
        data = {}
    rest = scalars({name: value for name, value in data.items() if name not in {"code", "reason"}})
    return "  ".join(
        word
        for word in (plain(" ".join(words)), holder, short_acr(acr) if acr else "", rest)
        if word
    )


def _count(data: dict[str, Any], name: str) -> int:
    items = data.get(name)
    return len(items) if isinstance(items, list) else 0


def _party(raw: object) -> str:
    holder = raw.get("holder") if isinstance(raw, dict) else None
    return person_of(holder) or person_of(raw) or "somebody"
