"""What is remembered of a card, where another one claims its number."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from simulators.cps import VirtualCps
from simulators.link import insert
from tests.e2e.conftest import Issued
from tests.e2e.cps_world import PIN, CpsDesk, cps_desk
from tests.e2e.daemon_world import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

USER_REFERENCE, UNBLOCKING_REFERENCE = b"\x80\x01\x01", b"\x80\x01\x02"


class Programmed(VirtualCps):
    """A copy of a card that calls the unblocking code the PIN."""

    lied = 0

    def transmit(self, command: bytes) -> bytes:
        """Answer, with another reference in the AODF."""
        answer = super().transmit(command)
        if b"Code porteur" not in answer:
            return answer
        self.lied += USER_REFERENCE in answer
        return answer.replace(USER_REFERENCE, UNBLOCKING_REFERENCE, 1)


@contextmanager
def shown(desk: CpsDesk, card: VirtualCps) -> Iterator[None]:
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        with insert(card, desk.address):
            wait_for(events, "card.identified")
            yield
        wait_for(events, "card.removed")


def test_a_copy_has_no_pin_sent_to_the_unblocking_code_of_the_genuine_card(issued: Issued) -> None:
    copy, card = Programmed.from_json(issued.content), issued.card()
    with cps_desk(issued.folder) as desk:
        with shown(desk, copy):
            who = desk.cps().identity
        assert copy.lied
        assert who is not None
        desk.admin.add_holder("1001", national_ids=[who["SubjectNameID"]])
        before = {reference: code.tries_left for reference, code in card.chip.codes.items()}
        with shown(desk, card):
            assert desk.give(desk.asked(), PIN).state == "succeeded"
        assert {reference: code.tries_left for reference, code in card.chip.codes.items()} == before
