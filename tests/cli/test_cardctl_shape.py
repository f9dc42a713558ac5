"""cardctl without a daemon: usage, exit codes, and how things read."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

from cardd.cli.cardctl.cps import _tries
from cardd.cli.cardctl.main import COMMANDS, cardctl
from cardd.cli.cardctl.text import person_of, plain
from cardd.cli.cardctl.watching import line
from cardd.client import Event

pytestmark = pytest.mark.unit


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cardctl, arguments, env=environment)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: cardctl {command} " in result.output


def test_help_loads_neither_rich_nor_any_command() -> None:
    code = (
        "import sys\n"
        "from cardd.cli.cardctl.main import cardctl\n"
        "cardctl(['--help'], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('rich', 'jwt', 'aiohttp')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert "authenticate" in result.stdout
    assert result.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["readers"],
        ["jwks"],
        ["watch"],
        ["authenticate", "--audience", "a"],
        ["assertion", "--sid", "s", "--audience", "a"],
        ["presence", "list"],
        ["presence", "end", "s"],
        ["holder", "list"],
        ["holder", "add", "--staff-number", "1"],
        ["badge", "list"],
        ["badge", "prepare"],
        ["badge", "enrol", "--holder", "1"],
        ["badge", "revoke", "x", "--reason", "lost"],
        ["badge", "rekey"],
        ["badge", "rekey", "--generation", "2"],
        ["badge", "wipe"],
    ],
)
def test_without_a_daemon_every_command_ends_with_3_and_says_what_to_do(
    tmp_path: Path, arguments: list[str]
) -> None:
    nowhere = str(tmp_path / "none.sock")
    result = run(*arguments, CARDD_SOCKET=nowhere, CARDD_ADMIN_SOCKET=nowhere)
    assert result.exit_code == 3
    assert nowhere in result.stderr
    assert "systemctl status cardd" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["authenticate"],
        ["authenticate", "--audience", "a", "--timeout", "0"],
        ["authenticate", "--audience", "a", "--timeout", "301"],
        ["badge", "revoke", "x", "--reason", "bored"],
        ["badge", "enrol"],
        ["badge", "rekey", "--generation", "0"],
        ["badge", "rekey", "--generation", "256"],
        ["holder", "add"],
        ["holder", "add", "--staff-number", "1", "--account", "alice"],
        ["holder", "add", "--staff-number", "1", "--account", "a=b", "--account", "a=c"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@given(st.text())
def test_no_text_from_outside_drives_the_terminal(text: str) -> None:
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} for c in plain(text))


def event(kind: str, **data: object) -> Event:
    return Event("e.1", kind, 1_000_000.0, "desk", "c1", data)


ALICE = {"id": "h1", "staff_number": "1001", "given_name": "Alice", "family_name": "Martin"}


def test_a_tap_reads_with_its_holder_and_acr() -> None:
    shown = line(
        event("tap", outcome="succeeded", code=None, holder=ALICE, acr="urn:cardd:acr:one-factor")
    )
    assert shown.split()[1:] == [
        "tap",
        "desk",
        "succeeded",
        "Alice",
        "Martin",
        "(1001)",
        "one-factor",
    ]


def test_a_refused_tap_reads_with_its_code() -> None:
    shown = line(event("tap", outcome="refused", code="badge_revoked"))
    assert shown.split()[1:] == ["tap", "desk", "refused", "badge_revoked"]


def test_a_switch_reads_from_and_to() -> None:
    bruno = {"id": "h2", "staff_number": "1002"}
    shown = line(event("presence.switched", **{"from": {"holder": ALICE}, "to": {"holder": bruno}}))
    assert shown.endswith("Alice Martin (1001) -> 1002")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["holder", "from", "to", "id", "staff_number", "code",
                                       "readers", "presences", "acr", "all", "reason"]), inner),
    max_leaves=8,
)  # fmt: skip


@given(
    st.sampled_from(["snapshot", "tap", "presence.switched", "enrolment.progress", "new.kind"]),
    st.dictionaries(st.sampled_from(["holder", "from", "to", "readers", "presences", "acr", "code",
                                     "reason", "all", "done"]), json_values),
)  # fmt: skip
def test_an_event_of_any_shape_gives_one_line(kind: str, data: dict[str, object]) -> None:
    assert "\n" not in line(event(kind, **data))


@example({"staff_number": [], "given_name": 5})
@given(json_values)
def test_whatever_stands_for_a_holder_gives_a_text(raw: object) -> None:
    assert isinstance(person_of(raw), str)


def test_json_may_stand_anywhere() -> None:
    for arguments in (["--json", "verify"], ["verify", "--json"]):
        assert run(*arguments).exit_code == 2  # the other options are missing, not this one
        assert "--json" not in run(*arguments).stderr


def test_the_version_is_that_of_the_package() -> None:
    from cardd import __version__  # noqa: PLC0415

    assert run("--version").output == f"cardctl {__version__}\n"
    assert json.dumps(__version__)


@pytest.mark.parametrize(
    ("pin", "said"),
    [
        ({"tries_left": 2, "blocked": False}, "2 tries left"),
        ({"tries_left": 0, "blocked": True}, "blocked"),
        ({"tries_left": None, "blocked": False}, "verified by another program"),
    ],
)
def test_the_tries_of_a_pin_are_said_in_words(pin: dict[str, object], said: str) -> None:
    assert _tries(pin) == said
