import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.badges.numbers import draw, parse
from cardd.errors import Code, Refused

pytestmark = pytest.mark.unit

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U
numbers = st.randoms(use_true_random=False).map(lambda source: draw(source.randrange))


# The value of the first seven in base 32, modulo 37, is the place of the eighth in the alphabet:
# 0; 1; 32 + 29 = 61, 24 = R; 1024, 25 = S.
@pytest.mark.parametrize("text", ["00000000", "00000011", "000001XR", "0000100S"])
def test_numbers_worked_by_hand_are_accepted(text: str) -> None:
    assert parse(text) == text


@given(numbers)
def test_a_number_that_was_drawn_is_accepted(number: str) -> None:
    assert len(number) == 8
    assert set(number) <= set(DIGITS)
    assert parse(number) == number


@given(numbers, st.data())
def test_any_one_wrong_character_is_found(number: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 7))
    wrong = data.draw(st.sampled_from([digit for digit in DIGITS if digit != number[place]]))
    with pytest.raises(Refused, match="typing error"):
        parse(number[:place] + wrong + number[place + 1 :])


@given(numbers, st.integers(0, 6))
def test_any_two_neighbours_exchanged_are_found(number: str, place: int) -> None:
    exchanged = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    if exchanged == number:
        return
    with pytest.raises(Refused, match="typing error"):
        parse(exchanged)


@given(numbers)
def test_case_spaces_hyphens_and_look_alikes_do_not_count(number: str) -> None:
    spoken = f" {number[:4]}-{number[4:]} ".lower()
    assert parse(spoken) == number
    assert parse(number.replace("1", "I").replace("0", "O")) == number
    assert parse(number.replace("1", "l").replace("0", "o")) == number


@given(st.text(max_size=12) | st.text(alphabet=DIGITS, min_size=8, max_size=8))
def test_any_other_text_is_a_number_or_refused(text: str) -> None:
    with contextlib.suppress(Refused):
        assert len(parse(text)) == 8
        assert parse(parse(text)) == parse(text)


@pytest.mark.parametrize("text", ["", "0000000", "000000000", "0000000U", "0000000*", "ß" * 8])
def test_another_length_or_alphabet_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="a badge number has 8 characters") as refusal:
        parse(text)
    assert refusal.value.code is Code.INVALID_REQUEST


def test_numbers_are_random() -> None:
    assert len({draw() for _ in range(1000)}) == 1000
