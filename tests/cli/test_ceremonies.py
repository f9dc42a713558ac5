"""Key ceremonies as they are held, and everything that goes wrong with them."""

import json
import re
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardd.kms.audit.lines import lines
from tests.cli.ceremony_people import Ceremony, Paper, People

pytestmark = pytest.mark.e2e

PROGRAM = Path(sys.executable).parent / "cardd-kms"


class Room:
    """A folder with a key service in it, and the people who look after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people = People()
        self.generated = ""
        self.configuration = folder / "cardd.toml"
        self.configuration.write_text(
            f"""
            [badge]
            system_identifier = "0011223344556677"
            [kms]
            replica = "kms-1"
            credential_file = "{folder}/credential"
            masters = "soft:{folder}/keystore.json"
            registry = "sqlite:{folder}/registry.db"
            audit = "{folder}/audit.jsonl"
            """
        )

    def copied(self, folder: Path) -> "Room":
        """Return a copy of the room and of its people, in another folder."""
        other = Room(folder)
        for file in self.folder.iterdir():
            if file != self.configuration:
                shutil.copy2(file, folder)
        other.people = People(dict(self.people.passphrases), papers=list(self.people.papers))
        other.generated = self.generated
        return other

    def begin(self, *arguments: str) -> Ceremony:
        return Ceremony(self.people, PROGRAM, [*arguments, "--config", self.configuration])

    def hold(self, *arguments: str) -> int | None:
        """Hold a ceremony to its end; return the exit status. Nothing secret stays in sight."""
        ceremony = self.begin(*arguments)
        ceremony.answer()
        status, _ = ceremony.end()
        self.nothing_in_sight()
        return status

    def refused(self, code: str, *arguments: str) -> str:
        """Hold a ceremony that does not go on and changes nothing; return what it said last."""
        before = self.state()
        assert self.hold(*arguments) == 1, self.screen
        said = self.screen.splitlines()[-1]
        assert said.startswith(f"cardd-kms: {code}: "), self.screen
        assert self.state() == before
        return said

    def nothing_in_sight(self) -> None:
        screen = self.people.screen
        for secret in self.people.secrets():
            assert secret not in screen.everywhere
            assert secret not in screen.main_seen

    @property
    def screen(self) -> str:
        return "\n".join(self.people.screen.lines)

    def state(self) -> dict[str, bytes]:
        """Return what a ceremony may change: keystore, operators, credential."""
        names = ("keystore.json", "operators.sealed", "credential")
        files = [self.folder / name for name in names]
        return {file.name: file.read_bytes() for file in files if file.exists()}

    def audited(self, event: str) -> list[SimpleNamespace]:
        with (self.folder / "ceremonies.jsonl").open("rb") as file:
            said = [json.loads(line) for line in lines(file)]
        return [SimpleNamespace(**line["facts"]) for line in said if line["event"] == event]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Make the key service that each test gets a copy of."""
    room = Room(tmp_path_factory.mktemp("made"))
    assert room.hold("ceremony", "generate", "anne", "bruno") == 0, room.screen
    room.generated = room.screen
    return room


@pytest.fixture(scope="module")
def made_shared(made: Room, tmp_path_factory: pytest.TempPathFactory) -> Room:
    room = made.copied(tmp_path_factory.mktemp("shared"))
    assert room.hold("ceremony", "shares") == 0, room.screen
    return room


@pytest.fixture
def room(made: Room, tmp_path: Path) -> Room:
    return made.copied(tmp_path)


@pytest.fixture
def shared(made_shared: Room, tmp_path: Path) -> Room:
    return made_shared.copied(tmp_path)


def kcvs(screen: str) -> list[str]:
    return [line.split("KCV ")[1] for line in screen.splitlines() if "  KCV " in line]


def test_two_operators_are_appointed_as_the_key_service_is_made(room: Room) -> None:
    assert len(kcvs(room.generated)) == 5
    (done,) = room.audited("operators.done")
    assert (done.operators, done.counter) == ("anne, bruno", 1)
    content = b"".join(room.state().values())
    assert b"anne" not in content
    assert room.people.passphrases["anne"].encode() not in content


def test_shares_open_the_keystore_in_a_drill_that_changes_nothing(shared: Room) -> None:
    assert [len(paper.groups) for paper in shared.people.papers] == [8, 8, 8]
    before = shared.state()
    for pair in ((0, 1), (2, 0)):
        shared.people.bringing = [shared.people.papers[index] for index in pair]
        assert shared.hold("ceremony", "drill") == 0, shared.screen
        assert "Nothing was changed." in shared.screen
        assert len(kcvs(shared.screen)) == 5
    assert shared.state() == before
    assert [each.shares for each in shared.audited("drill.done")] == ["1, 2", "3, 1"]
    assert shared.audited("shares.done")[0].approved == "anne, bruno"


