"""The process is killed, the disk is full, the file is damaged."""

import os
import random
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cardd.badges.states import BadgeState
from cardd.errors import CarddError, Code, KmsUnavailable, StartCode
from cardd.kms.messages import Page
from cardd.store.opening import open_registry

pytestmark = pytest.mark.faults


@pytest.fixture
def url(sqlite_url):
    return sqlite_url


CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
from conftest import CmacSealer, Things
from dataclasses import replace
from cardd.badges.states import BadgeState
from cardd.store.opening import open_registry

things = Things()
registry = open_registry(sys.argv[1], CmacSealer())
badge = registry.badge(things.badge(1).id)
revoked = registry.put_badge(replace(badge, state=BadgeState.REVOKED, reason="lost"))
with registry.atomically():
    registry.put_badge(replace(revoked, state=BadgeState.WIPED))
    for n in range(100, 2000):  # more than the page cache keeps
        registry.add_holder(things.holder(n, groups=("g" * 2000,)))
    print("in the middle", flush=True)
    sys.stdin.read()
"""


def test_a_process_killed_in_a_transaction_leaves_all_before_and_nothing_of_it(
    peopled, url, sealer, things, sql
):
    peopled.close()
    command = [sys.executable, "-c", CHILD, url, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout.readline() == b"in the middle\n"
        finally:
            os.kill(child.pid, signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
    registry = open_registry(url, sealer)
    try:
        badge = registry.badge(things.badge(1).id)
        assert (badge.state, badge.version) == (BadgeState.REVOKED, 2)
        assert len(registry.holders(Page())[0]) == 2
        registry.put_badge(replace(badge, state=BadgeState.WIPED))
    finally:
        registry.close()
    assert sql("PRAGMA integrity_check") == [("ok",)]


def test_a_full_disk_undoes_the_whole_transaction_also_where_it_is_ignored(
    peopled, things, fill_up
):
    def careless():
        with peopled.atomically():
            peopled.add_holder(things.holder(3))
            with fill_up(), pytest.raises(KmsUnavailable):
                peopled.add_holder(big)
            # SQLite has rolled back by now: what follows must not be committed by itself.
            with pytest.raises(KmsUnavailable):
                peopled.add_holder(things.holder(4))

    big = things.holder(5, groups=("g" * 1_000_000,))
    with pytest.raises(KmsUnavailable):
        careless()
    assert [h.staff_number for h in peopled.holders(Page())[0]] == ["S00001", "S00002"]
    peopled.add_holder(big)


def test_a_full_disk_says_what_to_do_and_recovers(peopled, things, fill_up):
    big = things.holder(5, groups=("g" * 1_000_000,))
    with fill_up(), pytest.raises(KmsUnavailable, match="disk is full; free"):
        peopled.add_holder(big)
    assert peopled.holder(big.id) is None
    peopled.add_holder(big)
    assert peopled.holder(big.id) == big


def test_a_dropped_table_is_unavailable_and_not_another_error(peopled, things, sql):
    sql("DROP TABLE presence")
    with pytest.raises(KmsUnavailable) as caught:
        peopled.add_presence(things.presence(2, device="secret place"))
    assert "secret place" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert peopled.badge_and_holder(things.badge(1).uid)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_gives_documented_errors_alone(peopled, url, path, sealer, things, seed):
    peopled.close()
    chance = random.Random(seed)  # noqa: S311 - a seed makes it repeatable
    damaged = bytearray(path.read_bytes())
    for _ in range(3 ** (1 + seed % 6)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    path.write_bytes(damaged)

    def use_it():
        with closing(open_registry(url, sealer)) as registry:
            calls = (
                lambda: registry.badge_and_holder(things.badge(1).uid),
                lambda: registry.badges(Page(q="martin")),
                lambda: registry.holders(Page()),
                lambda: registry.presence("sid-1"),
                lambda: registry.add_holder(things.holder(9)),
            )
            return {result for call in calls if isinstance(result := outcome(call), Code)}

    allowed = {Code.REGISTRY_INTEGRITY, Code.KMS_UNAVAILABLE, Code.CONFLICT}
    at_start = {StartCode.REGISTRY_UNAVAILABLE, StartCode.REGISTRY_VERSION}
    result = outcome(use_it)
    assert result in at_start if isinstance(result, StartCode) else result <= allowed


def outcome(call):
    try:
        return call()
    except CarddError as error:
        return error.code


@pytest.fixture
def fill_up(peopled):
    """Give the kept connection of this thread no page more than the database has."""

    @contextmanager
    def filled():
        connection = peopled._connections._kept().connection
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        yield

    return filled


def test_a_name_in_the_schema_that_is_no_text_is_a_damaged_file(peopled, url, path, sealer):
    """The driver cannot decode SQLite's message about it."""
    peopled.close()
    path.write_bytes(path.read_bytes().replace(b"ix_badge_holder_id", b"ix\xff\xfebadge holder"))
    assert outcome(lambda: open_registry(url, sealer)) is StartCode.REGISTRY_UNAVAILABLE
