"""People at a key ceremony: operators with passphrases, custodians with papers, at one terminal."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

from tests.cli.screen import Screen
from tests.limits import SOON_S

_ASKED = re.compile(
    r"(?P<hidden>(?:New passphrase of|The same again|Passphrase of)[^\n]*: )"
    r"|(?P<operator>(?:First|Second) operator, name: )"
    r"|(?P<alone>[Pp]ress Enter[^\n]*[.:] )"
    r"|(?P<paper>it is not shown again\.\r\n)"
    r"|(?P<group>group \d: )"
    r"|(?P<part_kcv>KCV of this part, from the paper: )"
    r"|(?P<key_kcv>KCV of the combined key, from the form: )"
    r"|(?P<typed>Type `[^`]*` [^\n]*: )"
)


@dataclass(slots=True)
class Paper:
    """What a custodian wrote down."""

    heading: str
    groups: list[str]
    kcv: str | None


@dataclass(slots=True)
class People:
    """Who sits in the room. `approving` are the operators that come, `bringing` the papers.

    `at_prompt` may do something else at a prompt, by its number: then it returns True.
    """

    passphrases: dict[str, str] = field(default_factory=dict)
    approving: Sequence[str] = ("anne", "bruno")
    papers: list[Paper] = field(default_factory=list)
    bringing: Sequence[Paper] = ()
    key_kcv: str = ""
    mistake: Callable[[str, str], str] = lambda _, text: text
    screen: Screen = field(default_factory=Screen)

    def secrets(self) -> list[str]:
        """Return all that must be nowhere once the ceremony is over."""
        written = [group for paper in self.papers for group in paper.groups]
        return [*self.passphrases.values(), *written]


class Ceremony:
    """A command of `cardd-kms` at a pseudo-terminal, and the people who answer it."""

    def __init__(self, people: People, program: Path, arguments: Sequence[str | Path]) -> None:
        self.people = people
        self.prompts: list[str] = []
        self._operators = list(people.approving)
        self._bringing = list(people.bringing)
        self._current: Paper | None = None
        self._whose = ""
        people.screen = Screen()
        self._child = pexpect.spawn(
            str(program),
            [str(each) for each in arguments],
            timeout=SOON_S,
            dimensions=(60, 160),
        )
        self._child.delaybeforesend = None  # a passphrase waits for the echo to be off
        self._child.logfile_read = _Feed(people.screen)

    def answer(self, *, until: int | None = None) -> bool:
        """Answer prompts; stop before the one of number `until`. Tell whether it came so far."""
        while True:
            kind = self._next()
            if kind is None:
                return False
            if until is not None and len(self.prompts) > until:
                return True
            self._answer(kind)

    def end(self) -> tuple[int | None, int | None]:
        """Wait for the end; return exit status and signal."""
        self._child.expect(pexpect.EOF)
        self._child.close()
        return self._child.exitstatus, self._child.signalstatus

    def kill(self, number: int) -> None:
        """Send a signal."""
        self._child.kill(number)

    def _next(self) -> str | None:
        found = self._child.expect([_ASKED.pattern.encode(), pexpect.EOF])
        if found == 1:
            return None
        match = self._child.match
        kind = next(name for name, value in match.groupdict().items() if value is not None)
        self.prompts.append(match[0].decode())
        return kind

    def _answer(self, kind: str) -> None:
        prompt = self.prompts[-1]
        match kind:
            case "hidden":
                self._say(prompt, self._passphrase(prompt))
            case "operator":
                self._say(prompt, self._operators.pop(0))
            case "alone":
                self._say(prompt, self._come(prompt))
            case "paper":
                self._write_down()
                self._child.send("x")
            case "key_kcv":
                self._say(prompt, self.people.key_kcv)
            case "typed":
                self._say(prompt, prompt.split("`")[1])
            case _:
                self._say(prompt, self._from_paper(prompt))

    def _passphrase(self, prompt: str) -> str:
        assert self._child.waitnoecho(SOON_S)
        if "again" not in prompt:
            self._whose = prompt.rstrip(": ").rpartition(" ")[2]
        default = f"{self._whose} has a long passphrase"
        return self.people.passphrases.setdefault(self._whose, default)

    def _come(self, prompt: str) -> str:
        """Return what the next custodian says who sits down, or that there is none."""
        if "none" not in prompt:
            return ""
        self._current = self._bringing.pop(0) if self._bringing else None
        return "" if self._current else "none"

    def _from_paper(self, prompt: str) -> str:
        assert self._current is not None
        if not prompt.startswith("group "):
            assert self._current.kcv is not None
            return self._current.kcv
        return self._current.groups[int(prompt.split()[1].rstrip(":")) - 1]

    def _say(self, prompt: str, text: str) -> None:
        self._child.sendline(self.people.mistake(prompt, text))

    def _write_down(self) -> None:
        shown = self.people.screen.text.splitlines()
        groups = [line.split()[1] for line in shown if re.match(r"  \d:  ", line)]
        kcv = [line.rpartition(" ")[2] for line in shown if line.startswith("KCV of this part")]
        self._current = Paper(shown[0], groups, kcv[0] if kcv else None)
        self.people.papers.append(self._current)


class _Feed:
    """What pexpect writes what it reads to."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def write(self, content: bytes) -> None:
        self._screen.feed(content)

    def flush(self) -> None:
        """Nothing waits."""