def test_a_restore_by_shares_makes_a_new_credential(shared: Room) -> None:
    (shared.folder / "credential").unlink()
    shared.people.bringing = shared.people.papers[1:]
    assert shared.hold("ceremony", "restore") == 0, shared.screen
    assert shared.hold("generation", "list") == 0
    assert len(kcvs(shared.screen)) == 5
    (done,) = shared.audited("restore.done")
    assert (done.approved, done.shares) == ("anne, bruno", "2, 3")


def test_a_wrong_share_is_named(shared: Room) -> None:
    one, two, _ = shared.people.papers
    from cardd.kms.masters.shares import Share, parse, text  # noqa: PLC0415
    from cardd.secret import Secret  # noqa: PLC0415

    real = parse(" ".join(two.groups))
    forged = Share(real.set_id, real.index, real.threshold, Secret(bytes(16)))
    wrong = Paper("forged", list(text(forged)), None)
    shared.people.bringing = [one, wrong, wrong, wrong]
    said = shared.refused("share_wrong", "ceremony", "drill")
    assert "share 2 of the set" in said
    assert "is not the one that was made" in said


def test_shares_of_two_sets_do_not_mix(shared: Room) -> None:
    assert shared.hold("ceremony", "shares") == 0
    first, second = shared.people.papers[:3], shared.people.papers[3:]
    shared.people.bringing = [first[0], second[1], second[1], second[1]]
    said = shared.refused("shares_mixed", "ceremony", "drill")
    assert "was not made together with share 1" in said


def test_a_typing_error_is_found_in_its_group_and_can_be_put_right(shared: Room) -> None:
    typed: list[str] = []

    def mistaken(prompt: str, text: str) -> str:
        if prompt == "group 3: " and len(typed) < 2:
            typed.append(text)
            return ("0" if text[0] != "0" else "1") + text[1:]
        return text

    shared.people.bringing = shared.people.papers[:2]
    shared.people.mistake = mistaken
    assert shared.hold("ceremony", "drill") == 0
    assert shared.people.screen.seen.count("group 3 has a typing error") == 2


def test_three_typing_errors_end_the_drill(shared: Room) -> None:
    shared.people.bringing = [shared.people.papers[0]] * 3
    shared.people.mistake = lambda prompt, text: "000000" if prompt == "group 5: " else text
    said = shared.refused("share_mistyped", "ceremony", "drill")
    assert "group 5 has a typing error" in said


def test_too_few_shares_open_nothing(shared: Room) -> None:
    shared.people.bringing = shared.people.papers[:1]
    said = shared.refused("shares_too_few", "ceremony", "drill")
    assert "1 of 2 shares are here" in said
    shared.refused("shares_too_few", "ceremony", "restore")


def test_a_share_counts_once(shared: Room) -> None:
    shared.people.bringing = [shared.people.papers[0]] * 4
    shared.refused("share_twice", "ceremony", "drill")


def test_old_shares_open_nothing_once_new_ones_replaced_them(shared: Room) -> None:
    old = shared.people.papers[:2]
    assert shared.hold("ceremony", "shares", "--replace") == 0
    assert "opens it no longer" in shared.screen
    shared.people.bringing = [old[0]] * 3
    said = shared.refused("share_unknown", "ceremony", "drill")
    assert "the slot was dropped" in said
    shared.people.bringing = shared.people.papers[3:]
    assert shared.hold("ceremony", "drill") == 0


def test_an_operator_does_not_approve_twice_nor_alone(shared: Room) -> None:
    shared.people.approving = ("anne", "anne")
    said = shared.refused("operator_twice", "ceremony", "components", "transport")
    assert "anne cannot approve twice" in said
    shared.people.approving = ("anne", "mallory")
    shared.refused("operator_refused", "ceremony", "components", "transport")
    assert [each.name for each in shared.audited("operator.refused")] == ["mallory"]
    shared.people.approving = ("anne", "bruno")
    shared.people.mistake = lambda prompt, text: "wrong" if "of bruno" in prompt else text
    said = shared.refused("operator_refused", "ceremony", "components", "transport")
    assert "not the passphrase of bruno" in said


def test_import_and_destroy_ask_for_operators_where_there_are_none(room: Room) -> None:
    (room.folder / "operators.sealed").unlink()
    (room.folder / "ceremonies.jsonl").unlink()
    room.refused("operators_missing", "ceremony", "components", "transport")
    assert room.hold("generation", "add", "transport") == 0
    room.refused("operators_missing", "generation", "destroy", "transport", "2")


def test_a_record_of_operators_that_is_gone_or_old_is_found(room: Room) -> None:
    record = room.folder / "operators.sealed"
    old = record.read_bytes()
    assert room.hold("operator", "add", "chantal") == 0
    new = record.read_bytes()
    record.write_bytes(old)
    said = room.refused("operators_damaged", "generation", "add", "transport")
    assert "the audit knows number 2" in said
    record.write_bytes(new[:-1] + bytes((new[-1] ^ 1,)))
    room.refused("operators_damaged", "generation", "add", "transport")
    record.unlink()
    room.refused("operators_missing", "generation", "add", "transport")
    record.write_bytes(new)
    assert room.hold("operator", "drop", "bruno") == 0
    room.people.approving = ("anne", "chantal")
    assert room.hold("generation", "add", "transport") == 0


