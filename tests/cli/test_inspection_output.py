"""How an inspection reads on a terminal, whatever the card says of itself."""

from typing import Any

import pytest

from cardd.cli.cardctl.inspections import show
from cardd.client import Inspection

pytestmark = pytest.mark.unit

PICC: dict[str, Any] = {"aid": "000000"}
CARD: dict[str, Any] = {
    "uid": "04112233445566",
    "uid_kind": "double",
    "ats": None,
    "product": None,
    "scheme": None,
    "hardware": None,
    "storage_bytes": None,
    "batch": None,
    "production": None,
    "told_uid": None,
    "originality": {"state": "not-supported", "key": None, "test": False},
    "picc": PICC,
    "free_bytes": None,
    "listed": None,
    "applications": [],
    "refused": [],
}
FINDING = {
    "code": "x",
    "severity": "critical",
    "sentence": "It is\x1b[2J bad.",
    "advice": "Do\nsomething.",
}
OPEN = {
    "change_key": 0,
    "configuration_changeable": True,
    "free_create_delete": True,
    "free_directory": True,
    "master_key_changeable": True,
}


def shown(capsys: pytest.CaptureFixture[str], *findings: dict[str, Any], **card: Any) -> list[str]:
    raw = {"card": {**CARD, **card}, "badge": None, "unavailable": None, "findings": findings}
    show(Inspection.parse(raw))
    return capsys.readouterr().out.splitlines()


def test_a_card_that_tells_nothing_is_said_to_tell_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown(capsys)
    assert "card     not a DESFire that is known" in lines
    assert "UID      04112233445566 (7 bytes, fixed)" in lines
    assert "Nothing to say about it." in lines
    assert any("its applications are not listed without its key" in line for line in lines)


def test_what_comes_from_a_card_never_drives_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown(capsys, FINDING)
    assert "!! It is\ufffd[2J bad." in lines
    assert "   Do\ufffdsomething." in lines
    assert "\x1b" not in "".join(lines)


def test_a_card_of_between_two_sizes_says_both(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, product="ev2", storage_bytes=[4096, 8192])
    assert "card     DESFire EV2, 4 KB to 8 KB" in lines


def test_a_wiped_badge_whose_key_lists_nothing_is_not_said_to_hide_anything(
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = {"number": "1K050HDV", "state": "wiped", "reason": None, "expires_at": None}
    card: dict[str, Any] = {"picc": PICC, "application": None, "listed": []}
    raw: dict[str, Any] = {
        "card": CARD, "unavailable": None, "findings": [],
        "badge": {"registry": registry, "holder": None, "card": card},
    }  # fmt: skip
    show(Inspection.parse(raw))
    assert "not listed" not in capsys.readouterr().out


def test_a_virtual_card_is_not_called_genuine(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, originality={"state": "genuine", "key": "k", "test": True})
    assert any("a virtual card" in line for line in lines)


def test_applications_and_files_are_shown_with_who_may_what(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [
        {"number": 1},
        {"number": 2, "type": "linear", "mode": "plain", "size_bytes": 16, "records": 5,
         "read": "free", "write": 3, "read_write": "never", "change": 0},
        {"number": 4, "type": "standard", "mode": "full", "size_bytes": 32,
         "read": 1, "write": "never", "read_write": "never", "change": 0,
         "additional": [{"read": "free", "write": 2, "read_write": "never", "change": "never"}]},
    ]  # fmt: skip
    application = {
        "aid": "123456", "df_name": "D276", "settings": OPEN, "key_count": 3, "key_type": "3tdea",
        "key_versions": [0, 1, 2], "files": files,
    }  # fmt: skip
    text = "\n".join(shown(capsys, listed=["123456", "654321"], applications=[application]))
    assert "application 123456; 3 3K3DES keys; of version 0 and 1 and 2; name D276; " in text
    assert "open: anybody may list and create and delete" in text
    assert "file 1: its settings cannot be read" in text
    assert (
        "file 2: linear, 16 bytes, at most 5 records, in clear; "
        "read: anybody, write: key 3, change: key 0"
    ) in text
    assert "read: key 1, change: key 0; or read: anybody, write: key 2" in text
    assert "application 654321; settings not told without its key" in text
