"""What every command needs: the two clients, the form of the output, and how failures end."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import click

from cardd.cli.cardctl.text import plain
from cardd.client import AdminClient, CarddProblem, Client, DaemonUnavailable


@dataclass(frozen=True, slots=True)
class Session:
    """The global options."""

    socket: str
    admin_socket: str
    as_json: bool

    def client(self) -> Client:
        """Return the client of agents."""
        return Client(self.socket, language=language())

    def admin(self) -> AdminClient:
        """Return the client of administrators."""
        return AdminClient(self.admin_socket, language=language())


def language() -> str:
    """Return the language of messages to this person: French or English, as the locale says."""
    locale = next(
        (os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), ""
    )
    return "fr" if locale.startswith("fr") else "en"


class Rejected(click.ClickException):
    """The answer is no."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on standard error."""
        click.echo(self.message, file=file, err=file is None)


class Unanswered(Rejected):
    """There is no answer."""

    exit_code = 3


@contextmanager
def reporting_failures(ctx: click.Context) -> Iterator[None]:
    """Turn what the client raises into a message and an exit code."""
    try:
        yield
    except CarddProblem as problem:
        as_json = isinstance(ctx.obj, Session) and ctx.obj.as_json
        raise Rejected(_as_json(problem) if as_json else said(problem)) from problem
    except DaemonUnavailable as error:
        raise Unanswered(
            f"cardctl: {plain(str(error))}\n"
            "Is cardd running (systemctl status cardd)? Another socket is named by --socket and "
            "--admin-socket, or by CARDD_SOCKET and CARDD_ADMIN_SOCKET.",
        ) from error


def said(problem: CarddProblem) -> str:
    """Return a refusal as people read it: what to do, then the code and the detail."""
    facts = "".join(f", {name} {value}" for name, value in problem.facts.items())
    return plain(f"{problem.user_message}\n({problem.code}: {problem.detail}{facts})", keep="\n")


def _as_json(problem: CarddProblem) -> str:
    return json.dumps(
        {
            **problem.facts,
            "code": problem.code,
            "status": problem.status,
            "detail": problem.detail,
            "user_message": problem.user_message,
        }
    )


pass_session = click.make_pass_decorator(Session)
