"""The terminal at which a key ceremony is held.

What is secret stands on the terminal's other screen alone (the alternate screen buffer of xterm
and all that follow it), which has no scrollback, and is wiped before that screen is left, however
it is left: by a key, by the time limit, by an error or by a signal.
"""

import os
import select
import signal
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from cardd.errors import CeremonyCode, CeremonyError
from cardd.secret import Secret

SHOWN_S = 60.0
_ENTER = "\x1b[?1049h"
_WIPE = "\x1b[H\x1b[2J\x1b[3J"  # home, the screen, and what scrolled off it
_LEAVE = "\x1b[?1049l"
_LINE_BYTES = 1024
_UNATTENDED_S = 600.0
_LFLAG, _CC = 3, 6
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Terminal:
    """Standard input and output, which are the same terminal: people, one after the other."""

    def __init__(self, given: int, shown: int, shown_s: float = SHOWN_S) -> None:
        self._in = given
        self._out = shown
        self._shown_s = shown_s

    def say(self, text: str = "") -> None:
        """Print a line, which stays."""
        self._write(text + "\n")

    def ask(self, prompt: str) -> str:
        """Return the line that a person types, seen while it is typed."""
        return self._line(prompt).strip()

    def ask_secret(self, prompt: str) -> Secret:
        """Return the line that a person types, not seen."""
        with self._modes(echo=False, lines=True):
            typed = self._read_line(prompt)
        self._write("\n")
        return Secret(typed)

    @contextmanager
    def alone(self, lines: Sequence[str]) -> Iterator[None]:
        """Take everything else off the screen for a block, and what the block shows after it."""
        self._write(_ENTER + _WIPE)
        try:
            for line in lines:
                self.say(line)
            yield
        finally:
            with suppress(OSError):  # the terminal is gone, and what it showed with it
                self._write(_WIPE + _LEAVE)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Let no signal break off a block, in which the decided change is made and told."""
        before: dict[int, Any] = {each: signal.signal(each, signal.SIG_IGN) for each in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def show(self, lines: Sequence[str]) -> None:
        """Show lines alone until a key is pressed, or until the time limit."""
        with self._modes(echo=False, lines=False), self.alone(lines):
            ready, _, _ = select.select([self._in], [], [], self._shown_s)
            if ready and not os.read(self._in, _LINE_BYTES):
                raise _broken_off("the terminal was closed")

    def _line(self, prompt: str) -> str:
        return self._read_line(prompt).decode("utf-8", "replace")

    def _read_line(self, prompt: str) -> bytes:
        self._write(prompt)
        # What is on the screen must not stay there because somebody was called away.
        ready, _, _ = select.select([self._in], [], [], _UNATTENDED_S)
        if not ready:
            raise _broken_off("nobody typed anything for 10 minutes")
        typed = os.read(self._in, _LINE_BYTES)
        if not typed.endswith(b"\n"):
            raise _broken_off("the input ended")
        return typed[:-1]

    def _modes(self, *, echo: bool, lines: bool) -> AbstractContextManager[None]:
        return _modes(self._in, echo=echo, lines=lines)

    def _write(self, text: str) -> None:
        left = text.encode()
        while left:
            left = left[os.write(self._out, left) :]


class Unattended(Terminal):
    """A pipe or a file in the terminal's place: it can be told things, and not asked."""

    def _read_line(self, prompt: str) -> bytes:
        del prompt
        raise _required()

    def _modes(self, *, echo: bool, lines: bool) -> AbstractContextManager[None]:
        del echo, lines
        raise _required()


@contextmanager
def open_terminal(shown_s: float = SHOWN_S, *, attended: bool = True) -> Iterator[Terminal]:
    """Hold a ceremony at standard input and output; a signal breaks it off in good order.

    Raises CeremonyError: `terminal_required` where it is none and must be `attended`, or once
    somebody is asked; `broken_off` for a signal in the block.
    """
    given, shown = sys.stdin.fileno(), sys.stdout.fileno()
    sys.stdout.flush()
    if not (os.isatty(given) and os.isatty(shown)):
        if attended:
            raise _required()
        yield Unattended(given, shown, shown_s)
        return
    modes = termios.tcgetattr(given)
    before: dict[int, Any] = {each: signal.signal(each, _break_off) for each in _ENDING}
    # A stopped process would leave what it shows on the screen.
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        yield Terminal(given, shown, shown_s)
    finally:
        termios.tcsetattr(given, termios.TCSAFLUSH, modes)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _modes(terminal: int, *, echo: bool, lines: bool) -> Iterator[None]:
    """Set a terminal's modes for a block. What was typed ahead, blind, is dropped."""
    before = termios.tcgetattr(terminal)
    changed = [*before[:_CC], list(before[_CC])]
    off = (0 if echo else termios.ECHO) | (0 if lines else termios.ICANON)
    changed[_LFLAG] &= ~off
    termios.tcsetattr(terminal, termios.TCSAFLUSH, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _break_off(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    for each in _ENDING:  # a second one must not keep the screen from being wiped
        signal.signal(each, signal.SIG_IGN)
    raise _broken_off(f"{signal.Signals(number).name} came")


def _required() -> CeremonyError:
    return CeremonyError(
        CeremonyCode.TERMINAL_REQUIRED,
        "this asks people, or shows them secrets: its input and output must be a terminal, not a "
        "file or a pipe",
    )


def _broken_off(why: str) -> CeremonyError:
    return CeremonyError(
        CeremonyCode.BROKEN_OFF, f"the ceremony was broken off ({why}); nothing was changed"
    )
