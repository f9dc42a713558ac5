"""A registry of schema 2 with people in it comes up to this program's schema, and goes back."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import inspect, text

from cardd.badges.states import BadgeState
from cardd.errors import Code, Refused, StartCode, StartError
from cardd.kms.messages import Page
from cardd.kms.ports import Purpose, StoredKey
from cardd.store import tables
from cardd.store.migrations.running import migrate
from cardd.store.migrations.versions import schema_2
from cardd.store.opening import create_registry, open_registry, place

VECTOR = Path(__file__).parents[1] / "vectors" / "registry_schema_2.sql"
NEWEST = tables.SCHEMA_VERSION


@pytest.fixture
def old(url, sealer):
    """A registry that a cardd of schema 2 wrote; on PostgreSQL its rows, in tables of schema 2."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:"))) as file:
            file.executescript(VECTOR.read_text())
        return place(url)
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(VECTOR.read_text())
        carry_over(source, place(url), sealer)
    return place(url)


def carry_over(source, where, sealer):
    """Copy the rows of an SQLite database into tables of schema 2 on PostgreSQL."""
    database = where.maintain()
    with database.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        with Operations.context(MigrationContext.configure(connection)):
            schema_2.upgrade(sealer)
        for name in ("schema_version", "holder", "badge", "holder_national_id", "presence",
                     "journal"):  # fmt: skip
            rows = source.execute(f"SELECT * FROM {name}")  # noqa: S608
            columns = [column for column, *_ in rows.description]
            values = ", ".join(f":{column}" for column in columns)
            insertion = text(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({values})")  # noqa: S608
            for row in rows.fetchall():
                connection.execute(insertion, dict(zip(columns, row, strict=True)))
        connection.exec_driver_sql("COMMIT")
    database.engine.dispose()


def not_migrated(*arguments, **options) -> StartCode:
    with pytest.raises(StartError) as caught:
        migrate(*arguments, **options)
    return caught.value.code


def everything(registry):
    """Return what a registry of the vector holds, each row checked against its MAC."""
    people = registry.holders(Page())[0]
    return [
        people,
        registry.badges(Page())[0],
        registry.holders_by_national_id("810001234567"),
        registry.presence("sid-1"),
        [registry.journal(b"\x04" + n.to_bytes(6, "big")) for n in (3, 4)],
    ]


def test_the_service_refuses_an_older_registry_and_says_what_to_run(old, url, sealer):
    with pytest.raises(StartError, match=r"stop every key service.*cardd-kms migrate") as caught:
        open_registry(place(url), sealer)
    assert caught.value.code is StartCode.REGISTRY_VERSION
    assert caught.value.facts == {"found": 2, "needed": NEWEST}


def test_a_registry_comes_up_with_its_data_and_works(old, url, sealer, things):
    done = migrate(old, sealer)
    assert (done.found, done.reached, done.steps) == (2, NEWEST, tuple(range(2, NEWEST + 1)))
    with closing(open_registry(place(url), sealer)) as registry:
        people, badges, found, presence, journals = everything(registry)
        assert [person.given_name for person in people] == ["Zoé", "Anne"]
        assert found == [people[0]]
        assert [badge.state for badge, _ in badges] == [BadgeState.ACTIVE, BadgeState.REVOKED]
        assert presence == things.presence()
        assert journals == [things.journal(n, version=2) for n in (3, 4)]
        registry.put_journal(replace(journals[0], leased_until=5))
        key = StoredKey(badges[0][0].id, Purpose.PICC, 1, b"sealed")
        registry.add_stored_key(key)
        assert registry.stored_keys(key.badge_id) == [key]
        assert len(registry.identity().id) == 16


def test_up_and_down_and_up_again_keep_every_row(old, url, sealer):
    migrate(old, sealer)
    with closing(open_registry(place(url), sealer)) as registry:
        before = everything(registry)
    down = migrate(old, sealer, to=2)
    assert down.steps == tuple(range(NEWEST, 1, -1))
    with pytest.raises(StartError):
        open_registry(place(url), sealer)
    migrate(old, sealer)
    with closing(open_registry(place(url), sealer)) as registry:
        assert everything(registry) == before


def test_what_is_migrated_has_the_tables_of_what_is_made_anew(old, sealer):
    migrate(old, sealer)
    with old.maintain().engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


@pytest.mark.unit
def test_the_frozen_tables_are_those_that_schema_2_had(tmp_path, sealer):
    path = tmp_path / "frozen.db"
    path.touch()
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(VECTOR.read_text())
        expected = layout(source)
    engine = place(f"sqlite:{path}").open().engine
    with engine.connect() as made, Operations.context(MigrationContext.configure(made)):
        schema_2.upgrade(sealer)
    with closing(sqlite3.connect(path)) as made:
        assert layout(made) == expected


def layout(file):
    statements = file.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: sorted(" ".join(sql.split()).split(",")) for name, sql in statements}


