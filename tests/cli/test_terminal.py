"""The terminal of a key ceremony, at a pseudo-terminal."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from cardd.cli.terminal import Terminal
from cardd.errors import CeremonyCode, CeremonyError
from cardd.secret import Secret
from tests.cli.screen import Screen
from tests.limits import SOON_S, ends_soon

pytestmark = pytest.mark.unit


class Pseudo:
    """Both ends of a pseudo-terminal, whose screen is read as it is written."""

    def __init__(self) -> None:
        self.outer, self.inner = os.openpty()
        self.screen = Screen()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while content := os.read(self.outer, 4096):
                with self._changed:
                    self.screen.feed(content)
                    self._changed.notify_all()
        except OSError:
            return

    def type_when(self, shown: str, text: str) -> None:
        """Type, in a thread, once something is on the screen."""

        def typing() -> None:
            with self._changed:
                self._changed.wait_for(lambda: shown in self.screen.text, SOON_S)
            os.write(self.outer, text.encode())

        threading.Thread(target=typing, daemon=True).start()

    def see(self, shown: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: shown in self.screen.text, SOON_S)

    def close(self) -> None:
        os.close(self.inner)
        self._reader.join(SOON_S)
        os.close(self.outer)


@pytest.fixture
def pseudo() -> Iterator[Pseudo]:
    made = Pseudo()
    yield made
    made.close()


@pytest.fixture
def terminal(pseudo: Pseudo) -> Terminal:
    return Terminal(pseudo.inner, pseudo.inner)


def test_what_is_shown_alone_goes_with_a_key_and_is_nowhere_any_more(
    pseudo: Pseudo, terminal: Terminal
) -> None:
    terminal.say("before")
    pseudo.type_when("A SECRET", "x")
    terminal.show(["A SECRET"])
    terminal.say("after")
    pseudo.see("after")
    assert pseudo.screen.lines == ["before", "after"]
    assert "A SECRET" in pseudo.screen.seen
    assert "A SECRET" not in pseudo.screen.main_seen
    assert "A SECRET" not in pseudo.screen.everywhere


def test_what_is_shown_alone_goes_by_itself_after_the_limit(pseudo: Pseudo) -> None:
    with ends_soon():
        Terminal(pseudo.inner, pseudo.inner, shown_s=0.01).show(["A SECRET"])
    Terminal(pseudo.inner, pseudo.inner).say("after")
    pseudo.see("after")
    assert "A SECRET" not in pseudo.screen.everywhere


def test_what_fails_while_a_secret_is_shown_wipes_it_too(
    pseudo: Pseudo, terminal: Terminal
) -> None:
    with pytest.raises(RuntimeError), terminal.alone(["A SECRET"]):
        raise RuntimeError
    terminal.say("after")
    pseudo.see("after")
    assert "A SECRET" not in pseudo.screen.everywhere


def test_a_passphrase_is_not_shown(pseudo: Pseudo, terminal: Terminal) -> None:
    pseudo.type_when("Passphrase: ", "tr0ub4dor\n")
    assert terminal.ask_secret("Passphrase: ") == Secret(b"tr0ub4dor")
    terminal.say("after")
    pseudo.see("after")
    assert pseudo.screen.lines == ["Passphrase: ", "after"]


def test_the_end_of_the_input_breaks_off(pseudo: Pseudo, terminal: Terminal) -> None:
    pseudo.type_when("Name: ", "\x04")
    with pytest.raises(CeremonyError) as caught:
        terminal.ask("Name: ")
    assert caught.value.code is CeremonyCode.BROKEN_OFF


HELD = """
import sys
from cardd.cli.start import reporting_start_errors
from cardd.cli.terminal import open_terminal
with reporting_start_errors("held"), open_terminal() as terminal:
    terminal.show(["A SECRET"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_wipes_the_screen_and_ends_in_good_order(pseudo: Pseudo, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HELD],
        stdin=pseudo.inner,
        stdout=pseudo.inner,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            pseudo.see("A SECRET")
            process.send_signal(number)
            _, said = process.communicate(timeout=SOON_S)
        finally:
            process.kill()
    assert process.returncode == 1
    assert said.startswith(b"held: broken_off: ")
    os.write(pseudo.inner, b"after")
    pseudo.see("after")
    assert pseudo.screen.lines == ["after"]
    assert "A SECRET" not in pseudo.screen.everywhere


def test_a_pipe_is_no_terminal() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HELD], input=b"", capture_output=True, check=False, timeout=SOON_S
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"held: terminal_required: ")
    assert ended.stdout == b""
