"""`cardctl authenticate` and `assertion`: who is it, and the signed statement of it."""

import base64
import json
from typing import Any

import click

from cardd.cli.cardctl.output import print_facts, print_json
from cardd.cli.cardctl.pins import PinPrompt, pin_fd_option
from cardd.cli.cardctl.session import Session, pass_session
from cardd.cli.cardctl.text import moment, person, short_acr
from cardd.client import AuthenticationResult, new_nonce

nonce_option = click.option(
    "--nonce", metavar="N", help="22 to 128 base64url characters; drawn when not given."
)
audience_option = click.option(
    "--audience", required=True, metavar="A", help="The relying party that the assertion is for."
)
minimum_option = click.option("--minimum-acr", metavar="ACR", help="Refuse anything weaker.")
method_option = click.option(
    "--method", "methods", multiple=True, type=click.Choice(["badge", "cps"]),
    help="Accept this card alone; both are accepted when it is not given.",
)  # fmt: skip


@click.command()
@audience_option
@nonce_option
@minimum_option
@click.option("--timeout", "timeout_s", type=click.FloatRange(0, 300, min_open=True), default=60.0,
              show_default=True, metavar="S", help="How long to wait for a badge.")  # fmt: skip
@click.option("--reader", metavar="R", help="Take a card of this reader alone.")
@click.option("--expect-holder", metavar="ID", help="Refuse anybody else.")
@click.option("--no-presence", is_flag=True, help="Do not make the person present.")
@method_option
@pin_fd_option
@click.option("--last-try", is_flag=True, help="Use a card's last try (needs the right last-try).")
@click.option("--show-assertion", is_flag=True, help="Print the assertion too.")
@pass_session
def authenticate(
    session: Session,
    /,
    *,
    audience: str,
    nonce: str | None,
    timeout_s: float,
    no_presence: bool,
    show_assertion: bool,
    methods: tuple[str, ...],
    pin_fd: int | None,
    last_try: bool,
    **options: Any,
) -> None:
    """Wait for a badge or a CPS and say who holds it.

    The PIN of a CPS is asked for on the terminal, or read from a file descriptor.
    """
    nonce = nonce or new_nonce()
    if not session.as_json:
        click.echo(f"Show a badge or a CPS (within {timeout_s:g} s).", err=True)
    result = session.client().authenticate(
        audience,
        nonce,
        timeout_s=timeout_s,
        presence="none" if no_presence else "start",
        methods=methods or ("badge", "cps"),
        ask_pin=PinPrompt(pin_fd, last_try=last_try),
        **options,
    )
    if session.as_json:
        shown = dict(result.raw)
        if not show_assertion:
            shown.pop("assertion", None)
            shown.pop("evidence", None)
        print_json({**shown, "nonce": nonce})
        return
    print_facts(_facts(result, nonce))
    if show_assertion:
        click.echo(result.assertion or result.evidence)


@click.command()
@click.option("--sid", required=True, help="The presence (cardctl presence list).")
@audience_option
@nonce_option
@minimum_option
@click.option("--raw", is_flag=True, help="Print the compact assertion alone.")
@pass_session
def assertion(
    session: Session,
    sid: str,
    audience: str,
    nonce: str | None,
    minimum_acr: str | None,
    *,
    raw: bool,
) -> None:
    """Get an assertion for another application, without another tap.

    It is shown decoded and as it is sent. Nothing is verified here: `cardctl verify` does.
    """
    nonce = nonce or new_nonce()
    compact = session.client().assertion(sid, audience, nonce, minimum_acr=minimum_acr)
    if raw:
        click.echo(compact)
        return
    header, claims = decoded(compact)
    print_json({"header": header, "claims": claims, "assertion": compact})


def decoded(compact: str) -> tuple[Any, Any]:
    """Return the header and the claims of a compact JWS, unverified."""
    header, claims, _ = compact.split(".")
    return _part(header), _part(claims)


def _part(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _facts(result: AuthenticationResult, nonce: str) -> dict[str, str]:
    holder = result.holder
    accounts = {} if holder is None else holder.accounts
    unavailable = result.assertion_unavailable
    return {
        "holder": person(holder),
        "id": "-" if holder is None else holder.id,
        **{f"account {kind}": name for kind, name in accounts.items()},
        **({} if unavailable is None else {"no assertion": unavailable}),
        "acr": "-" if result.acr is None else short_acr(result.acr),
        "amr": " ".join(result.amr),
        "authenticated": moment(result.auth_time),
        "reader": result.reader,
        result.card.type: result.card.badge or result.card.certificate or "-",
        "presence": result.sid or "none",
        "nonce": nonce,
    }
