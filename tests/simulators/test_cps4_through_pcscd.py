"""The virtual CPS4 in vpcd's reader, by PC/SC alone: which protocol, and what each card answers."""

import pytest
from smartcard import scard

from scripts.private_pcscd import PrivatePcscd
from simulators.cps.chipdoc import VirtualCps4
from simulators.cps.chipdoc.chip import Chip
from simulators.faults import Faults
from simulators.link import insert
from simulators.stay import Fixed
from tests.simulators.cps4_side import SELECT_CHIPDOC, TRIES, VERIFY, WRONG
from tests.simulators.pcsc_side import PcscCard, TransmitFailed

pytestmark = pytest.mark.pcscd

EITHER = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1


def send(card: PcscCard, command: str) -> str:
    return card.transmit(bytes.fromhex(command)).hex().upper()


def test_t1_is_had_where_it_is_offered(pcscd: PrivatePcscd, cps4_chip: Chip) -> None:
    with insert(VirtualCps4(cps4_chip), pcscd.addresses[0]):
        card = PcscCard(pcscd.readers[0], scard.SCARD_PROTOCOL_T1)
        assert send(card, SELECT_CHIPDOC) == "9000"
        assert send(card, "01A4080002D00300") == "6F0B8002000C8201018302D0039000"
        assert send(card, TRIES) == "63C3"
    card.leave()


def test_the_t0_card_announces_its_answers(pcscd: PrivatePcscd, cps4_t0_chip: Chip) -> None:
    with insert(VirtualCps4(cps4_t0_chip), pcscd.addresses[0]):
        card = PcscCard(pcscd.readers[0], EITHER)
        assert card._protocol == scard.SCARD_PROTOCOL_T0
        assert send(card, SELECT_CHIPDOC) == "9000"
        assert send(card, "01A4080002D003") == "610D"
        assert send(card, "01C000000D") == "6F0B8002000C8201018302D0039000"
        assert send(card, TRIES + "00") == "63C3"
    card.leave()


def test_a_reset_through_pcscd_drops_the_pin(pcscd: PrivatePcscd, cps4_chip: Chip) -> None:
    with insert(VirtualCps4(cps4_chip), pcscd.addresses[0]):
        card = PcscCard(pcscd.readers[0], EITHER)
        send(card, SELECT_CHIPDOC)
        assert send(card, VERIFY) == "9000"
        assert send(card, TRIES) == "9000"
        card.reset()
        assert send(card, TRIES) == "6881"
        send(card, SELECT_CHIPDOC)
        assert send(card, TRIES) == "63C3"
    card.leave()


def test_a_card_torn_at_a_wrong_pin_has_lost_the_try(pcscd: PrivatePcscd, cps4_chip: Chip) -> None:
    cps4 = VirtualCps4(cps4_chip)
    with insert(cps4, pcscd.addresses[0], faults=Faults(tear_after=2, tear="after")) as insertion:
        card = PcscCard(pcscd.readers[0], EITHER)
        send(card, SELECT_CHIPDOC)
        with pytest.raises(TransmitFailed):
            send(card, WRONG)
        assert insertion.wait_gone(20)
    card.leave()
    assert cps4.chip.codes[1].tries_left == 2


def test_a_mute_card_fails_a_command_and_keeps_its_tries(
    pcscd: PrivatePcscd, cps4_chip: Chip
) -> None:
    cps4 = VirtualCps4(cps4_chip)
    with insert(cps4, pcscd.addresses[0], stay=Fixed(3), faults=Faults(mute_after=1)):
        card = PcscCard(pcscd.readers[0], EITHER)
        send(card, SELECT_CHIPDOC)
        with pytest.raises(TransmitFailed):
            send(card, WRONG)
    card.leave()
    assert cps4.chip.codes[1].tries_left == 3
