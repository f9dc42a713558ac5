"""Somebody between reader and badge: nothing they do ends in a person who is authenticated."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    PRODUCTS,
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    key_service,
    new_generation,
    rekeyed,
    tapped,
)

pytestmark = pytest.mark.unit

OK = b"\x91\x00"
NOT_GENUINE = {Code.BADGE_NOT_GENUINE, Code.CARD_NOT_SUPPORTED}
NATIVE_EV2_FIRST, NATIVE_AES, GET_VERSION = 0x71, 0xAA, 0x60

Trick = Callable[[VirtualDesfire, int, bytes], bytes]
"""Gets the badge, the number of the frame and the command; returns what the reader is told."""


class Between:
    """A badge with somebody before it, who keeps what went through."""

    def __init__(self, badge: VirtualDesfire, trick: Trick | None = None) -> None:
        self.badge = badge
        self.trick = trick
        self.frames: list[tuple[bytes, bytes]] = []

    def reset(self) -> None:
        self.badge.reset()
        self.frames = []

    def transmit(self, command: bytes) -> bytes:
        if self.trick:
            answer = self.trick(self.badge, len(self.frames), command)
        else:
            answer = self.badge.transmit(command)
        self.frames.append((command, answer))
        return answer


@pytest.fixture
def service(tmp_path: Path) -> Iterator[KeyService]:
    with key_service(configuration(tmp_path), MovedClock()) as opened:
        yield opened


def tap(service: KeyService, badge: VirtualDesfire, trick: Trick | None = None) -> Between:
    """Tap through somebody; raise what the service raises."""
    between = Between(badge, trick)
    outcome = Relay(service, between).run(m.Tap(uid=badge.uid))
    assert isinstance(outcome, m.Authenticated)
    return between


def refused(service: KeyService, badge: VirtualDesfire, trick: Trick) -> Code:
    between = Between(badge, trick)
    with pytest.raises(Refused) as caught:
        Relay(service, between).run(m.Tap(uid=badge.uid))
    assert between.frames, "the tap was refused before anything was sent"
    return caught.value.code


def fails(service: KeyService, badge: VirtualDesfire) -> None:
    """Check that a badge whose encoding was refused cannot be used."""
    with pytest.raises(Refused) as caught:
        Relay(service, badge).run(m.Tap(uid=badge.uid))
    assert caught.value.code is Code.BADGE_UNKNOWN, caught.value.code


def told(frame: int, answer: bytes) -> Trick:
    """Return the trick that passes every command on, and tells the reader something else once."""

    def trick(badge: VirtualDesfire, number: int, command: bytes) -> bytes:
        given = badge.transmit(command)
        return answer if number == frame else given

    return trick


def kept_back(frame: int, answer: bytes) -> Trick:
    """Return the trick that answers one command in the badge's place."""
    return lambda badge, number, command: answer if number == frame else badge.transmit(command)


def changed(frame: int, bit: int) -> Trick:
    """Return the trick that gives the badge another command."""

    def trick(badge: VirtualDesfire, number: int, command: bytes) -> bytes:
        if number == frame:
            command = (int.from_bytes(command) ^ 1 << bit % (8 * len(command))).to_bytes(
                len(command)
            )
        return badge.transmit(command)

    return trick


@pytest.mark.parametrize("product", PRODUCTS)
def test_an_answer_that_is_cut_or_longer_authenticates_nobody(
    service: KeyService, product: str
) -> None:
    badge = VirtualDesfire.factory(product)
    encoded(service, badge, holder(service).id)
    for frame, (_, answer) in enumerate(tap(service, badge).frames):
        data, status = answer[:-2], answer[-2:]
        cut = [answer[:length] for length in range(len(answer))]
        cut += [data[:length] + status for length in range(len(data))]
        longer = [data + bytes(length) + status for length in (1, 8, 16, 200)]
        for each in cut + longer:
            assert refused(service, badge, told(frame, each)) in NOT_GENUINE


@pytest.mark.parametrize("product", PRODUCTS)
def test_nothing_that_was_ever_answered_authenticates_anybody_again(
    service: KeyService, product: str
) -> None:
    badge, other = VirtualDesfire.factory(product), VirtualDesfire.factory(product)
    encoded(service, badge, holder(service).id)
    encoded(service, other, holder(service, "B2").id)
    recorded = [tap(service, each).frames for each in (badge, badge, other)]
    answers = {answer for frames in recorded for _, answer in frames}
    for frame, (_, given) in enumerate(recorded[0]):
        for each in sorted(answers - ({given} if given == OK else set())):
            assert refused(service, badge, told(frame, each)) in NOT_GENUINE
            assert refused(service, badge, kept_back(frame, each)) in NOT_GENUINE
    for frames in recorded:
        replay = iter([answer for _, answer in frames])
        code = refused(service, badge, lambda *_, replay=replay: next(replay))
        assert code in NOT_GENUINE
    tapped(service, badge)


