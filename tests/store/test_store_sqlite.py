"""The file: made, opened, refused."""

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite as sqlite_dialect

from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.messages import Page
from cardd.store.opening import create_registry, open_registry, place
from tests.limits import ends_soon

pytestmark = pytest.mark.unit


@pytest.fixture
def url(sqlite_url):
    return sqlite_url


FDS = Path("/proc/self/fd")


def not_started(call, *arguments) -> StartCode:
    with pytest.raises(StartError) as caught:
        call(*arguments)
    return caught.value.code


def test_its_files_are_its_owners_alone(peopled, path):
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert modes == dict.fromkeys(("registry.db", "registry.db-wal", "registry.db-shm"), 0o600)


def test_commits_are_synced_and_references_checked(registry):
    connection = registry._connections._kept().connection
    pragma = {
        name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    full = 2
    assert pragma == {
        "journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "busy_timeout": 300
    }  # fmt: skip


def test_a_missing_registry_names_the_remedy_and_is_not_made(url, path, sealer):
    with pytest.raises(StartError, match="cardd-kms init") as caught:
        open_registry(place(url), sealer)
    assert caught.value.code is StartCode.REGISTRY_NOT_FOUND
    assert not path.exists()


def test_an_existing_registry_is_not_made_anew(peopled, url, path, sealer):
    assert not_started(lambda: create_registry(place(url), sealer)) is StartCode.REGISTRY_EXISTS
    assert len(peopled.holders(Page())[0]) == 2
    assert not list(path.parent.glob(".*"))


def test_a_registry_in_a_missing_folder_is_unavailable(tmp_path, sealer):
    url = f"sqlite:{tmp_path}/none/registry.db"
    assert (
        not_started(lambda: create_registry(place(url), sealer)) is StartCode.REGISTRY_UNAVAILABLE
    )


@pytest.mark.parametrize(
    "url", ["sqlite:", "sqlite:relative.db", "sqlite:/a\0b", "mysql://x/y", "/plain", ""]
)
def test_an_address_of_another_form_is_refused(url, sealer):
    assert not_started(lambda: open_registry(place(url), sealer)) is StartCode.CONFIG_INVALID
    assert not_started(lambda: create_registry(place(url), sealer)) is StartCode.CONFIG_INVALID


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_registry_is_unavailable_and_untouched(url, path, sealer, content):
    path.write_bytes(content)
    assert not_started(lambda: open_registry(place(url), sealer)) is StartCode.REGISTRY_UNAVAILABLE
    assert not content or path.read_bytes() == content


def test_a_folder_in_its_place_is_unavailable(url, path, sealer):
    path.mkdir()
    assert not_started(lambda: open_registry(place(url), sealer)) is StartCode.REGISTRY_UNAVAILABLE


def test_a_database_of_another_program_is_unavailable(url, path, sealer, sql):
    sql("CREATE TABLE schema_version (something)")
    assert not_started(lambda: open_registry(place(url), sealer)) is StartCode.REGISTRY_UNAVAILABLE


def test_a_registry_of_an_older_cardd_is_refused_with_what_to_do(registry, url, sealer, sql):
    sql("UPDATE schema_version SET version = 1")
    with pytest.raises(StartError, match=r"cannot be migrated: .*cardd-kms init") as caught:
        open_registry(place(url), sealer)
    assert caught.value.code is StartCode.REGISTRY_VERSION
    assert caught.value.facts == {"found": 1, "needed": 3}


def test_the_look_up_by_national_identifier_uses_its_index(registry, sql):
    query = registry._holders_by_national_id.deciding.compile(dialect=sqlite_dialect.dialect())
    plan = [step for *_, step in sql(f"EXPLAIN QUERY PLAN {query}", "x")]
    assert any(step.startswith("SEARCH") for step in plan)
    assert not any(step.startswith("SCAN") for step in plan), plan


@pytest.mark.parametrize("version", [0, 1, 2, 4, 999])
def test_a_schema_of_another_version_is_refused(registry, url, sealer, sql, version):
    sql("UPDATE schema_version SET version = ?", version)
    assert not_started(lambda: open_registry(place(url), sealer)) is StartCode.REGISTRY_VERSION
    with pytest.raises(KmsUnavailable):
        registry.ping()


def test_a_registry_of_another_keystore_is_refused_at_the_start(registry, url, sealer):
    sealer.site = b"t"
    assert not_started(lambda: open_registry(place(url), sealer)) is StartCode.REGISTRY_UNAVAILABLE


def test_masters_that_do_not_answer_do_not_keep_it_from_opening(registry, url, sealer):
    sealer.answers = False
    open_registry(place(url), sealer).close()


def test_a_registry_moved_away_while_in_use_is_unavailable(registry, path):
    registry.ping()
    moved = path.rename(path.with_name("moved"))
    with pytest.raises(KmsUnavailable):
        registry.ping()
    path.write_bytes(moved.read_bytes())
    with pytest.raises(KmsUnavailable):
        registry.ping()


def test_a_registry_deleted_while_in_use_is_not_made_anew(registry, path):
    outcomes = []

    def look():
        with pytest.raises(KmsUnavailable):
            registry.holder("x")
        outcomes.append("unavailable")

    for file in list(path.parent.iterdir()):
        file.unlink()
    run_all([threading.Thread(target=look)])
    assert outcomes == ["unavailable"]
    assert not path.exists()


def test_a_path_with_the_special_characters_of_addresses_is_only_a_path(tmp_path, sealer):
    path = tmp_path / "a ?mode=memory#%41&é.db"
    create_registry(place(f"sqlite:{path}"), sealer).close()
    assert path.exists()


def test_a_locked_database_is_unavailable_at_once_and_recovers(peopled, path, things):
    holder = things.holder(3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ends_soon():
            with pytest.raises(KmsUnavailable, match="locked") as caught:
                peopled.add_holder(holder)
            with pytest.raises(KmsUnavailable):
                peopled.atomically().__enter__()
        assert "S00003" not in repr((str(caught.value), caught.value.__cause__))
        assert peopled.badge_and_holder(things.badge(1).uid), "a look-up needs no lock"
        other.execute("ROLLBACK")
    peopled.add_holder(holder)
    with peopled.atomically():
        assert peopled.holder(holder.id) == holder


def test_threads_that_write_at_once_wait_for_each_other_and_all_succeed(peopled, things):
    """SQLite itself would refuse them: here it does not wait at all."""

    def write(first):
        peopled._connections._kept().connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        for n in range(first, first + 40):
            with peopled.atomically():
                peopled.badge_and_holder(things.badge(1).uid)
                peopled.add_presence(things.presence(n))

    run_all([threading.Thread(target=write, args=(k * 100,)) for k in range(1, 9)])
    assert len(peopled.open_presences_of_badge(things.badge(1).id)) == 1 + 8 * 40


def test_the_connection_of_a_thread_ends_with_it(registry, path):
    """SQLite keeps the descriptors of closed connections, and uses them for the next ones."""

    def descriptors():
        return sum(link.is_symlink() and link.readlink() == path for link in FDS.iterdir())

    def after_another_thread():
        run_all([threading.Thread(target=registry.ping)])
        return descriptors()

    registry.ping()
    first = after_another_thread()
    assert [after_another_thread() for _ in range(5)] == [first] * 5
    assert len(registry._connections._all) == 1
    registry.close()
    assert descriptors() == 0


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
