"""The protocols of known cards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.iso7816.atr import protocols

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("atr", "offered"),
    [
        ("3BAC00402A001225006480000310009000", {0}),  # CPS3: TA1, TC1, no TD1
        ("3B8F80010031B86404B0ECC1739401808290000E", {0, 1}),
        ("3B9B188001001225006480040100009044", {0, 1}),
        ("3BDC18FF00001225006480000401009000", {0}),  # CPS4 of T=0 alone: TD1 = 00
        ("3B8180018080", {0, 1}),
        ("3B021450", {0}),
        ("3BFF1300008131FE4D8025A00000005657444B3330300600D1", {1}),  # TD1 = 81, TD2 = 31
    ],
)
def test_the_protocols_that_an_atr_offers(atr: str, offered: set[int]) -> None:
    assert protocols(bytes.fromhex(atr)) == offered


@given(st.binary(max_size=40))
def test_any_bytes_have_an_answer(atr: bytes) -> None:
    assert protocols(atr) <= set(range(16))