@pytest.mark.parametrize("product", PRODUCTS)
def test_swapped_answers_authenticate_nobody(service: KeyService, product: str) -> None:
    badge = VirtualDesfire.factory(product)
    encoded(service, badge, holder(service).id)
    answers = [answer for _, answer in tap(service, badge).frames]
    for first, second in pairwise(range(len(answers))):
        swapped = {first: answers[second], second: answers[first]}

        def trick(badge: VirtualDesfire, number: int, command: bytes, swapped=swapped) -> bytes:
            given = badge.transmit(command)
            return swapped.get(number, given)

        assert refused(service, badge, trick) in NOT_GENUINE


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_changed_command_authenticates_nobody(service: KeyService, product: str) -> None:
    """But for Le, which wrapped commands carry and the card does not look at."""
    badge = VirtualDesfire.factory(product)
    encoded(service, badge, holder(service).id)
    for frame, (command, _) in enumerate(tap(service, badge).frames):
        for bit in range(8, 8 * len(command), 5):
            code = refused(service, badge, changed(frame, bit))
            assert code in NOT_GENUINE, (frame, bit)


def test_the_answers_of_another_persons_badge_authenticate_nobody(service: KeyService) -> None:
    """A relay to a badge that is near by does not turn one person into another."""
    mine, theirs = VirtualDesfire.factory("ev2"), VirtualDesfire.factory("ev2")
    encoded(service, mine, holder(service).id)
    encoded(service, theirs, holder(service, "B2").id)

    def relayed(_: VirtualDesfire, number: int, command: bytes) -> bytes:
        if number == 0:
            theirs.reset()
        return theirs.transmit(command)

    assert refused(service, mine, relayed) is Code.BADGE_NOT_GENUINE


def test_a_refused_ev2_authentication_is_not_tried_in_ev1(service: KeyService) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge, holder(service).id)
    sent: list[int] = []

    def without_ev2(badge: VirtualDesfire, _: int, command: bytes) -> bytes:
        sent.append(command[1])
        return b"\x91\x1c" if command[1] == NATIVE_EV2_FIRST else badge.transmit(command)

    assert refused(service, badge, without_ev2) in NOT_GENUINE
    assert NATIVE_AES not in sent


def rewritten_version(answer: bytes) -> bytes:
    """Return the first frame of an EV2's version as that of an EV1."""
    return answer[:3] + b"\x01\x00" + answer[5:]


@pytest.mark.parametrize("everywhere", [False, True], ids=["once", "also when it is read back"])
def test_a_version_that_was_rewritten_does_not_make_an_ev2_badge_an_ev1_one(
    service: KeyService, everywhere: bool
) -> None:
    badge = VirtualDesfire.factory("ev2")
    seen = 0

    def rewriting(badge: VirtualDesfire, _: int, command: bytes) -> bytes:
        nonlocal seen
        answer = badge.transmit(command)
        if command[1] != GET_VERSION:
            return answer
        seen += 1
        return rewritten_version(answer) if everywhere or seen == 1 else answer

    with pytest.raises(Refused) as caught:
        Relay(service, Between(badge, rewriting)).run(
            m.Encode(uid=badge.uid, holder=holder(service).id)
        )
    assert seen > 1
    assert caught.value.code is Code.BADGE_NOT_GENUINE
    fails(service, badge)


SPOILS: list[Callable[[int, bytes], Trick]] = [
    lambda frame, answer: told(frame, answer[:-3] + bytes((answer[-3] ^ 1,)) + answer[-2:]),
    lambda frame, answer: told(frame, answer[:-10] + answer[-2:]),
    lambda frame, _: kept_back(frame, OK),
    lambda frame, _: changed(frame, 45),
]


@pytest.mark.parametrize("offset", range(len(SPOILS)))
def test_a_disturbed_encoding_is_refused_or_gives_a_badge_that_is_what_was_asked_for(
    service: KeyService, offset: int
) -> None:
    honest = Between(VirtualDesfire.factory("ev2"))
    Relay(service, honest).run(m.Encode(uid=honest.badge.uid))
    for frame, trick in disturbances(honest, offset):
        who = holder(service, f"S{frame}").id
        badge = VirtualDesfire.factory("ev2")
        try:
            Relay(service, Between(badge, trick)).run(m.Encode(uid=badge.uid, holder=who))
        except Refused:
            fails(service, badge)
            continue
        assert tapped(service, badge).holder.id == who, f"disturbed at {frame}"


@pytest.mark.parametrize("offset", range(len(SPOILS)))
def test_a_disturbed_rekey_is_refused_or_done_and_the_badge_stays_its_holders(
    tmp_path: Path, offset: int
) -> None:
    config = configuration(tmp_path)
    badges, who = [VirtualDesfire.factory("ev2") for _ in range(14)], {}
    with key_service(config, MovedClock()) as service:
        for number, badge in enumerate(badges):
            who[badge.uid] = holder(service, f"S{number}").id
            encoded(service, badge, who[badge.uid])
    new_generation(config)
    with key_service(config, MovedClock()) as service:
        honest = Between(badges.pop())
        Relay(service, honest).run(m.Rekey(uid=honest.badge.uid))
        tricks = list(disturbances(honest, offset))
        assert len(tricks) <= len(badges)
        for (frame, trick), badge in zip(tricks, badges, strict=False):
            try:
                Relay(service, Between(badge, trick)).run(m.Rekey(uid=badge.uid))
            except Refused:
                assert rekeyed(service, badge).generation == 2, f"disturbed at {frame}"
            assert tapped(service, badge).holder.id == who[badge.uid]


def disturbances(honest: Between, offset: int) -> Iterator[tuple[int, Trick]]:
    """Yield every fourth frame with a trick for it, another one for another offset."""
    for frame in range(offset, len(honest.frames), len(SPOILS)):
        answer = honest.frames[frame][1]
        spoil = SPOILS[(frame + offset) % len(SPOILS)] if len(answer) > 2 else SPOILS[2]
        yield frame, spoil(frame, answer)
