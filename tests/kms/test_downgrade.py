"""The registry says how a badge authenticates: a card that says less is refused, not obeyed."""

from pathlib import Path

import pytest

from cardd.errors import Code, Refused
from cardd.kms import messages as m
from simulators.desfire.picc import VirtualDesfire
from tests.kms.encoded_badges import CHANGE_KEY, row, with_next_generation
from tests.kms.kms_world import (
    PRODUCTS,
    MovedClock,
    Relay,
    configuration,
    encoded,
    key_service,
    refusal,
)

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("procedure", [m.Rekey, m.Tap, m.Wipe, m.Encode])
def test_an_ev2_badge_that_answers_as_ev1_is_refused_as_not_genuine(
    tmp_path: Path, procedure: type[m.Rekey | m.Tap | m.Wipe | m.Encode]
) -> None:
    badge = VirtualDesfire.factory("ev2")
    with with_next_generation(tmp_path, badge) as service:
        if procedure in {m.Wipe, m.Encode}:
            service.revoke_badge(row(service, badge).number, "returned")
        if procedure is m.Encode:
            Relay(service, badge).run(m.Wipe(uid=badge.uid))
        older = as_product(badge, "ev1")
        assert refusal(service, older, procedure(uid=badge.uid)) is Code.BADGE_NOT_GENUINE
        assert all(command[1] not in {0xAA, 0xC4} for command in older.commands)


def as_product(badge: VirtualDesfire, product: str) -> VirtualDesfire:
    """Return a card with all of a badge's keys and data that is another product."""
    return VirtualDesfire.from_json({**badge.to_json(), "product": product})


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_first_authentication_that_is_refused_is_not_tried_another_way(
    tmp_path: Path, product: str
) -> None:
    badge = VirtualDesfire.factory(product)
    first = 0x71 if product == "ev2" else 0xAA
    with with_next_generation(tmp_path, badge) as service:
        for procedure in (m.Tap(uid=badge.uid), m.Rekey(uid=badge.uid)):
            relay = Relay(service, badge)

            def refuse(count: int, answer: bytes, relay: Relay = relay) -> bytes:
                return b"\x91\x1c" if relay.sent[-1][1] == first else answer

            with pytest.raises(Refused) as caught:
                relay.run(procedure, spoil=refuse)
            assert caught.value.code is Code.BADGE_NOT_GENUINE
            tried = {command[1] for command in relay.sent} & {0x0A, 0x1A, 0xAA, 0x71}
            assert tried == {first}


def as_ev1(relay: Relay, answer: bytes) -> bytes:
    """Say EV1 in the first frame of an unprotected GetVersion, as somebody on the wire could."""
    versions = [command for command in relay.sent if command[1] == 0x60]
    first = len(versions) == 1 and relay.sent[-1][1] == 0x60
    return answer[:3] + b"\x01" + answer[4:] if first else answer


def test_a_downgrade_on_the_wire_is_found_before_a_blank_becomes_a_badge(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with key_service(configuration(tmp_path), MovedClock()) as service:
        relay = Relay(service, badge)
        with pytest.raises(Refused) as caught:
            relay.run(m.Encode(uid=badge.uid), spoil=lambda _, answer: as_ev1(relay, answer))
        assert caught.value.code is Code.BADGE_NOT_GENUINE
        assert refusal(service, badge, m.Tap(uid=badge.uid)) is Code.BADGE_UNKNOWN
        assert encoded(service, badge).scheme == "ev2-aes"


def test_a_prepared_blank_is_not_encoded_for_less_than_it_was_prepared_as(tmp_path: Path) -> None:
    badge = VirtualDesfire.factory("ev2")
    with key_service(configuration(tmp_path, "transport"), MovedClock()) as service:
        Relay(service, badge).run(m.Prepare(uid=badge.uid))
        assert row(service, badge).scheme == "ev2-aes"
        relay = Relay(service, badge)
        with pytest.raises(Refused) as caught:
            relay.run(m.Encode(uid=badge.uid), spoil=lambda _, answer: as_ev1(relay, answer))
        assert caught.value.code is Code.BADGE_NOT_GENUINE
        assert not {command[1] for command in relay.sent} & {0xAA, CHANGE_KEY}
        assert encoded(service, badge).scheme == "ev2-aes"
