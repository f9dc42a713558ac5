"""What PC/SC reports, and which events that is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.readers.card_states import CardStates
from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    ReaderAdded,
    ReaderEvent,
    ReaderFault,
    ReaderRecovered,
    ReaderRemoved,
)
from cardd.readers.resource_manager import (
    STATE_CHANGED,
    STATE_EMPTY,
    STATE_EXCLUSIVE,
    STATE_INUSE,
    STATE_MUTE,
    STATE_PRESENT,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
    STATE_UNPOWERED,
    ReaderState,
)

pytestmark = pytest.mark.unit

ATR = b"\x3b\x00"
CARD = CardInserted("r", ATR)
LAY_THERE = CardInserted("r", ATR, shown=False)


def state(flags: int, count: int = 0, atr: bytes | None = None) -> ReaderState:
    if atr is None:
        atr = ATR if flags & STATE_PRESENT else b""
    return ReaderState("r", count << 16 | flags | STATE_CHANGED, atr)


def after(*states: ReaderState) -> list[list[ReaderEvent]]:
    known = CardStates()
    known.take_list(("r",))
    return [known.observe(one) for one in states]


def test_a_card_comes_and_goes() -> None:
    assert after(state(STATE_EMPTY), state(STATE_PRESENT, 1), state(STATE_EMPTY, 2)) == [
        [],
        [CARD],
        [CardWithdrawn("r")],
    ]


def test_a_card_that_lay_there_when_the_reader_was_first_seen_was_not_shown() -> None:
    assert after(state(STATE_PRESENT, 5)) == [[LAY_THERE]]


def test_a_changed_counter_is_a_card_exchanged_between_two_looks() -> None:
    assert after(state(STATE_EMPTY), state(STATE_PRESENT, 1), state(STATE_PRESENT, 3))[2] == [
        CardWithdrawn("r"),
        CARD,
    ]


def test_the_counter_may_wrap() -> None:
    assert after(state(STATE_PRESENT, 0xFFFF), state(STATE_PRESENT, 1))[1] == [
        CardWithdrawn("r"),
        CARD,
    ]


@pytest.mark.parametrize("flag", [STATE_INUSE, STATE_EXCLUSIVE, STATE_UNPOWERED])
def test_who_uses_a_card_and_whether_it_has_power_is_no_event(flag: int) -> None:
    present = state(STATE_PRESENT, 1)
    assert after(present, state(STATE_PRESENT | flag, 1), present)[1:] == [[], []]


def test_a_mute_card_is_a_fault_until_it_is_taken_out() -> None:
    _, fault, over = after(
        state(STATE_EMPTY), state(STATE_PRESENT | STATE_MUTE, 1), state(STATE_EMPTY, 2)
    )
    assert [type(event) for event in fault] == [ReaderFault]
    assert over == [ReaderRecovered("r")]


def test_a_card_without_an_atr_is_mute() -> None:
    assert isinstance(after(state(STATE_PRESENT, 1, b""))[0][0], ReaderFault)


def test_a_mute_card_that_answers_at_last_is_an_insertion() -> None:
    mute = state(STATE_PRESENT | STATE_MUTE, 1)
    assert after(mute, state(STATE_PRESENT, 3))[1] == [ReaderRecovered("r"), CARD]


def test_a_card_that_falls_mute_is_gone() -> None:
    events = after(state(STATE_PRESENT, 1), state(STATE_PRESENT | STATE_MUTE, 1))[1]
    assert [type(event) for event in events] == [CardWithdrawn, ReaderFault]


def test_a_reader_that_does_not_answer_has_no_card() -> None:
    events = after(state(STATE_PRESENT, 1), state(STATE_UNAVAILABLE, 1))[1]
    assert [type(event) for event in events] == [CardWithdrawn, ReaderFault]


def test_a_state_that_says_nothing_changes_nothing() -> None:
    assert after(state(STATE_PRESENT, 1), state(STATE_UNKNOWN, 1))[1] == []


def test_a_state_of_a_reader_that_is_not_listed_is_ignored() -> None:
    assert CardStates().observe(state(STATE_PRESENT, 1)) == []


def test_a_reader_that_leaves_the_list_takes_its_card_along() -> None:
    known = CardStates()
    assert known.take_list(("r", "s")) == [ReaderAdded("r"), ReaderAdded("s")]
    known.observe(state(STATE_PRESENT, 1))
    assert known.take_list(("s",)) == [CardWithdrawn("r"), ReaderRemoved("r")]
    assert known.take_list(("s",)) == []


def test_a_loss_counts_every_card_and_every_reader_as_gone() -> None:
    known = CardStates()
    known.take_list(("r", "s"))
    known.observe(state(STATE_PRESENT, 1))
    assert known.lose() == [CardWithdrawn("r"), ReaderRemoved("r"), ReaderRemoved("s")]
    assert known.lose() == []
    assert known.expected() == []


def test_the_next_wait_expects_what_was_seen_without_the_changed_bit() -> None:
    known = CardStates()
    known.take_list(("r",))
    known.observe(state(STATE_PRESENT | STATE_INUSE, 7))
    assert known.expected() == [ReaderState("r", 7 << 16 | STATE_PRESENT | STATE_INUSE)]


ANY_STATE = st.builds(
    ReaderState,
    st.sampled_from(["r", "s", "t"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([b"", ATR]),
)
ANY_LIST = st.lists(st.sampled_from(["r", "s", "t"]), unique=True).map(tuple)


@given(st.lists(ANY_STATE | ANY_LIST | st.none()))
def test_whatever_is_reported_cards_and_readers_alternate(steps: list[object]) -> None:
    known = CardStates()
    readers: set[str] = set()
    cards: set[str] = set()
    faulty: set[str] = set()
    for step in [*steps, None]:
        if isinstance(step, ReaderState):
            events = known.observe(step)
        else:
            events = known.lose() if step is None else known.take_list(step)  # type: ignore[arg-type]
        for event in events:
            _follow(event, readers, cards, faulty)
    assert not readers
    assert not cards


def _follow(event: ReaderEvent, readers: set[str], cards: set[str], faulty: set[str]) -> None:
    match event:
        case ReaderAdded(reader):
            assert reader not in readers
            readers.add(reader)
        case ReaderRemoved(reader):
            assert reader not in cards
            faulty.discard(reader)
            readers.remove(reader)
        case CardInserted(reader, atr):
            assert atr
            assert reader in readers - cards - faulty
            cards.add(reader)
        case CardWithdrawn(reader):
            cards.remove(reader)
        case ReaderFault(reader):
            assert reader in readers - cards
            faulty.add(reader)
        case ReaderRecovered(reader):
            faulty.remove(reader)
        case _:
            pytest.fail(f"no table gives {event}")
