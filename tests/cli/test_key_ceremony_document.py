"""docs/key-ceremony.md, followed to the letter: its commands, and what it says that they show.

A block ```console is one screen. A line `$ …` in it is a command; the other lines are looked for on
the screen, in their order, and `…` stands for more of the same. KCVs, identifiers of sets, folders
and dates are the document's examples, as are what custodians write down.
"""

import re
import sys
from pathlib import Path

import pytest

from cardd.errors import CeremonyCode
from tests.cli.ceremony_people import Ceremony, Paper, People

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "key-ceremony.md"
PROGRAM = Path(sys.executable).parent / "cardd-kms"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLES = (
    (re.compile(r"KCV [0-9A-F]{6}\b"), "KCV ......"),
    (re.compile(r"KCV of this part: [0-9A-F]{6}\b"), "KCV of this part: ......"),
    (re.compile(r"(from the (?:paper|form)): [0-9A-F]{6}\b"), r"\1: ......"),
    (re.compile(r"\bset [0-9a-f]{8}\b"), "set ........"),
    (re.compile(r"^[0-9a-f]{8}  (?=a |\d of)"), "........  "),
    (re.compile(r"^((?:  \d:  |group \d: )).*"), r"\1......"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "...."),
)


def blocks() -> list[list[str]]:
    return [block.splitlines() for block in _BLOCK.findall(DOCUMENT.read_text())]


def screens() -> list[tuple[list[str], list[str]]]:
    """Return each command of the document, in words, and what the screen is said to show."""
    found = []
    for block in blocks():
        command, *shown = block
        assert command.startswith("$ cardd-kms "), command
        assert not any(line.startswith("$ ") for line in shown), command
        found.append((command.removeprefix("$ cardd-kms ").split(), shown))
    return found


def plain(line: str, folder: Path | None = None) -> str:
    """Return a line without what differs from one ceremony to another."""
    if folder is not None:
        line = line.replace(str(folder), "/var/lib/cardd")
    for pattern, example in _EXAMPLES:
        line = pattern.sub(example, line)
    return line.rstrip()


class Followers:
    """People who do what the document says, with one key service and their papers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people = People()
        self.parts: list[Paper] = []
        self.shares: list[Paper] = []
        self.configuration = folder / "cardd.toml"
        self.configuration.write_text(
            f"""
            [badge]
            system_identifier = "0011223344556677"
            [kms]
            credential_file = "{folder}/credential"
            masters = "soft:{folder}/keystore.json"
            registry = "sqlite:{folder}/registry.db"
            audit = "{folder}/audit.jsonl"
            """
        )

    def follow(self, command: list[str]) -> list[str]:
        """Type a command and answer; return each line that was ever shown."""
        self._prepare(command)
        people = self.people
        people.papers = []
        ceremony = Ceremony(people, PROGRAM, [*command, "--config", self.configuration])
        ceremony.answer()
        assert ceremony.end() == (0, None), "\n".join(people.screen.lines)
        self._keep(command)
        for secret in (*people.secrets(), *self._written()):
            assert secret not in people.screen.everywhere, command
            assert secret not in people.screen.main_seen, command
        return [plain(line, self.folder) for line in people.screen.all_lines]

    def _prepare(self, command: list[str]) -> None:
        """Bring what the document says must be there, and lose what it says is lost."""
        if command[:2] == ["ceremony", "restore"] and "--dry-run" not in command:
            (self.folder / "credential").unlink()
        self.people.bringing = self.parts if "--enter" in command else self.shares[-3::2]

    def _keep(self, command: list[str]) -> None:
        if command[:2] == ["ceremony", "shares"] and self.people.papers:
            self.shares = list(self.people.papers)
        if command[:2] == ["ceremony", "components"] and self.people.papers:
            self.parts = list(self.people.papers)
            shown = "\n".join(self.people.screen.lines)
            self.people.key_kcv = shown.split("parts: KCV ")[1].split()[0]

    def _written(self) -> list[str]:
        return [group for paper in (*self.shares, *self.parts) for group in paper.groups]


@pytest.mark.timeout(240)
def test_the_document_can_be_followed(tmp_path: Path) -> None:
    followers = Followers(tmp_path)
    for command, said in screens():
        named = [line.partition("operator, name: ")[2] for line in said if "or, name: " in line]
        followers.people.approving = named
        shown = iter(followers.follow(command))
        for line in said:
            if line == "…":
                continue
            wanted = plain(line)
            assert wanted in shown, f"{' '.join(command)}: the screen does not show: {line}"


def test_each_command_that_changes_something_is_in_the_document() -> None:
    verbs = {" ".join(word for word in command[:2]) for command, _ in screens()}
    assert verbs >= {
        "ceremony generate",
        "ceremony components",
        "ceremony shares",
        "ceremony restore",
        "ceremony drill",
        "operator add",
        "operator drop",
        "generation add",
        "generation promote",
        "generation destroy",
        "slot list",
    }
    assert [command[0] for command, _ in screens()].count("report") == 1


def test_the_document_names_each_code_of_a_ceremony_that_does_not_go_on() -> None:
    named = set(re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT.read_text(), re.MULTILINE))
    assert named == {code.value for code in CeremonyCode}
