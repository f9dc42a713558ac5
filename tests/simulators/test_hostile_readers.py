"""A reader that knows a key, and asks for what no honest one does: a status, and nothing worse."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire.command import Command, CommunicationMode, Ins
from simulators.desfire import storage
from tests.desfire.attacked_wire import AID, MECHANISMS, REFUSALS, Moment, honest
from tests.desfire.recorded_card import play
from tests.examples import examples

pytestmark = [pytest.mark.unit, pytest.mark.fuzz]

WORDS = {0x90, 0x91, *range(0x62, 0x70)}
ANY_ANSWER = (0, 8192)

ENTRIES = st.sampled_from(["read plain", "change another key"])
"""Steps of a session before which a user, and the master, are authenticated."""

NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 0x0E, 0x1F, 0x20, 0xFF])
LENGTHS = st.sampled_from([0, 1, 4, 8, 70, 71, 0xFF, 0x1000, 0x7FFFFF, 0xFFFFFF])
THREE = LENGTHS.map(lambda number: number.to_bytes(3, "little"))
AMOUNTS = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)])
FOUR = AMOUNTS.map(lambda number: number.to_bytes(4, "little", signed=True))
AID_BYTES = st.sampled_from([AID.to_bytes(3, "little"), bytes(3), b"\x01\0\0"])
PARTS = st.one_of(NUMBERS.map(lambda number: bytes((number,))), THREE, FOUR, AID_BYTES)
HEADERS = st.lists(PARTS, max_size=5).map(b"".join)
ASKED = st.builds(
    Command,
    st.sampled_from(sorted(set(Ins) - {Ins.ADDITIONAL_FRAME})),
    HEADERS,
    st.one_of(st.just(b""), st.binary(max_size=90), HEADERS),
    st.sampled_from([None, *CommunicationMode]),
    st.just(ANY_ANSWER),
    checked=st.sampled_from([b"", bytes(16)]),
)


def moment_before(mechanism: str, step: str) -> Moment:
    return next(
        each.before.copy() for each in honest(MECHANISMS[mechanism]) if each.step.name == step
    )


def sound(moment: Moment) -> None:
    """Check that the card can still be kept and used."""
    chip = moment.virtual.chip
    assert storage.load(storage.dump(chip)) == chip
    assert 0 <= chip.free_bytes <= chip.capacity_bytes
    moment.virtual.reset()
    assert moment.virtual.transmit(bytes.fromhex("9060000000"))[-2:] == b"\x91\xaf"


def answered(moment: Moment, command: bytes) -> bytes:
    answer = moment.virtual.transmit(command)
    assert 2 <= len(answer) <= 258
    assert answer[-2] in WORDS, answer.hex()
    return answer


@examples(400)
@given(
    mechanism=st.sampled_from(sorted(MECHANISMS)),
    entry=ENTRIES,
    commands=st.lists(ASKED, min_size=1, max_size=8),
)
def test_well_protected_nonsense_gets_a_status_and_leaves_a_sound_card(
    mechanism: str, entry: str, commands: list[Command]
) -> None:
    moment = moment_before(mechanism, entry)
    session = moment.card.session
    assert session
    for command in commands:
        # A refusal ends the reader's session; this reader goes on as if nothing had been.
        moment.card.session = moment.card.session or replace(session)
        try:
            play(moment.card.perform(command), lambda apdu: answered(moment, apdu))
        except REFUSALS:
            continue
    sound(moment)


@examples(150)
@given(mechanism=st.sampled_from(sorted(MECHANISMS)), data=st.data())
def test_frames_of_honest_sessions_in_any_order_get_a_status_and_leave_a_sound_card(
    mechanism: str, data: st.DataObject
) -> None:
    sessions = (*honest(MECHANISMS[mechanism]), *honest(MECHANISMS[mechanism], "two"))
    frames = [command for each in sessions for command, _ in each.frames]
    moment = honest(MECHANISMS[mechanism])[data.draw(st.integers(0, 20))].before.copy()
    for frame in data.draw(st.lists(st.sampled_from(frames), min_size=1, max_size=12)):
        at = data.draw(st.integers(0, 8 * len(frame)))
        flipped = int.from_bytes(frame) ^ (1 << at if data.draw(st.booleans()) else 0)
        answered(moment, flipped.to_bytes(len(frame) + 2)[-len(frame) :])
    sound(moment)
