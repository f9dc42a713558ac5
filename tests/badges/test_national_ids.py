"""One person has one national identifier, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.badges.national_ids import normalise, normalised

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("10001234567", "810001234567"),
        ("810001234567", "810001234567"),
        ("8 1000 1234 567", "810001234567"),
        (" 10001234567\n", "810001234567"),
        ("991234567", "0991234567"),
        ("0991234567", "0991234567"),
        ("2a1234567", "02A1234567"),
        ("3760021832/000000018", "3760021832/000000018"),
        ("30b0168811/cpet00001", "30B0168811/CPET00001"),
        ("", ""),
        ("1000123456", "1000123456"),
        ("١٠٠٠١٢٣٤٥٦٧", "١٠٠٠١٢٣٤٥٦٧"),
    ],
)
def test_a_bare_number_gets_the_digit_of_its_register(written: str, compared: str) -> None:
    assert normalise(written) == compared


@given(st.text(max_size=30) | st.text("0123456789AB /", max_size=14))
def test_what_is_normalised_stays(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_a_person_has_each_identifier_once_and_none_that_is_blank() -> None:
    assert normalised(["10001234567", "810001234567", "  "]) == {"810001234567"}
