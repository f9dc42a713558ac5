"""The process is killed, the disk is full, the file is damaged."""

import random
from contextlib import closing, contextmanager

import pytest

from cardd.errors import CarddError, Code, KmsUnavailable, StartCode
from cardd.kms.messages import Page
from cardd.store.opening import open_registry, place

pytestmark = pytest.mark.faults


@pytest.fixture
def url(sqlite_url):
    return sqlite_url


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
        with closing(open_registry(place(url), sealer)) as registry:
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
    assert outcome(lambda: open_registry(place(url), sealer)) is StartCode.REGISTRY_UNAVAILABLE
