"""What an ATR may be, and what a PIN must be before a card sees it."""

import pytest

from cardd.cps.family import Family, family_of
from cardd.cps.pin import LONGEST_BLOCK, PinAttributes, PinType, guard, judge
from cardd.errors import (
    CardProtocolError,
    CardStatusError,
    Code,
    PinBlocked,
    PinIncorrect,
    PinLastTry,
    Refused,
)
from cardd.readers.pinpad import PinEntry
from cardd.secret import Secret

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("atr", "family"),
    [
        ("3BAC00402A001225006480000310009000", Family.CPS3_CONTACT),
        ("3B8F80010031B86404B0ECC1739401808290000E", Family.CPS3_CONTACTLESS),
        ("3B8F80010031B86404B1ECC1739401808290000F", Family.CPS3_CONTACTLESS),
        ("3B9B188001001225006480040100009044", Family.CPS4),
        ("3B9B188001001225006480000401009044", Family.CPS4),
        ("3BDC18FF00001225006480000401009000", Family.CPS4),
        ("3B9B188001001225006480000401009045", None),
        ("3B8180018080", None),
        ("", None),
        ("3BAC00402A0012250064800003100090", None),
    ],
)
def test_the_family_of_an_atr(atr: str, family: Family | None) -> None:
    assert family_of(bytes.fromhex(atr)) is family


def test_bits_outside_of_the_mask_do_not_count() -> None:
    atr = bytearray.fromhex("3BAC00402A001225006480000310009000")
    atr[1:5] = b"\xff\xff\xff\xff"
    atr[11:14] = b"\x77\x77\x77"
    assert family_of(bytes(atr)) is Family.CPS3_CONTACT
    atr[6] ^= 1
    assert family_of(bytes(atr)) is None


PIN = PinAttributes("PIN", 1, minimum=4, maximum=8, stored_length=8)


@pytest.mark.parametrize(
    "wrong", [b"", b"123", b"123456789", b"12a4", b"12 4", b"-123", "١٢٣٤".encode(), b"1234\x00"]
)
def test_a_pin_of_wrong_form_is_refused_and_not_shown(wrong: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        PIN.encode(Secret(wrong))
    assert refusal.value.code is Code.PIN_MALFORMED
    assert refusal.value.facts == {"minimum": 4, "maximum": 8}
    assert not wrong or wrong.decode() not in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "padded", "pad", "pin", "block"),
    [
        (PinType.ASCII_NUMERIC, False, 0xFF, "1234", "31323334"),
        (PinType.ASCII_NUMERIC, True, 0xFF, "1234", "31323334FFFFFFFF"),
        (PinType.UTF8, True, 0x00, "12345", "3132333435000000"),
        (PinType.BCD, False, 0xFF, "1234", "1234"),
        (PinType.BCD, False, 0xFF, "12345", "12345F"),
        (PinType.BCD, True, 0x00, "12345", "1234500000000000"),
    ],
)
def test_a_pin_is_padded_as_the_card_says(
    kind: PinType, padded: bool, pad: int, pin: str, block: str
) -> None:
    attributes = PinAttributes(
        "PIN", 1, minimum=4, maximum=8, stored_length=8, type=kind, pad=pad, padded=padded
    )
    assert attributes.encode(Secret(pin.encode())) == bytes.fromhex(block)


def test_a_pin_format_out_of_bounds_is_a_malformed_card() -> None:
    with pytest.raises(CardProtocolError):
        PinAttributes("PIN", 1, minimum=0, maximum=8, stored_length=8).require_fit()
    for stored in (16, 200):
        with pytest.raises(CardProtocolError):
            PinAttributes("PIN", 1, 4, 8, stored_length=stored, padded=True).require_fit()


def test_the_longest_block_that_fits_is_one_that_a_keypad_takes() -> None:
    pin = PinAttributes("PIN", 1, 4, 8, stored_length=LONGEST_BLOCK, padded=True)
    pin.require_fit()
    header = bytes.fromhex("00200001")
    assert PinEntry(header, pin.minimum, pin.maximum, pin.block_length).encode()
    with pytest.raises(ValueError, match="at most 15"):
        PinEntry(header, pin.minimum, pin.maximum, LONGEST_BLOCK + 1).encode()


def test_the_state_says_blocked_at_zero_alone() -> None:
    assert PIN.state(0).blocked
    assert not PIN.state(1).blocked
    assert not PIN.state(None).blocked


def test_the_last_try_is_kept_unless_it_is_asked_for() -> None:
    guard(3, use_last_try=False)
    guard(None, use_last_try=False)
    guard(1, use_last_try=True)
    with pytest.raises(PinLastTry) as refusal:
        guard(1, use_last_try=False)
    assert (refusal.value.code, refusal.value.facts) == (Code.PIN_LAST_TRY, {"tries_left": 1})
    for use in (False, True):
        with pytest.raises(PinBlocked) as blocked:
            guard(0, use_last_try=use)
        assert blocked.value.code is Code.PIN_BLOCKED


def test_only_9000_is_a_correct_pin() -> None:
    judge(0x9000)
    with pytest.raises(PinIncorrect) as refusal:
        judge(0x63C2)
    assert (refusal.value.tries_left, refusal.value.code) == (2, Code.PIN_INCORRECT)
    for word in (0x63C0, 0x6983):
        with pytest.raises(PinBlocked):
            judge(word)
    for word in (0x6984, 0x6A88, 0x6982, 0x6300, 0x6985, 0x9001, 0x6282, 0x0000):
        with pytest.raises(CardStatusError):
            judge(word)
