"""Another program uses the same card through the same pcscd."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cardd.errors import CardBusy, CardRemoved
from scripts.private_pcscd import PrivatePcscd
from tests.limits import ends_soon
from tests.readers.reader_world import ECHO, EchoCard, pcsc_desk

pytestmark = pytest.mark.pcscd

OTHER_PROGRAM = """
import sys
from smartcard.scard import *
_, context = SCardEstablishContext(SCARD_SCOPE_USER)
mode = SCARD_SHARE_EXCLUSIVE if sys.argv[2] == "exclusive" else SCARD_SHARE_SHARED
code, card, _ = SCardConnect(context, sys.argv[1], mode, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1)
assert code == 0, hex(code)
if sys.argv[2] == "transaction":
    assert SCardBeginTransaction(card) == 0
print("ready", flush=True)
for line in sys.stdin:
    if line == "end\\n":
        assert SCardEndTransaction(card, SCARD_LEAVE_CARD) == 0
    elif line == "leave\\n":
        assert SCardDisconnect(card, SCARD_LEAVE_CARD) == 0
    elif line == "reset\\n":
        assert SCardDisconnect(card, SCARD_RESET_CARD) == 0
    elif line == "transmit\\n":
        code, answer = SCardTransmit(card, SCARD_PCI_T1, [0, 1, 0, 0, 1, 42, 0])
        assert (code, answer) == (0, [42, 0x90, 0x00]), (hex(code), answer)
    print("done", flush=True)
"""


class OtherProgram:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def do(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        self.expect("done")

    def expect(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == line + "\n"


@contextmanager
def other_program(reader: str, mode: str) -> Iterator[OtherProgram]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROGRAM, reader, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            program = OtherProgram(process)
            program.expect("ready")
            yield program
        finally:
            process.kill()


def test_both_programs_use_the_card_in_turn(fresh_pcscd: PrivatePcscd) -> None:
    card = EchoCard()
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen(card):
        with other_program(desk.reader, "shared") as other:
            connection = desk.source.connect(desk.reader)
            for _ in range(3):
                with connection.transaction():
                    assert connection.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
                other.do("transmit")
            connection.close()
        assert len(card.commands) == 6


def test_anothers_transaction_makes_the_card_busy_and_its_end_frees_it(
    fresh_pcscd: PrivatePcscd,
) -> None:
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen():
        ours = desk.source.connect(desk.reader)
        with other_program(desk.reader, "transaction") as other:
            with ends_soon():
                with pytest.raises(CardBusy), ours.transaction():
                    pass
                with pytest.raises(CardBusy):
                    desk.source.connect(desk.reader)
            other.do("end")
            with ours.transaction():
                assert ours.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
            later = desk.source.connect(desk.reader)
            later.close()
        ours.close()


def test_a_program_that_dies_in_a_transaction_gives_the_card_back(
    fresh_pcscd: PrivatePcscd,
) -> None:
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen():
        with other_program(desk.reader, "transaction"):
            pass
        ours = desk.source.connect(desk.reader)
        with ours.transaction():
            assert ours.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
        ours.close()


def test_exclusive_use_by_another_is_busy_and_not_for_ever(fresh_pcscd: PrivatePcscd) -> None:
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen():
        reader = desk.reader
        with other_program(reader, "exclusive") as other:
            with ends_soon(), pytest.raises(CardBusy):
                desk.source.connect(reader)
            other.do("leave")
            desk.source.connect(reader).close()


def test_a_reset_by_another_ends_an_exchange_and_the_next_begins_anew(
    fresh_pcscd: PrivatePcscd,
) -> None:
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen():
        ours = desk.source.connect(desk.reader)
        ours.transmit(ECHO)
        with other_program(desk.reader, "shared") as other:
            other.do("reset")
        with pytest.raises(CardRemoved, match="reset"):
            ours.transmit(ECHO)
        with ours.transaction():
            assert ours.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
        ours.close()


def test_closing_leaves_the_card_as_it_is_for_others(fresh_pcscd: PrivatePcscd) -> None:
    card = EchoCard()
    with pcsc_desk(fresh_pcscd) as desk, desk.card_seen(card):
        ours = desk.source.connect(desk.reader)
        with other_program(desk.reader, "shared") as other:
            ours.transmit(ECHO)
            resets = card.resets
            ours.close()
            other.do("transmit")
            assert card.resets == resets
