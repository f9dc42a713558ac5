"""What is read of a CPS and remembered, where its certificate was renewed."""

import contextlib
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cardd.cps.trust import TrustStore
from cardd.errors import CardError, Code
from cardd.iso7816.apdu import t0_form
from cardd.presence.cps_reading import CpsReading, CpsSeen
from simulators.cps import chipdoc
from simulators.cps.chipdoc import VirtualCps4
from simulators.pki import Pki, Profile
from tests.cps.trust_world import trust_world
from tests.presence.world import HandClock

pytestmark = pytest.mark.unit

DAY = timedelta(days=1)


class Contacts:
    """A connection to a virtual card in a reader without a keypad."""

    def __init__(self, card: VirtualCps4) -> None:
        self._card = card
        card.power_on()

    @property
    def atr(self) -> bytes:
        return self._card.atr

    def transmit(self, command: bytes) -> bytes:
        return self._card.transmit(t0_form(command))

    def control(self, code: int, data: bytes) -> bytes:
        raise CardError("this reader has no features")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def reset(self) -> None:
        self._card.reset()

    def close(self) -> None:
        pass


def shown(reading: CpsReading, card: VirtualCps4) -> CpsSeen:
    connection = Contacts(card)
    driver = reading.recognised(connection)
    assert driver is not None
    return reading.read(connection, driver, lambda longer_s=0.0: None)


def commands(card: VirtualCps4, since: int) -> int:
    return sum(each[1] != 0xC0 for each in card.commands[since:])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(tmp_path_factory.mktemp("igc-sante") / "pki")


def test_a_renewed_card_without_a_stamp_is_read_anew(pki: Pki, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    clock = HandClock()
    clock.time = now.timestamp()
    world = trust_world(pki, tmp_path)
    reading = CpsReading(TrustStore(world.settings, online=False), clock)
    profiles: list[dict[str, Any]] = [{"not_after": now + DAY}, {}]
    old, renewed = (chipdoc.personalise(pki, Profile(**each)) for each in profiles)

    first = shown(reading, old)
    assert (first.problem, first.identity is None) == (None, False)
    first.proven()
    assert shown(reading, old).chain == first.chain

    clock.time += 2 * DAY.total_seconds()
    again = shown(reading, renewed)
    assert again.number == first.number
    assert again.problem is None
    assert again.chain != first.chain

    # The card that was not renewed is refused for what it still has.
    expired = shown(reading, old)
    assert expired.problem is not None
    assert expired.problem.code == Code.CERTIFICATE_EXPIRED


def test_a_card_with_a_certificate_of_another_is_not_remembered(pki: Pki, tmp_path: Path) -> None:
    clock = HandClock()
    clock.time = datetime.now(UTC).timestamp()
    world = trust_world(pki, tmp_path)
    reading = CpsReading(TrustStore(world.settings, online=False), clock)
    card = chipdoc.personalise(pki, Profile())
    seen = shown(reading, card)
    whole = commands(card, 0)

    # What is read under a number that the certificate does not have stays with the visit.
    other = chipdoc.personalise(pki, Profile(card_number="8025000001/2600855214"))
    dataclasses.replace(shown(reading, other), identity=seen.identity).proven()
    mark = len(other.commands)
    shown(reading, other)
    assert commands(other, mark) > whole / 2

    seen.proven()
    mark = len(card.commands)
    shown(reading, card)
    assert commands(card, mark) < whole / 2
