"""A card that cannot be reset loses its power, so that nobody finds its PIN verified."""

import threading
from typing import Any

import pytest

from cardd.errors import CardError
from cardd.readers.pcsc_connection import PcscConnection
from cardd.readers.ports import CardInserted
from scripts.private_pcscd import PrivatePcscd
from simulators.link import insert
from tests.readers.reader_world import EchoCard, pcsc_desk

pytestmark = [pytest.mark.pcscd, pytest.mark.faults]


class PowerSeen(EchoCard):
    def __init__(self) -> None:
        super().__init__()
        self.off = threading.Event()

    def power_off(self) -> None:
        self.off.set()


def test_a_card_whose_reset_fails_loses_its_power_with_the_transaction(
    pcscd: PrivatePcscd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise CardError("the reset failed")

    card = PowerSeen()
    with pcsc_desk(pcscd) as desk, insert(card, desk.address):
        assert isinstance(desk.events.next(), CardInserted)
        connection = desk.source.connect(desk.reader)
        assert isinstance(connection, PcscConnection)
        monkeypatch.setattr(connection, "_reconnect", fails)
        card.off.clear()
        with connection.transaction(), pytest.raises(CardError, match="the reset failed"):
            connection.reset()
        assert card.off.wait(20)
        connection.close()
