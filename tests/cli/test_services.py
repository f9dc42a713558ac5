"""`cardd` and `cardd-kms` as they are started."""

import csv
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pexpect
import pytest

from cardd.config import load
from tests.kms.kms_world import holder, key_service

pytestmark = pytest.mark.unit

PROGRAMS = Path(sys.executable).parent
PURPOSES = ("picc", "app-master", "authenticate", "transport", "registry")
PASSPHRASE = "correct horse battery staple"


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [PROGRAMS / program, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "cardd.toml"
    path.write_text(
        f"""
        [readers]
        pcsc = false
        [sockets]
        path = "{tmp_path}/cardd.sock"
        admin = "{tmp_path}/admin.sock"
        [badge]
        system_identifier = "0011223344556677"
        [kms]
        credential_file = "{tmp_path}/secret/credential"
        masters = "soft:{tmp_path}/kms/keystore.json"
        registry = "sqlite:{tmp_path}/kms/registry.db"
        audit = "{tmp_path}/kms/audit.jsonl"
        """
    )
    return path


@pytest.fixture
def without_credential(configuration: Path) -> Path:
    lines = configuration.read_text().splitlines()
    configuration.write_text("\n".join(line for line in lines if "credential_file" not in line))
    return configuration


def refused(result: subprocess.CompletedProcess[str], program: str, code: str) -> None:
    assert result.returncode == 78
    *_, last = result.stderr.splitlines()  # what the daemon logged before stands above
    assert last.startswith(f"{program}: {code}: ")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("program", ["cardd", "cardd-kms"])
def test_the_version_is_told(program: str) -> None:
    assert run(program, "--version").stdout.startswith(f"{program} 0.")


@pytest.mark.parametrize("verb", [[], ["audit"], ["jwks", "--passphrase", "x"]])
def test_wrong_usage_ends_with_2(verb: list[str]) -> None:
    assert run("cardd-kms", *verb).returncode == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[badge\n", "config_syntax"),
        ("", "config_shared_key"),
        ('surprise = 1\n[badge]\nsystem_identifier = "001122334455"\n', "config_unknown_key"),
        ('[badge]\nsystem_identifier = "00"\n', "config_invalid"),
    ],
)
@pytest.mark.parametrize("program", [("cardd",), ("cardd-kms", "init")])
def test_a_configuration_that_is_wrong_stops_with_one_line(
    tmp_path: Path, program: tuple[str, ...], text: str, code: str
) -> None:
    (tmp_path / "c.toml").write_text(text)
    result = run(*program, "--config", tmp_path / "c.toml")
    refused(result, program[0], code)
    assert result.stderr.count("\n") == 1


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    refused(run("cardd", "--config", tmp_path / "none.toml"), "cardd", "config_not_found")


def test_a_daemon_without_keys_says_so(configuration: Path) -> None:
    refused(run("cardd", "--config", configuration), "cardd", "keystore_not_found")