def test_operators_that_were_lost_are_appointed_anew_by_the_shares(shared: Room) -> None:
    (shared.folder / "operators.sealed").unlink()
    shared.people.bringing = shared.people.papers[:1]
    shared.refused("shares_too_few", "operator", "init", "didier", "elise")
    shared.people.bringing = shared.people.papers[:2]
    assert shared.hold("operator", "init", "didier", "elise") == 0, shared.screen
    shared.people.approving = ("didier", "elise")
    assert shared.hold("generation", "add", "transport") == 0


def test_a_master_is_made_of_three_parts_and_brought_in_again_from_paper(room: Room) -> None:
    assert room.hold("ceremony", "components", "transport") == 0, room.screen
    assert len(room.people.papers) == 3
    key_kcv = room.screen.split("parts: KCV ")[1].split()[0]
    assert f"transport generation 2 is next. KCV {key_kcv}" in room.screen
    assert room.hold("generation", "destroy", "transport", "2") == 0, room.screen
    room.people.bringing, room.people.key_kcv = room.people.papers, key_kcv
    assert room.hold("ceremony", "components", "transport", "--enter") == 0, room.screen
    assert f"transport generation 2 is next. KCV {key_kcv}" in room.screen
    assert room.hold("generation", "promote", "transport") == 0
    (first, again) = room.audited("import.done")
    assert (first.approved, first.kcv, first.generation) == ("anne, bruno", key_kcv, 2)
    assert again == first


@pytest.mark.parametrize("legacy", [False, True])
def test_parts_that_make_another_key_bring_nothing_in(room: Room, legacy: bool) -> None:
    form = ("--legacy-kcv",) if legacy else ()
    for _ in range(2):
        assert room.hold("ceremony", "components", "transport", "--parts", "2", *form) == 0
        assert room.hold("generation", "destroy", "transport", "2") == 0
    key_kcv = room.screen
    one, two, three, four = room.people.papers
    enter = ("ceremony", "components", "transport", "--enter", "--parts", "2", *form)
    room.people.bringing, room.people.key_kcv = [one, four], "123456"
    assert "a part is of another key" in room.refused("component_wrong", *enter)
    room.people.bringing = [one, one]
    assert "part 1 is there twice" in room.refused("component_wrong", *enter)
    mistyped = Paper(two.heading, ["0000", *two.groups[1:]], two.kcv)
    room.people.bringing = [one, mistyped, mistyped, mistyped]
    assert "another check value than its paper" in room.refused("component_wrong", *enter)
    room.people.bringing = [three]
    assert "1 of 2 parts are here" in room.refused("component_wrong", *enter)
    assert key_kcv


def test_what_was_written_down_wrongly_is_found_before_anything_changes(room: Room) -> None:
    room.people.mistake = lambda prompt, text: "ZZZZZZ" if prompt == "group 2: " else text
    assert "group 2 was not written down" in room.refused("not_the_same", "ceremony", "shares")
    room.people.mistake = lambda _, text: text
    assert room.hold("ceremony", "shares") == 0


CEREMONIES = {
    "shares": ("ceremony", "shares", "--custodians", "2"),
    "components": ("ceremony", "components", "transport", "--parts", "2"),
    "restore": ("ceremony", "restore"),
    "operators": ("operator", "add", "chantal"),
    "destroy": ("generation", "destroy", "transport", "2"),
}


def kinds(prompts: list[str]) -> list[int]:
    """Return where prompts of each kind stand first, and the last of all."""
    alike = [re.sub(r"\d|First|Second", "", prompt) for prompt in prompts]
    return sorted({alike.index(each) for each in alike} | {len(prompts) - 1})


@pytest.mark.timeout(240)
@pytest.mark.parametrize("which", CEREMONIES)
def test_a_ceremony_that_breaks_off_at_any_prompt_has_changed_nothing(
    shared: Room, which: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if which == "destroy":
        assert shared.hold("generation", "add", "transport") == 0
    bringing = shared.people.papers[:2]
    whole = shared.copied(tmp_path_factory.mktemp("whole"))
    whole.people.bringing = bringing
    ceremony = whole.begin(*CEREMONIES[which])
    ceremony.answer()
    assert ceremony.end() == (0, None), whole.screen
    before = shared.state()
    assert whole.state() != before
    for number in kinds(ceremony.prompts):
        for how in (signal.SIGKILL, signal.SIGINT if number % 2 else signal.SIGHUP):
            shared.people.bringing = bringing
            broken = shared.begin(*CEREMONIES[which])
            assert broken.answer(until=number)
            broken.kill(how)
            status, killed_by = broken.end()
            assert shared.state() == before, broken.prompts
            if how != signal.SIGKILL:
                assert (status, killed_by) == (1, None)
                assert "cardd-kms: broken_off: " in shared.screen
                shared.nothing_in_sight()
