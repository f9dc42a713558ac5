"""PINs: typed on the terminal, or read from a file descriptor; never an argument of a command."""

import getpass
import os
import sys

import click

from cardd.cli.cardctl.session import Rejected
from cardd.cli.cardctl.text import plain
from cardd.client import PinWanted, Problem

LONGEST_LINE = 64

pin_fd_option = click.option(
    "--pin-fd", type=click.IntRange(min=0), metavar="N",
    help="Read the PIN from this file descriptor, one line, and ask nobody.",
)  # fmt: skip


class PinPrompt:
    """Gives a login the PIN that it asks for (`cardd.client.AskPin`)."""

    def __init__(self, descriptor: int | None, *, last_try: bool) -> None:
        self._descriptor = descriptor
        self._last_try = last_try
        self._used = False

    def __call__(self, wanted: PinWanted, problem: Problem | None) -> str | None:
        """Return a PIN; raise Rejected where there is none to give, or only a last try."""
        if problem is not None:
            click.echo(plain(problem.user_message), err=True)
        if wanted.last_try and not self._last_try:
            raise Rejected(
                "One try is left: another wrong PIN blocks the card. With --last-try it is used."
            )
        if wanted.entry == "pinpad":
            click.echo("Type the PIN at the reader.", err=True)
            return ""
        left = "" if wanted.tries_left is None else f", {wanted.tries_left} tries left"
        if self._descriptor is None:
            digits = f"{wanted.min_length} to {wanted.max_length} digits"
            return ask(f"PIN of the card ({digits}{left}): ")
        if self._used:
            return None
        self._used = True
        return read_lines(self._descriptor, 1)[0]


def ask(prompt: str) -> str:
    """Ask on the terminal without showing what is typed; raise Rejected where there is none."""
    if not sys.stdin.isatty():
        raise Rejected("cardctl: there is no terminal to type a PIN at; give --pin-fd N")
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise Rejected("cardctl: no PIN was typed") from None


def read_lines(descriptor: int, count: int) -> tuple[str, ...]:
    """Read lines from a file descriptor; raise Rejected for another number or too long ones."""
    content = b""
    try:
        while len(content) <= count * LONGEST_LINE and (chunk := os.read(descriptor, 1024)):
            content += chunk
        lines = content.decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    if len(lines) != count or any(len(line) > LONGEST_LINE for line in lines):
        raise Rejected(f"cardctl: file descriptor {descriptor} does not hold {count} line(s)")
    return tuple(lines)
