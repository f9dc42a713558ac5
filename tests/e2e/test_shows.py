"""`make demo` and `make play`, whole."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def show(script: str, *options: str, keys: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / script, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        input=keys,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )


def check_demo(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("\N{CHECK MARK}") == 7
    assert "badge_revoked" in result.stdout
    assert "The assertion is valid." in result.stdout
    assert result.stderr == ""
    found = re.match(r"cardd in (\S+), on", result.stdout)
    assert found
    assert not Path(found[1]).exists()


@pytest.mark.e2e
def test_the_light_demo_shows_everything() -> None:
    result = show("demo", "--light")
    check_demo(result)
    assert "the built-in virtual reader" in result.stdout


@pytest.mark.pcscd
def test_the_demo_shows_everything_on_a_pcscd_of_its_own() -> None:
    result = show("demo")
    check_demo(result)
    assert "Virtual PCD 00 00" in result.stdout


@pytest.mark.e2e
def test_in_play_every_key_does_what_it_says() -> None:
    result = show("play", "--light", keys="1k1kp2r2e?q")
    assert result.returncode == 0, result.stdout + result.stderr
    outcomes = re.findall(r"\| [\d:]+ +tap +desk +(?:refused )?(\w+)", result.stdout)
    assert outcomes == [
        "succeeded",
        "kms_unavailable",
        "tap_too_short",
        "succeeded",
        "badge_revoked",
    ]
    assert "curl -N --unix-socket" in result.stdout
