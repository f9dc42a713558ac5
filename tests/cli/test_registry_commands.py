"""`cardd-kms migrate` and `cardd-kms registry verify`, on what a real key service left."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardd import assembly
from cardd.cli.kms import registry as command
from cardd.cli.kms.main import arguments
from cardd.config import Config
from cardd.errors import StartCode, StartError
from cardd.kms import messages as m
from cardd.kms import rollback
from cardd.kms.masters.opening import open_keys
from cardd.kms.ports import KeyService
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import configuration, encoded, holder, key_service, tapped


@pytest.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.unit),
        pytest.param("postgres_url", marks=pytest.mark.services),
    ]
)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    config = configuration(tmp_path)
    if request.param == "sqlite":
        return config
    url = request.getfixturevalue(request.param)
    return msgspec.structs.replace(config, kms=msgspec.structs.replace(config.kms, registry=url))


@pytest.fixture
def badge() -> VirtualDesfire:
    return VirtualDesfire.factory("ev2")


@pytest.fixture
def used(config: Config, badge: VirtualDesfire) -> Config:
    """A key service that encoded a badge for somebody."""
    with key_service(config) as service:
        encoded(service, badge, holder(service).id)
    return config


def run(config: Config, *words: str) -> None:
    """Run a command as `cardd-kms` does."""
    options = arguments().parse_args(words)
    options.run(config, options)


def refused(config: Config, *words: str) -> StartError:
    with pytest.raises(StartError) as caught:
        run(config, *words)
    return caught.value


def test_there_is_nothing_to_migrate_in_a_new_registry(
    used: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run(used, "migrate")
    assert "nothing to do" in capsys.readouterr().out


def test_a_registry_goes_back_and_comes_up_and_its_badges_still_tap(
    used: Config, badge: VirtualDesfire, capsys: pytest.CaptureFixture[str]
) -> None:
    run(used, "migrate", "--to", "2")
    out = capsys.readouterr().out
    assert "schema 3 -> 2" in out
    assert ("copy of before" in out) == used.kms.registry.startswith("sqlite:")
    with pytest.raises(StartError, match=r"cardd-kms migrate") as caught, key_service(used):
        pytest.fail("it started")
    assert caught.value.code is StartCode.REGISTRY_VERSION
    run(used, "migrate", "--dry-run")
    assert "nothing was changed" in capsys.readouterr().out
    run(used, "migrate")
    assert "schema 2 -> 3" in capsys.readouterr().out
    with pytest.raises(StartError, match="accept-restore"), key_service(used):
        pytest.fail("schema 2 has no place for what tells an old registry put back")
    with open_keys(used.kms) as keys, assembly.open_marker(used, keys.masters) as marker:
        rollback.accept(marker, "it went back to schema 2", ("ada", "bob"))
    with key_service(used) as service:
        assert tapped(service, badge).sid is not None
    text = used.kms.audit.read_text()
    assert text.count('"registry.migrated"') == 2


def test_nothing_is_migrated_while_the_key_service_runs(used: Config) -> None:
    with key_service(used):
        error = refused(used, "migrate", "--to", "2")
    assert error.code is StartCode.AUDIT_UNAVAILABLE
    run(used, "migrate")


def test_nothing_is_migrated_while_another_replica_runs(used: Config, tmp_path: Path) -> None:
    if used.kms.registry.startswith("sqlite:"):
        return
    kms = msgspec.structs.replace(used.kms, audit=tmp_path / "other.jsonl", replica="other")
    with key_service(used):
        other = msgspec.structs.replace(used, kms=kms)
        assert refused(other, "migrate", "--to", "2").code is StartCode.REGISTRY_IN_USE


@pytest.fixture
def rows(used: Config) -> Iterator[Any]:
    """What a database administrator can do: run SQL on the one badge's row."""
    if used.kms.registry.startswith("sqlite:"):
        with closing(sqlite3.connect(used.kms.registry.removeprefix("sqlite:"))) as file:
            file.isolation_level = None
            yield file
        return
    import psycopg  # noqa: PLC0415 - only where it is needed

    with psycopg.connect(used.kms.registry, autocommit=True) as server:
        yield server


def revoke(service: KeyService, badge: VirtualDesfire) -> None:
    (found,) = service.badges(m.Page(q=badge.uid.hex())).items
    service.revoke_badge(found.number, "stolen")


def test_a_verification_says_what_it_looked_at(
    used: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run(used, "registry", "verify")
    out = capsys.readouterr().out
    assert " 2 of them compared with the audit, 0 faults" in out
    assert "not in them" not in out


def test_a_revocation_undone_with_an_old_row_ends_with_status_1_also_while_the_service_runs(
    used: Config, badge: VirtualDesfire, rows: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    row = rows.execute("SELECT * FROM badge").fetchone()
    mark = "?" if isinstance(rows, sqlite3.Connection) else "%s"
    with key_service(used) as service:
        revoke(service, badge)
        rows.execute("DELETE FROM badge")
        rows.execute(f"INSERT INTO badge VALUES ({', '.join([mark] * len(row))})", row)  # noqa: S608
        assert tapped(service, badge).sid is not None, "its seal is good: only the audit knows"
        with pytest.raises(SystemExit) as ended:
            run(used, "registry", "verify")
    assert ended.value.code == command.EX_FOUND
    out = capsys.readouterr().out
    assert out.startswith("old-row badge ")
    assert "as revoked: badge.revoked at" in out
    assert "1 faults" in out


def test_without_the_audit_of_every_replica_it_says_what_it_cannot_see(
    used: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kms = msgspec.structs.replace(used.kms, audit=tmp_path / "other.jsonl", replica="other")
    other = msgspec.structs.replace(used, kms=kms)
    with key_service(other) as service:
        holder(service, "A2")
    run(used, "registry", "verify")
    assert "1 people and badges are newer" in capsys.readouterr().out
    run(used, "registry", "verify", "--audit", str(used.kms.audit), "--audit", str(kms.audit))
    assert "newer" not in capsys.readouterr().out


def test_an_audit_that_was_edited_verifies_nothing(used: Config) -> None:
    used.kms.audit.write_bytes(
        used.kms.audit.read_bytes().replace(b"holder.added", b"holder.edits")
    )
    assert refused(used, "registry", "verify").code is StartCode.AUDIT_DAMAGED
