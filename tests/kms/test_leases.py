"""A badge that one station works on is kept from the others for a while, and not for long."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cardd import assembly
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.ports import Client, Right
from cardd.kms.runs import LEASE_S
from cardd.kms.service import Kms
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import Cut, MovedClock, Relay, configuration, new_generation

pytestmark = pytest.mark.unit


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def kms(tmp_path: Path, clock: MovedClock) -> Iterator[Kms]:
    config = configuration(tmp_path)
    assembly.create_key_service(config)
    with assembly.open_kms(config, clock) as opened:
        yield opened


def desk(kms: Kms, name: str, badge: VirtualDesfire) -> Relay:
    return Relay(kms.for_client(Client(name, name, frozenset(Right))), badge)


def cut(relay: Relay, procedure: m.Procedure, at: int) -> None:
    with pytest.raises(Cut):
        relay.run(procedure, cut_at=at)


def refused(relay: Relay, procedure: m.Procedure) -> Refused:
    with pytest.raises(Refused) as caught:
        relay.run(procedure)
    return caught.value


def test_another_station_waits_until_the_first_is_not_heard_of(kms: Kms, clock: MovedClock) -> None:
    badge = VirtualDesfire.factory("ev2")
    encode = m.Encode(uid=badge.uid)
    cut(desk(kms, "desk-1", badge), encode, 9)
    clock.time += 3
    refusal = refused(desk(kms, "desk-2", badge), encode)
    assert refusal.code is Code.CONFLICT
    assert refusal.facts["retry_after"] == LEASE_S - 3
    clock.time += LEASE_S - 3
    assert isinstance(desk(kms, "desk-2", badge).run(encode), m.Encoded)


def test_the_same_station_goes_on_at_once(kms: Kms) -> None:
    badge = VirtualDesfire.factory("ev2")
    encode = m.Encode(uid=badge.uid)
    cut(desk(kms, "desk-1", badge), encode, 9)
    assert isinstance(desk(kms, "desk-1", badge).run(encode), m.Encoded)


def test_who_takes_over_keeps_the_first_one_away(kms: Kms, clock: MovedClock) -> None:
    badge = VirtualDesfire.factory("ev2")
    encode = m.Encode(uid=badge.uid)
    cut(desk(kms, "desk-1", badge), encode, 9)
    clock.time += LEASE_S
    cut(desk(kms, "desk-2", badge), encode, 9)
    assert refused(desk(kms, "desk-1", badge), encode).code is Code.CONFLICT


def test_each_step_prolongs_the_lease(kms: Kms, clock: MovedClock) -> None:
    badge = VirtualDesfire.factory("ev2")
    encode = m.Encode(uid=badge.uid)
    other = desk(kms, "desk-2", VirtualDesfire.factory("ev2", uid=badge.uid))
    service = kms.for_client(Client("desk-1", "desk-1", frozenset(Right)))
    step: m.Step | m.Outcome = service.begin(encode)
    passed = None
    while isinstance(step, m.Step):
        if step.progress != passed:
            passed = step.progress
            clock.time += LEASE_S - 1
            assert refused(other, encode).code is Code.CONFLICT
        step = service.next(step.handle, tuple(map(badge.transmit, step.commands)))
    assert isinstance(step, m.Encoded)


@pytest.mark.parametrize("name", ["rekey", "wipe"])
def test_every_procedure_that_changes_a_badge_is_kept_apart(
    tmp_path: Path, clock: MovedClock, name: str
) -> None:
    config = configuration(tmp_path)
    assembly.create_key_service(config)
    badge = VirtualDesfire.factory("ev2")
    with assembly.open_kms(config, clock) as kms:
        encoded = desk(kms, "desk-1", badge).run(m.Encode(uid=badge.uid))
        assert isinstance(encoded, m.Encoded)
        if name == "wipe":
            desk(kms, "desk-1", badge).service.revoke_badge(encoded.number, "lost")
    new_generation(config)
    procedure = m.Rekey(uid=badge.uid) if name == "rekey" else m.Wipe(uid=badge.uid)
    with assembly.open_kms(config, clock) as kms:
        cut(desk(kms, "desk-1", badge), procedure, 8)
        assert refused(desk(kms, "desk-2", badge), procedure).code is Code.CONFLICT
        clock.time += LEASE_S
        assert desk(kms, "desk-2", badge).run(procedure)


def test_a_lease_from_a_clock_that_is_ahead_keeps_nobody_away(kms: Kms, clock: MovedClock) -> None:
    badge = VirtualDesfire.factory("ev2")
    encode = m.Encode(uid=badge.uid)
    clock.time += 3600
    cut(desk(kms, "desk-1", badge), encode, 9)
    clock.time -= 3600
    assert isinstance(desk(kms, "desk-2", badge).run(encode), m.Encoded)
