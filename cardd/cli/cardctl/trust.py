"""`cardctl trust`: the authorities and CRLs that CPS are verified with. Needs no daemon."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from cardd import config
from cardd.cli.cardctl.output import print_json, print_table
from cardd.cli.cardctl.session import Rejected, Session, pass_session
from cardd.cli.cardctl.text import plain
from cardd.cps.trust import TrustStore
from cardd.cps.trust_authorities import Authority
from cardd.cps.trust_crls import Crl, CrlError
from cardd.cps.trust_update import Outcome, Update, update
from cardd.errors import CarddError

DEFAULT_CONFIGURATION = Path("/etc/cardd/cardd.toml")

_config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIGURATION,
    show_default=True,
    metavar="FILE",
    help="The configuration of cardd.",
)


@click.group()
def trust() -> None:
    """Look after the authorities and CRLs that CPS are verified with.

    These commands read the configuration themselves; cardd need not run.
    """


@trust.command("update")
@_config_option
@pass_session
def update_lists(session: Session, config_file: Path) -> None:
    """Fetch the CRLs, verify them, and put them where cardd finds them.

    Every list is tried; the exit code is 1 where one was not had. A list that cannot be verified
    changes nothing. A running cardd takes the new lists by itself.
    """
    with _reporting_errors():
        updates = update(_settings(config_file), time.time())
    if session.as_json:
        print_json({"items": [_update_json(each) for each in updates]})
    else:
        print_table(
            ("CRL", "outcome", "until", ""),
            ((each.url, each.outcome, _until(each.crl), each.why or "") for each in updates),
            empty="There is no CRL to fetch: name some in trust.crl_urls.",
        )
    if any(each.outcome is Outcome.FAILED for each in updates):
        raise click.exceptions.Exit(1)


@trust.command("show")
@_config_option
@pass_session
def show(session: Session, config_file: Path) -> None:
    """Show the authorities and the CRLs, and what is wrong with them."""
    with _reporting_errors():
        settings = _settings(config_file)
        store = TrustStore.load(settings)
        authorities, lists = store.authorities, store.lists()
    skew = timedelta(seconds=settings.clock_skew_s)
    if session.as_json:
        print_json(
            {
                "revocation": settings.revocation,
                "authorities": [_authority_json(each) for each in authorities],
                "crls": [_list_json(name, crl, skew) for name, crl in lists],
            }
        )
        return
    print_table(
        ("authority", "kind", "until", "file"),
        ((each.name, _kind(each), _time(each.not_after), str(each.file)) for each in authorities),
        empty="",
    )
    click.echo()
    print_table(
        ("CRL", "of", "revoked", "until", "state"),
        (_list_row(name, crl, skew) for name, crl in lists),
        empty=f"There is no CRL in {settings.crls}: run cardctl trust update.",
    )


def _settings(config_file: Path) -> config.Trust:
    return config.load(config_file).trust


@contextmanager
def _reporting_errors() -> Iterator[None]:
    """Turn a refusal of cardd's own into a message and exit code 1."""
    try:
        yield
    except CarddError as error:
        raise Rejected(plain(f"cardctl: {error.code}: {error}")) from error


def _update_json(each: Update) -> dict[str, Any]:
    return {
        "url": each.url,
        "file": str(each.file),
        "outcome": each.outcome.value,
        "why": each.why,
        "next_update": each.crl.next_update.timestamp() if each.crl else None,
    }


def _authority_json(each: Authority) -> dict[str, Any]:
    return {
        "name": each.name,
        "kind": _kind(each),
        "not_after": each.not_after.timestamp(),
        "file": str(each.file),
    }


def _list_json(name: str, crl: Crl | CrlError, skew: timedelta) -> dict[str, Any]:
    if isinstance(crl, CrlError):
        return {"file": name, "state": "unusable", "why": str(crl)}
    return {
        "file": name,
        "state": _state(crl, skew),
        "issuer": crl.issuer.name,
        "revoked": len(crl.serials),
        "this_update": crl.this_update.timestamp(),
        "next_update": crl.next_update.timestamp(),
    }


def _list_row(name: str, crl: Crl | CrlError, skew: timedelta) -> tuple[str, str, str, str, str]:
    if isinstance(crl, CrlError):
        return name, "-", "-", "-", f"unusable: {crl}"
    return (
        name,
        crl.issuer.name,
        str(len(crl.serials)),
        _time(crl.next_update),
        _state(crl, skew),
    )


def _state(crl: Crl, skew: timedelta) -> str:
    return "fresh" if crl.is_fresh(datetime.now(UTC), skew) else "expired"


def _kind(authority: Authority) -> str:
    return "root" if authority.is_root else "intermediate"


def _until(crl: Crl | None) -> str:
    return _time(crl.next_update) if crl else "-"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
