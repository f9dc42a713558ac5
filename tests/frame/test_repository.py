"""The frame: lock files, scripts and the check that nothing names one machine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SYSTEM_PACKAGES = ROOT / "scripts" / "system-packages"


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "locks" / f"{lock}.txt").read_text()
    return {
        line.split("==")[0]: line.rstrip(" \\") for line in text.splitlines() if line[0].isalnum()
    }


def run(*command: str | Path, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=30, **settings
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(("smaller", "larger"), [("run", "pcsc"), ("pcsc", "dev")])
def test_a_larger_lock_file_contains_the_smaller_one(smaller: str, larger: str) -> None:
    assert pins(smaller).items() < pins(larger).items()


@pytest.mark.parametrize("lock", ["run", "pcsc", "dev"])
def test_every_locked_package_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "locks" / f"{lock}.txt").read_text()
    for entry in re.split(r"\n(?=\w)", text.strip()):
        assert re.fullmatch(
            r"[\w.-]+==\S+(?: ; [^\\]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+", entry
        )


def test_the_light_environment_needs_no_compiler() -> None:
    assert "pyscard" not in pins("run")
    assert "pyscard" in pins("pcsc")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check-no-addresses", tmp_path / "scripts")
    run("git", "init", "-q", cwd=tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "see https://" + "pypi" + ".org/simple"),
        ("b.sh", "pip install --index" + "-url http://mirror.example"),
        ("c.py", 'open("/' + 'work/main/x")'),
        ("d.md", "in /" + "root/.ssh/config"),
        ("locks/run.txt", "x @ https://example.org/x.whl"),
        ("e.toml", 'url = "http://mirror.intern:3141/"'),
    ],
)
def test_an_index_address_or_a_path_of_one_machine_is_found(
    repository: Path, name: str, text: str
) -> None:
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text(f"first line\n{text}\n")
    run("git", "add", name, cwd=repository)
    environment = {**os.environ, "PIP_INDEX_URL": "http://mirror.intern:3141/simple"}
    result = run("scripts/check-no-addresses", cwd=repository, env=environment)
    assert result.returncode == 1
    assert f"{name}:2: " in result.stdout


def test_a_clean_repository_passes_the_address_check(repository: Path) -> None:
    (repository / "fine.md").write_text("unix:/run/cardd/cardd.sock and /var/lib/cardd/home/x\n")
    run("git", "add", ".", cwd=repository)
    result = run("scripts/check-no-addresses", cwd=repository)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """Give a folder of programs in which nothing that cardd needs is installed."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ["bash", "dirname", "sed", "cat", "id", "env", "mktemp", "rm", "tail"]:
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    return programs


def test_what_is_missing_is_named_and_check_installs_nothing(bare_path: Path) -> None:
    result = run("/bin/bash", SYSTEM_PACKAGES, "--check", "build", env={"PATH": str(bare_path)})
    assert result.returncode == 1
    assert "gcc" in result.stderr
    assert "swig" in result.stderr
    assert "Installing" not in result.stderr


def test_root_gets_what_is_missing_and_is_told_how_to_undo_it(bare_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    calls = bare_path.parent / "calls"
    (bare_path / "apt-get").write_text(f'#!/bin/bash\necho "$@" >>{calls}\n')
    (bare_path / "apt-get").chmod(0o755)
    result = run("/bin/bash", SYSTEM_PACKAGES, "build", env={"PATH": str(bare_path)})
    assert result.returncode == 0
    assert "To undo it: apt-get remove --auto-remove " in result.stderr
    update, install = calls.read_text().splitlines()
    assert update == "-q update"
    assert install.startswith("-q install -y --no-install-recommends ")
    assert {"gcc", "swig"} <= set(install.split())


def test_an_apt_get_that_fails_is_reported_with_its_last_lines(bare_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (bare_path / "apt-get").write_text("#!/bin/bash\necho E: no route to mirror\nexit 100\n")
    (bare_path / "apt-get").chmod(0o755)
    result = run("/bin/bash", SYSTEM_PACKAGES, "build", env={"PATH": str(bare_path)})
    assert result.returncode == 1
    assert "E: no route to mirror" in result.stderr


def test_an_ordinary_user_is_told_what_root_has_to_do(bare_path: Path) -> None:
    (bare_path / "id").unlink()
    (bare_path / "id").write_text("#!/bin/bash\necho 1000\n")
    (bare_path / "id").chmod(0o755)
    (bare_path / "apt-get").write_text("#!/bin/bash\nexit 100\n")
    (bare_path / "apt-get").chmod(0o755)
    result = run("/bin/bash", SYSTEM_PACKAGES, "build", env={"PATH": str(bare_path)})
    assert result.returncode == 1
    assert "as root" in result.stderr
    assert "apt-get install --no-install-recommends" in result.stderr


def test_an_unknown_extent_shows_the_usage() -> None:
    result = run(SYSTEM_PACKAGES, "everything")
    assert result.returncode == 2
    assert "light|build|full" in result.stderr


def test_help_lists_every_target() -> None:
    result = run("make", "--no-print-directory", "help", cwd=ROOT)
    targets = {line.split()[1] for line in result.stdout.splitlines()}
    assert targets >= {"setup", "demo", "play", "test", "check", "bench", "clean", "lock", "help"}
