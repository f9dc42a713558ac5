"""`badge.keys = "stored"`: random keys, stored before a card has them, and of one badge each."""

import dataclasses
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cardd.badges.states import RevocationReason
from cardd.config import Config
from cardd.errors import Code, KmsUnavailable, Refused, StartCode, StartError
from cardd.kms import messages as m
from cardd.kms.ports import BADGE_PURPOSES, KeyService, Purpose, StoredKey
from cardd.kms.stored_keys import StoredKeys
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    Cut,
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    key_service,
    new_generation,
    refusal,
    rekeyed,
    tapped,
    wiped,
)

pytestmark = pytest.mark.unit

CHANGE_KEY = 0xC4
SET_CONFIGURATION = 0x5C
OWN = {purpose.value for purpose in BADGE_PURPOSES}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configuration(tmp_path, keys="stored")


@pytest.fixture
def service(config: Config) -> Iterator[KeyService]:
    with key_service(config, MovedClock()) as opened:
        yield opened


def sql(config: Config, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    path = config.kms.registry.removeprefix("sqlite:")
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute(statement, parameters).fetchall()


def names(config: Config) -> set[tuple[str, int]]:
    return set(sql(config, "SELECT purpose, generation FROM stored_key"))


def source(service: KeyService) -> StoredKeys:
    keys = service._core.keys  # type: ignore[attr-defined]
    assert isinstance(keys, StoredKeys)
    return keys


def keys_on(badge: VirtualDesfire) -> list[str]:
    state = badge.to_json()
    (application,) = state["applications"]
    return [state["master"]["value"], *(key["value"] for key in application["keys"])]


def raised(service: KeyService, badge: VirtualDesfire, procedure: m.Procedure) -> Refused:
    with pytest.raises(Refused) as caught:
        Relay(service, badge).run(procedure)
    return caught.value


def test_a_badge_has_random_keys_and_the_registry_has_them_sealed(
    service: KeyService, config: Config
) -> None:
    badges = [VirtualDesfire.factory(product) for product in ("ev1", "ev2")]
    for badge in badges:
        encoded(service, badge)
    keys = [key for badge in badges for key in keys_on(badge)]
    assert len(set(keys)) == 6
    sealed = [row[0] for row in sql(config, "SELECT sealed FROM stored_key")]
    assert len(sealed) == 6
    files = b"".join(path.read_bytes() for path in Path(config.kms.audit).parent.glob("*.*"))
    for key in keys:
        assert all(bytes.fromhex(key) not in row for row in sealed)
        assert bytes.fromhex(key) not in files
        assert key.encode() not in files.lower()


def test_the_same_blank_encoded_again_gets_other_keys(service: KeyService, config: Config) -> None:
    badge = VirtualDesfire.factory("ev2")
    first = encoded(service, badge)
    before = keys_on(badge)
    service.revoke_badge(first.badge, RevocationReason.RETURNED.value)
    wiped(service, badge)
    assert names(config) == {("transport", 1)}
    encoded(service, badge)
    assert not set(before) & set(keys_on(badge))
    assert names(config) == {(purpose, 1) for purpose in OWN}


def test_a_rekeyed_badge_leaves_no_copy_of_its_old_keys(config: Config) -> None:
    badge = VirtualDesfire.factory("ev2")
    with key_service(config, MovedClock()) as service:
        encoded(service, badge, holder(service).id)
    before = keys_on(badge)
    new_generation(config)
    with key_service(config, MovedClock()) as service:
        relay = Relay(service, badge)
        with pytest.raises(Cut):
            relay.run(m.Rekey(badge.uid), cut_at=12, executed=True)
        assert names(config) == {(purpose, each) for purpose in OWN for each in (1, 2)}
        rekeyed(service, badge)
        assert names(config) == {(purpose, 2) for purpose in OWN}
        assert not set(before) & set(keys_on(badge))
        assert tapped(service, badge).holder.staff_number == "A1"


@pytest.mark.parametrize("blanks", ["factory", "transport"])
def test_every_key_is_in_the_registry_before_the_card_is_changed(
    tmp_path: Path, blanks: str
) -> None:
    config = configuration(tmp_path, blanks, keys="stored")
    badge = VirtualDesfire.factory("ev2")
    with key_service(config, MovedClock()) as service:
        procedures: list[m.Procedure] = [m.Encode(badge.uid)]
        if blanks == "transport":
            procedures.insert(0, m.Prepare(badge.uid))
        for procedure in procedures:
            expected = {("transport", 1)}
            if isinstance(procedure, m.Encode):
                expected |= {(purpose, 1) for purpose in OWN}
            badge.reset()
            changed = False
            step: m.Step | m.Outcome = service.begin(procedure)
            while isinstance(step, m.Step):
                if any(c[1] in {CHANGE_KEY, SET_CONFIGURATION} for c in step.commands):
                    changed = True
                    assert names(config) == expected
                elif not changed and procedure is procedures[0]:
                    assert names(config) == set()
                answers = tuple(badge.transmit(command) for command in step.commands)
                step = service.next(step.handle, answers)
            assert changed


def test_a_stored_key_moved_to_another_badges_row_is_found(
    service: KeyService, config: Config
) -> None:
    mine, theirs = VirtualDesfire.factory("ev2"), VirtualDesfire.factory("ev2")
    first = encoded(service, mine, holder(service).id)
    second = encoded(service, theirs, holder(service, "B2").id)
    sql(
        config,
        "UPDATE stored_key SET (sealed, mac_generation, mac) = (SELECT sealed, mac_generation, mac "
        "FROM stored_key WHERE badge_id = ? AND purpose = 'authenticate') "
        "WHERE badge_id = ? AND purpose = 'authenticate'",
        first.badge,
        second.badge,
    )
    refused = raised(service, theirs, m.Tap(theirs.uid))
    assert refused.code is Code.REGISTRY_INTEGRITY
    assert refused.facts == {
        "table": "stored_key",
        "key": second.badge,
        "purpose": "authenticate",
    }
    assert "moved here from another badge's row" in str(refused)
    tapped(service, mine)


def test_a_stored_key_that_was_taken_away_is_missed_with_its_own_message(
    service: KeyService, config: Config
) -> None:
    badge = VirtualDesfire.factory("ev1")
    encoded(service, badge, holder(service).id)
    sql(config, "DELETE FROM stored_key WHERE purpose = 'authenticate'")
    refused = raised(service, badge, m.Tap(badge.uid))
    assert refused.code is Code.REGISTRY_INTEGRITY
    assert "taken away" in str(refused)
    assert "moved" not in str(refused)


@pytest.mark.parametrize("what", ["badge", "purpose", "generation", "version", "bytes", "length"])
def test_a_key_is_sealed_for_one_place_also_where_the_rows_own_mac_is_right(
    service: KeyService, what: str
) -> None:
    """Who can compute the MACs of rows, and cannot open what is sealed, cannot move a key."""
    badges = [VirtualDesfire.factory("ev2") for _ in range(2)]
    ids = [
        encoded(service, badge, holder(service, f"S{n}").id).badge for n, badge in enumerate(badges)
    ]
    keys = source(service)
    registry, rows = keys.registry, {}
    for row in registry.stored_keys(ids[0]) + registry.stored_keys(ids[1]):
        rows[row.badge_id, row.purpose] = row
    target = rows[ids[0], Purpose.AUTHENTICATE]
    given = {
        "badge": rows[ids[1], Purpose.AUTHENTICATE].sealed,
        "purpose": rows[ids[0], Purpose.PICC].sealed,
        "bytes": target.sealed[:-1] + bytes((target.sealed[-1] ^ 1,)),
        "length": keys.masters.seal(bytes(15), b""),
    }.get(what, target.sealed)
    registry.drop_stored_key(target)
    generation = 2 if what == "generation" else 1
    version = 2 if what == "version" else 1
    registry.add_stored_key(StoredKey(ids[0], target.purpose, generation, given, version))
    badge = registry.badge(ids[0])
    assert badge is not None
    if generation == 2:
        registry.put_badge(dataclasses.replace(badge, generation=2))
    assert refusal(service, badges[0], m.Tap(badges[0].uid)) is Code.REGISTRY_INTEGRITY
    tapped(service, badges[1])


def test_masters_that_do_not_answer_are_no_altered_row(
    service: KeyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge, holder(service).id)
    keys = source(service)
    row = keys.registry.badge_by_uid(badge.uid)
    assert row is not None

    class Away:
        def __getattr__(self, name: str) -> Any:
            raise KmsUnavailable("the token is away")

    with pytest.raises(KmsUnavailable, match="away"):
        StoredKeys(Away(), keys.registry).key(Purpose.PICC, row)  # type: ignore[arg-type]


def test_a_row_of_an_earlier_life_that_was_put_back_does_not_decide_the_next_keys(
    service: KeyService, config: Config
) -> None:
    badge = VirtualDesfire.factory("ev2")
    first = encoded(service, badge)
    old_keys = keys_on(badge)
    rows = sql(config, "SELECT * FROM stored_key")
    service.revoke_badge(first.badge, RevocationReason.LOST.value)
    wiped(service, badge)
    for row in rows:
        sql(config, f"INSERT INTO stored_key VALUES ({','.join('?' * len(row))})", *row)  # noqa: S608
    encoded(service, badge)
    assert not set(old_keys) & set(keys_on(badge))


def test_a_registry_of_one_mode_is_refused_in_the_other(tmp_path: Path) -> None:
    with key_service(configuration(tmp_path, keys="stored"), MovedClock()):
        pass
    with pytest.raises(StartError) as caught, key_service(configuration(tmp_path), MovedClock()):
        pass
    assert caught.value.code is StartCode.CONFIG_INVALID
    assert "badge.keys" in str(caught.value)
