"""A key ceremony whose masters are made in a SoftHSM2 token, and brought in again from paper."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.ceremony_people import Ceremony, People
from tests.services.fixtures import Token

pytestmark = pytest.mark.services

PROGRAM = Path(sys.executable).parent / "cardd-kms"


@pytest.fixture
def configuration(tmp_path: Path, token: Token) -> Path:
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text(token.pin + "\n")
    path = tmp_path / "cardd.toml"
    path.write_text(
        f"""
        [badge]
        system_identifier = "0011223344556677"
        [kms]
        masters = "pkcs11:token={token.label}?module-path={token.module}"
        pin_file = "{pin}"
        registry = "sqlite:{tmp_path}/registry.db"
        audit = "{tmp_path}/audit.jsonl"
        """
    )
    return path


def held(people: People, configuration: Path, *arguments: str) -> str:
    ceremony = Ceremony(people, PROGRAM, [*arguments, "--config", configuration])
    ceremony.answer()
    ended = ceremony.end()
    screen = "\n".join(people.screen.lines)
    assert ended == (0, None), screen
    for secret in people.secrets():
        assert secret not in people.screen.everywhere
        assert secret not in people.screen.main_seen
    return screen


def test_the_parts_of_a_master_on_paper_are_its_backup(configuration: Path) -> None:
    people = People()
    assert held(people, configuration, "ceremony", "generate", "anne", "bruno").count("KCV ") == 5
    made = held(people, configuration, "ceremony", "components", "transport")
    people.key_kcv = made.split("parts: KCV ")[1].split()[0]
    assert f"transport generation 2 is next. KCV {people.key_kcv}" in made
    held(people, configuration, "generation", "destroy", "transport", "2")
    people.bringing = list(people.papers)
    again = held(people, configuration, "ceremony", "components", "transport", "--enter")
    assert f"transport generation 2 is next. KCV {people.key_kcv}" in again
    held(people, configuration, "generation", "promote", "transport")
    listed = held(people, configuration, "generation", "list")
    assert f"transport     2  current   KCV {people.key_kcv}" in listed


def test_a_token_has_no_shares(configuration: Path) -> None:
    held(People(), configuration, "ceremony", "generate", "anne", "bruno")
    for command in (("ceremony", "shares"), ("ceremony", "drill"), ("slot", "list")):
        ended = subprocess.run(
            [PROGRAM, *command, "--config", configuration],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert ended.returncode == 78
        assert ended.stderr.startswith("cardd-kms: config_invalid: ")
        assert "is no keystore" in ended.stderr