def test_a_new_registry_is_stamped_and_has_nothing_to_migrate(url, sealer, sql):
    create_registry(place(url), sealer).close()
    assert sql("SELECT version_num FROM alembic_version") == [(str(NEWEST),)]
    done = migrate(place(url), sealer)
    assert (done.found, done.steps, done.backup) == (NEWEST, (), None)


def test_a_dry_run_does_it_all_and_leaves_nothing(old, url, sealer, sql, path):
    before = [sql(f"SELECT * FROM {name} ORDER BY 1") for name in ("journal", "schema_version")]  # noqa: S608
    done = migrate(old, sealer, dry_run=True, before_commit=pytest.fail)
    assert (done.reached, done.backup) == (NEWEST, None)
    after = [sql(f"SELECT * FROM {name} ORDER BY 1") for name in ("journal", "schema_version")]  # noqa: S608
    assert after == before
    with old.maintain().engine.connect() as connection:
        assert not inspect(connection).has_table("stored_key")
    assert not list(path.parent.glob("registry.db.schema*"))


def test_a_row_that_was_altered_ends_it_and_changes_nothing(old, url, sealer, sql):
    sql("UPDATE journal SET step = 'done' WHERE badge_id LIKE '%3'")
    with pytest.raises(Refused) as caught:
        migrate(old, sealer)
    assert caught.value.code is Code.REGISTRY_INTEGRITY
    assert sql("SELECT version FROM schema_version") == [(2,)]
    sql("UPDATE journal SET step = 'begun' WHERE badge_id LIKE '%3'")
    migrate(old, sealer)


def test_a_failure_before_the_commit_changes_nothing(old, sealer, sql):
    def refuse(found, reached):
        assert (found, reached) == (2, NEWEST)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        migrate(old, sealer, before_commit=refuse)
    assert sql("SELECT version FROM schema_version") == [(2,)]


def test_going_back_never_loses_the_keys_of_badges(old, url, sealer):
    migrate(old, sealer)
    with closing(open_registry(place(url), sealer)) as registry:
        registry.add_stored_key(StoredKey("a" * 32, Purpose.PICC, 1, b"sealed"))
    assert not_migrated(old, sealer, to=2) is StartCode.REGISTRY_VERSION
    open_registry(place(url), sealer).close()


@pytest.mark.parametrize("version", [0, 1, NEWEST + 1])
def test_a_version_that_no_revision_leads_to_is_refused(old, sealer, version):
    assert not_migrated(old, sealer, to=version) is StartCode.REGISTRY_VERSION


def test_another_keystore_migrates_nothing(old, sealer):
    sealer.site = b"t"
    assert not_migrated(old, sealer) is StartCode.REGISTRY_UNAVAILABLE


def test_notes_that_contradict_each_other_are_refused(old, sealer, sql):
    migrate(old, sealer)
    sql("UPDATE alembic_version SET version_num = '2'")
    assert not_migrated(old, sealer, to=2) is StartCode.REGISTRY_VERSION


@pytest.mark.services
def test_a_server_that_cannot_be_reached_is_said(tmp_path, sealer):
    where = place(f"postgresql:///none?host={tmp_path}")
    assert not_migrated(where, sealer) is StartCode.REGISTRY_UNAVAILABLE


@pytest.mark.services
def test_a_key_service_that_runs_keeps_the_migration_away(postgres_url, sealer):
    create_registry(place(postgres_url), sealer).close()
    with psycopg.connect(postgres_url) as service:
        service.execute("SELECT pg_advisory_lock_shared(%s)", (0x6361726464,))
        assert not_migrated(place(postgres_url), sealer) is StartCode.REGISTRY_IN_USE


@pytest.mark.unit
def test_a_copy_is_kept_beside_the_file_first(sqlite_url, sealer, path):
    with closing(sqlite3.connect(path)) as file:
        file.executescript(VECTOR.read_text())
    backup = migrate(place(sqlite_url), sealer).backup
    assert backup.parent == path.parent
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(backup)) as copy:
        assert copy.execute("SELECT version FROM schema_version").fetchall() == [(2,)]
    path.unlink()
    backup.rename(path)
    migrate(place(sqlite_url), sealer)
    open_registry(place(sqlite_url), sealer).close()


@pytest.mark.unit
def test_alembic_is_not_loaded_to_use_a_registry():
    program = (
        "import sys, cardd.store.opening, cardd.store.postgres, cardd.assembly\n"
        "sys.exit(any(name.split('.')[0] in ('alembic', 'mako') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0