def test_init_makes_credential_keystore_and_registry_for_their_owner_alone(
    configuration: Path,
) -> None:
    result = run("cardd-kms", "init", "--config", configuration)
    assert result.returncode == 0, result.stderr
    folder = configuration.parent
    credential = folder / "secret" / "credential"
    assert len(credential.read_bytes()) == 32
    for path in (credential, folder / "kms/keystore.json", folder / "kms/registry.db"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(credential.parent.stat().st_mode) == 0o700
    assert credential.read_bytes().hex() not in result.stdout


def test_init_overwrites_nothing(configuration: Path) -> None:
    run("cardd-kms", "init", "--config", configuration)
    files = [path for path in configuration.parent.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    refused(run("cardd-kms", "init", "--config", configuration), "cardd-kms", "keystore_exists")
    assert {path: path.read_bytes() for path in files} == before


def test_an_init_that_fails_leaves_no_credential_behind(configuration: Path) -> None:
    run("cardd-kms", "init", "--config", configuration)
    credential = configuration.parent / "secret" / "credential"
    credential.unlink()
    refused(run("cardd-kms", "init", "--config", configuration), "cardd-kms", "keystore_exists")
    assert not credential.exists()


def test_the_public_keys_are_published_without_anything_private(configuration: Path) -> None:
    run("cardd-kms", "init", "--config", configuration)
    (key,) = json.loads(run("cardd-kms", "jwks", "--config", configuration).stdout)["keys"]
    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256")
    assert "d" not in key


def test_a_wrong_credential_opens_nothing(configuration: Path) -> None:
    run("cardd-kms", "init", "--config", configuration)
    (configuration.parent / "secret" / "credential").write_bytes(bytes(32))
    for program in (("cardd",), ("cardd-kms", "jwks")):
        result = run(*program, "--config", configuration)
        refused(result, program[0], "keystore_passphrase")


def test_an_audit_that_was_changed_is_found(configuration: Path) -> None:
    audit = configuration.parent / "kms" / "audit.jsonl"
    audit.parent.mkdir()
    audit.write_text('{"seq":1,"event":"x"}\n')
    result = run("cardd-kms", "audit", "verify", "--config", configuration)
    refused(result, "cardd-kms", "audit_damaged")


@pytest.fixture
def used(configuration: Path) -> Path:
    """The configuration of a key service that ran for a while, its checkpoints at a witness."""
    folder = configuration.parent
    text = configuration.read_text() + f'audit_witness = "file:{folder}/witness"\n'
    configuration.write_text(text + 'replica = "kms-1"\n')
    run("cardd-kms", "init", "--config", configuration)
    use(configuration, "A1")
    return configuration


def use(configuration: Path, number: str) -> None:
    with key_service(load(configuration)) as service:
        holder(service, number)


def test_an_audit_is_verified_and_what_nobody_vouches_for_is_said(used: Path) -> None:
    witness = used.parent / "witness"
    result = run("cardd-kms", "audit", "verify", "--config", used)
    assert result.returncode == 0, result.stderr
    assert "6 lines of kms-1, chain intact" in result.stdout
    assert "2 checkpoints are good" in result.stdout
    assert "covers lines 1 to 5" in result.stdout
    assert "no witness was asked" in result.stdout
    result = run("cardd-kms", "audit", "verify", "--witness", witness, "--config", used)
    assert "the witness last saw line 5" in result.stdout


def test_an_audit_is_verified_elsewhere_with_the_public_keys_alone(used: Path) -> None:
    folder = used.parent
    keys = folder / "jwks.json"
    keys.write_text(run("cardd-kms", "jwks", "--config", used).stdout)
    (folder / "secret" / "credential").unlink()
    options = ("--jwks", keys, "--witness", folder / "witness", "--config", used)
    assert "2 checkpoints are good" in run("cardd-kms", "audit", "verify", *options).stdout
    without = run("cardd-kms", "audit", "verify", "--config", used)
    assert "its checkpoints were not verified" in without.stdout
    keys.write_text("{}")
    refused(run("cardd-kms", "audit", "verify", *options), "cardd-kms", "config_invalid")


def test_an_audit_that_was_cut_is_found_with_the_witness(used: Path) -> None:
    audit, witness = used.parent / "kms" / "audit.jsonl", used.parent / "witness"
    audit.write_bytes(b"".join(audit.read_bytes().splitlines(keepends=True)[:4]))
    assert run("cardd-kms", "audit", "verify", "--config", used).returncode == 0
    result = run("cardd-kms", "audit", "verify", "--witness", witness, "--config", used)
    refused(result, "cardd-kms", "audit_damaged")
    assert "line 4" in result.stderr
    assert "the witness saw line 5" in result.stderr


def test_lines_of_the_audit_are_taken_out(used: Path) -> None:
    def exported(*options: str) -> list[str]:
        result = run("cardd-kms", "audit", "export", *options, "--config", used)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    audit = used.parent / "kms" / "audit.jsonl"
    assert exported() == audit.read_text().splitlines()
    (line,) = exported("--event", "holder.*")
    assert json.loads(line)["event"] == "holder.added"
    both = exported("--event", "holder.added", "--event", "audit.begun")
    assert [json.loads(line)["seq"] for line in both] == [1, 4]
    today = datetime.now(UTC).date()
    assert len(exported("--from", f"{today - timedelta(days=1)}", "--to", f"{today}")) == 6
    assert exported("--from", f"{today + timedelta(days=1)}") == []
    assert exported("--to", f"{today - timedelta(days=1)}") == []
    rows = list(csv.DictReader(exported("--csv", "--event", "holder.added")))
    assert [json.loads(row["facts"])["client"] for row in rows] == ["embedded"]
    wrong = run("cardd-kms", "audit", "export", "--from", "yesterday", "--config", used)
    assert wrong.returncode == 2


def test_an_old_registry_that_was_put_back_is_accepted_with_a_reason(used: Path) -> None:
    accept = ("cardd-kms", "accept-restore", "--reason", "the disk died", "--config", used)
    refused(run(*accept), "cardd-kms", "nothing_to_accept")
    registry = used.parent / "kms" / "registry.db"
    old = registry.read_bytes()
    use(used, "A2")
    registry.write_bytes(old)
    assert "cardd: registry_rolled_back: " in run("cardd", "--config", used).stderr
    rehearsed = run(*accept, "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "the registry is older" in rehearsed.stdout
    assert "cardd: registry_rolled_back: " in run("cardd", "--config", used).stderr
    accepted = run(*accept)
    assert accepted.returncode == 0, accepted.stderr
    assert "the registry is older" in accepted.stdout
    use(used, "A3")
    said = run("cardd-kms", "audit", "export", "--event", "restore.*", "--config", used).stdout
    assert json.loads(said)["facts"]["reason"] == "the disk died"
    assert run("cardd-kms", "accept-restore", "--config", used).returncode == 2


def test_without_a_terminal_no_passphrase_is_asked_for(without_credential: Path) -> None:
    result = run("cardd-kms", "init", "--config", without_credential)
    refused(result, "cardd-kms", "keystore_passphrase")
    assert not (without_credential.parent / "kms" / "keystore.json").exists()


@pytest.fixture
def terminal(without_credential: Path) -> Iterator["pexpect.spawn[str]"]:
    command = [str(PROGRAMS / "cardd-kms"), "init", "--config", str(without_credential)]
    child = pexpect.spawn(command[0], command[1:], encoding="utf-8", timeout=20)
    child.expect("Passphrase of the new keystore: ")
    yield child
    child.close()


def type_passphrase(child: "pexpect.spawn[str]", text: str) -> None:
    # getpass turns the echo off just before it reads.
    assert child.waitnoecho(10)
    child.sendline(text)


def test_a_passphrase_is_asked_for_twice_and_not_shown(
    terminal: "pexpect.spawn[str]", without_credential: Path
) -> None:
    type_passphrase(terminal, PASSPHRASE)
    terminal.expect("again: ")
    type_passphrase(terminal, PASSPHRASE)
    terminal.expect(pexpect.EOF)
    assert PASSPHRASE not in terminal.before
    terminal.wait()
    assert terminal.exitstatus == 0
    file = without_credential.parent / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    text = without_credential.read_text()
    without_credential.write_text(text.replace("[kms]", f'[kms]\npassphrase_file = "{file}"'))
    file.chmod(0o644)
    open_to_others = run("cardd-kms", "jwks", "--config", without_credential)
    assert "keystore_permissions" in open_to_others.stderr
    file.chmod(0o600)
    assert run("cardd-kms", "jwks", "--config", without_credential).returncode == 0


@pytest.mark.parametrize("typed", [["short"], [PASSPHRASE, PASSPHRASE + "x"]])
def test_a_passphrase_too_short_or_mistyped_creates_nothing(
    terminal: "pexpect.spawn[str]", without_credential: Path, typed: list[str]
) -> None:
    for text in typed:
        type_passphrase(terminal, text)
        terminal.expect(["again: ", pexpect.EOF])
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 78
    assert not (without_credential.parent / "kms" / "keystore.json").exists()


def test_the_services_run_without_click_and_rich(configuration: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['click'] = sys.modules['rich'] = None\n"
        "from cardd.cli.kms.main import main\n"
        f"assert main(['init', '--config', {str(configuration)!r}]) == 0\n"
        "import cardd.cli.cardd, cardd.daemon\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, capture_output=True)


def test_generations_are_made_promoted_and_destroyed_for_badges_or_for_blanks(
    configuration: Path,
) -> None:
    def kms(*arguments: str) -> str:
        ran = run("cardd-kms", *arguments, "--config", configuration)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def states() -> list[list[str]]:
        return [line.split()[:3] for line in kms("generation", "list").splitlines()]

    kms("init")
    first = [[purpose, "1", "current"] for purpose in PURPOSES]
    assert states() == first
    assert kms("generation", "add", "badge", "--dry-run").startswith("would make generation 2 of")
    assert states() == first
    assert kms("generation", "add", "badge").startswith("generation 2 of badge is next")
    refused(
        run("cardd-kms", "generation", "add", "badge", "--config", configuration),
        "cardd-kms",
        "conflict",
    )
    assert kms("generation", "promote", "badge").startswith("generation 2 is current when")
    assert kms("generation", "add", "transport").startswith("generation 2 of transport is next")
    assert states() == [
        ["picc", "1", "previous"],
        ["picc", "2", "current"],
        ["app-master", "1", "previous"],
        ["app-master", "2", "current"],
        ["authenticate", "1", "previous"],
        ["authenticate", "2", "current"],
        ["transport", "1", "current"],
        ["transport", "2", "next"],
        ["registry", "1", "current"],
    ]
    assert "no badge has keys" in kms("generation", "destroy", "badge", "1", "--dry-run")
    # Two operators approve that, and there is no terminal here.
    destroyed = run("cardd-kms", "generation", "destroy", "badge", "1", "--config", configuration)
    assert (destroyed.returncode, "terminal_required" in destroyed.stderr) == (1, True)
