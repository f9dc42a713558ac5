"""The card's end of the wire against the driver it was made for: pcscd with vpcd."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.private_pcscd import PrivatePcscd
from simulators import card as card_files
from simulators.desfire import VirtualDesfire
from simulators.faults import Faults, TearMoment
from simulators.link import insert
from simulators.stay import Fixed
from tests.limits import DELAYED_ACKNOWLEDGEMENT_S, fastest_s
from tests.simulators.pcsc_side import PcscCard, TransmitFailed

pytestmark = pytest.mark.pcscd

GET_UID = bytes.fromhex("FFCA000000")
GET_VERSION = bytes.fromhex("9060000000")
CREATE = bytes.fromhex("90CA0000055634120F8200")


@pytest.fixture
def badge() -> VirtualDesfire:
    return VirtualDesfire.factory("ev1")


def works(pcscd: PrivatePcscd) -> bool:
    """Put another card into the same reader and talk to it."""
    other = VirtualDesfire.factory("ev2")
    with insert(other, pcscd.addresses[0]):
        card = PcscCard(pcscd.readers[0])
        answer = card.transmit(GET_UID)
    card.leave()
    return answer == other.uid + b"\x90\x00"


def test_a_card_answers_without_delayed_acknowledgements(
    pcscd: PrivatePcscd, badge: VirtualDesfire
) -> None:
    with insert(badge, pcscd.addresses[0]) as insertion:
        card = PcscCard(pcscd.readers[0])
        assert fastest_s(lambda: card.transmit(GET_UID)) < DELAYED_ACKNOWLEDGEMENT_S
        assert insertion.wait_commands(50, 20)
    card.leave()


@pytest.mark.parametrize(("tear", "applications"), [("before", 0), ("after", 1)])
def test_a_torn_card_is_a_failed_command_and_leaves_a_working_reader(
    pcscd: PrivatePcscd, badge: VirtualDesfire, tear: TearMoment, applications: int
) -> None:
    faults = Faults(tear_after=2, tear=tear)
    with insert(badge, pcscd.addresses[0], faults=faults) as insertion:
        card = PcscCard(pcscd.readers[0])
        card.transmit(GET_UID)
        with pytest.raises(TransmitFailed):
            card.transmit(CREATE)
        assert insertion.wait_gone(20)
    card.leave()
    assert len(badge.chip.applications) == applications
    assert works(pcscd)


def test_a_mute_card_lets_the_reader_go_when_its_time_is_over(
    pcscd: PrivatePcscd, badge: VirtualDesfire
) -> None:
    with insert(badge, pcscd.addresses[0], stay=Fixed(3), faults=Faults(mute_after=1)):
        card = PcscCard(pcscd.readers[0])
        card.transmit(GET_UID)
        with pytest.raises(TransmitFailed):
            card.transmit(GET_VERSION)
    card.leave()
    assert works(pcscd)


def test_a_card_that_replaces_another_between_two_polls_is_powered_all_the_same(
    pcscd: PrivatePcscd, badge: VirtualDesfire
) -> None:
    other = VirtualDesfire.factory("ev2")
    with insert(badge, pcscd.addresses[0]) as first:
        card = PcscCard(pcscd.readers[0])
        assert first.wait_powered(20)
    # The driver learns here that the first card is gone, and takes the second one for it.
    with pytest.raises(TransmitFailed):
        card.transmit(GET_UID)
    with insert(other, pcscd.addresses[0]) as second:
        assert second.wait_powered(20)
        again = PcscCard(pcscd.readers[0])
        assert again.transmit(GET_UID) == other.uid + b"\x90\x00"
    again.leave()


def test_two_readers_hold_two_cards(pcscd: PrivatePcscd, badge: VirtualDesfire) -> None:
    other = VirtualDesfire.factory("ev2")
    with insert(badge, pcscd.addresses[0]), insert(other, pcscd.addresses[1]):
        cards = [PcscCard(reader) for reader in pcscd.readers]
        uids = [card.transmit(GET_UID)[:-2] for card in cards]
    for card in cards:
        card.leave()
    assert uids == [badge.uid, other.uid]


def test_a_tap_of_a_card_file_reaches_pcscd(pcscd: PrivatePcscd, tmp_path: Path) -> None:
    path = tmp_path / "badge.json"
    card_files.create(path, VirtualDesfire.factory("ev2"))
    with subprocess.Popen(
        [sys.executable, "-m", "simulators.cli", "tap", str(path)],
        env={**os.environ, "CARDD_SIM_READER": pcscd.addresses[0]},
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        card = PcscCard(pcscd.readers[0])
        assert card.transmit(CREATE) == b"\x91\x00"
        out, _ = program.communicate(timeout=30)
    card.leave()
    assert program.returncode == 0
    assert "answered 1 commands" in out
    assert len(card_files.load(path).chip.applications) == 1
