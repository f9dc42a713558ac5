"""What is counted of badges: which generation they need, which are dormant, whose holder leaves."""

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardd.badges.model import HolderStatus
from cardd.cli.kms.room import open_rows
from cardd.config import Config
from cardd.errors import Code, Refused
from cardd.kms import generations, key_use
from cardd.kms import messages as m
from cardd.kms.key_use import KeyUse
from cardd.kms.masters.opening import open_keys, open_master_keys
from cardd.kms.ports import BADGE_PURPOSES, KeyState, Masters, Registry
from cardd.kms.report import DAY_S, Report, make_report
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
    rekeyed,
    tapped,
    wiped,
)

pytestmark = pytest.mark.unit


@contextmanager
def rows(config: Config) -> Iterator[tuple[Registry, Masters]]:
    with open_keys(config.kms) as keys, open_rows(config, keys.masters) as registry:
        yield registry, keys.masters


def use(config: Config, generation: int, group: str = "badge") -> KeyUse:
    with rows(config) as (registry, masters):
        return key_use.count(registry, masters, group, generation)


def refused(found: KeyUse, generation: int) -> str:
    with pytest.raises(Refused) as caught:
        key_use.require_free(found, generation)
    assert caught.value.code is Code.CONFLICT
    return str(caught.value)


def report(config: Config, now: int) -> Report:
    with rows(config) as (registry, _):
        return make_report(registry, now, dormant_days=90, leaving_days=30)


def test_a_generation_is_needed_until_the_last_badge_was_rekeyed_or_wiped(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    one, two, lost = (VirtualDesfire.factory("ev2") for _ in range(3))
    with key_service(config, MovedClock()) as service:
        for badge in (one, two, lost):
            encoded(service, badge)
    assert new_generation(config) == 2
    with key_service(config, MovedClock()) as service:
        rekeyed(service, one)
        assert use(config, 2).badges == 1
        found = use(config, 1)
        assert (found.badges, found.revoked) == (2, 0)
        assert f"2 badges still have keys of generation 1 ({found.numbers[0]}" in refused(found, 1)
        for position in itertools.count():
            # Cut ever later, until its keys may be of either generation.
            with pytest.raises(Cut):
                Relay(service, two).run(m.Rekey(uid=two.uid), cut_at=position, executed=True)
            if use(config, 2).badges == 2:
                break
        assert use(config, 1).badges == 2
        service.revoke_badge(service.badges(m.Page(q=lost.uid.hex())).items[0].number, "lost")
        found = use(config, 1)
        assert (found.badges, found.revoked) == (1, 1)
        rekeyed(service, two)
        found = use(config, 1)
        assert (found.badges, found.revoked) == (0, 1)
        key_use.require_free(found, 1)
        wiped(service, lost)
        assert use(config, 1).revoked == 0


def test_a_prepared_blank_needs_its_transport_generation(tmp_path: Path) -> None:
    config = configuration(tmp_path, blanks="transport")
    blank = VirtualDesfire.factory("ev2")
    with key_service(config, MovedClock()) as service:
        Relay(service, blank).run(m.Prepare(uid=blank.uid))
        assert use(config, 1, "transport").badges == 1
        assert use(config, 1).badges == 0  # it has no application yet
        encoded(service, blank)
        assert use(config, 1, "transport").badges == 0
        assert use(config, 1).badges == 1


def test_a_master_of_the_registry_is_never_known_to_be_free(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with key_service(config, MovedClock()), pytest.raises(Refused) as caught:
        use(config, 1, "registry")
    assert caught.value.code is Code.NOT_SUPPORTED


def test_a_generation_that_broke_off_is_finished_and_not_begun_again(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with key_service(config, MovedClock()):
        pass
    with open_master_keys(config.kms) as keys:
        keys.generate(BADGE_PURPOSES[0], 2)
        with pytest.raises(Refused) as caught:
            generations.promote(keys, "badge")
        assert caught.value.code is Code.CONFLICT
        assert generations.add(keys, "badge") == (2, BADGE_PURPOSES[1:])
        keys.promote(BADGE_PURPOSES[0], 2)
        assert generations.promote(keys, "badge") == 2
        for of in generations.states_of(keys, "badge").values():
            assert of == {1: KeyState.PREVIOUS, 2: KeyState.CURRENT}
        for wrong, code in ((2, Code.CONFLICT), (3, Code.NOT_FOUND)):
            with pytest.raises(Refused) as caught:
                generations.to_destroy(generations.states_of(keys, "badge"), wrong)
            assert caught.value.code is code


def test_the_report_counts_badges_and_names_those_to_look_at(tmp_path: Path) -> None:
    config, clock = configuration(tmp_path), MovedClock()
    now = int(clock.time)
    used, unused, leaving = (VirtualDesfire.factory("ev2") for _ in range(3))
    with key_service(config, clock) as service:
        for number, badge in enumerate((used, unused, leaving)):
            encoded(service, badge, holder(service, f"S{number}").id)
        clock.time += 80 * DAY_S
        tapped(service, used)
    with rows(config) as (registry, _):
        person = registry.holder_by_staff_number("S2")
        assert person is not None
        registry.put_holder(dataclasses.replace(person, status=HolderStatus.ENDED))
    made = report(config, now + 91 * DAY_S)
    assert (made.badges, made.by_state, made.by_scheme) == (3, {"active": 3}, {"ev2-aes": 3})
    assert made.by_generation == {1: {"active": 3}}
    assert made.by_transport_generation == {}
    assert [(line.holder, line.why, line.at) for line in made.dormant] in (
        [("S1", "dormant", now), ("S2", "dormant", now)],
        [("S2", "dormant", now), ("S1", "dormant", now)],
    )
    assert [(line.holder, line.why) for line in made.leaving] == [("S2", "holder_left")]
    assert made.lent is None
    expiring = report(config, now + config.badge.lifetime_days * DAY_S)
    assert {line.why for line in expiring.leaving} == {"holder_left", "expires"}
    assert len(expiring.leaving) == 3
