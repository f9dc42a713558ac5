"""Value files: limits, rights, LimitedCredit, and how the amounts travel."""

import pytest

from simulators.desfire import VirtualDesfire
from tests.simulators.file_side import (
    COMMIT,
    CREDIT,
    DEBIT,
    EV2_PRODUCTS,
    LIMITED_CREDIT,
    PRODUCTS,
    card_with,
    change,
    data_file,
    four,
    record_file,
    refundable,
    value_file,
    value_of,
)
from tests.simulators.reader_side import Ev1Reader, Ev2Reader, exchange, native, status

pytestmark = pytest.mark.unit

ENABLED, FREE_TO_GET = 1, 2


@pytest.fixture(params=PRODUCTS)
def card(request: pytest.FixtureRequest) -> VirtualDesfire:
    return card_with(request.param, value_file(1, -10, 100, 50, ENABLED))


def run(card: VirtualDesfire, *frames: bytes) -> int:
    """Run commands and commit; return the value."""
    for frame in (*frames, COMMIT):
        exchange(card, frame)
    return value_of(card, 1)


def test_credits_and_debits_of_a_transaction_add_up(card: VirtualDesfire) -> None:
    assert run(card, change(CREDIT, 1, 20), change(DEBIT, 1, 5), change(CREDIT, 1, 1)) == 66


@pytest.mark.parametrize(
    ("ins", "most"), [(CREDIT, 50), (DEBIT, 60)], ids=["upper limit", "lower limit"]
)
def test_a_value_reaches_its_limit_and_not_beyond(
    card: VirtualDesfire, ins: int, most: int
) -> None:
    assert native(card, change(ins, 1, most + 1))[0] == 0xBE
    exchange(card, change(ins, 1, most - 1))
    assert native(card, change(ins, 1, 2))[0] == 0xBE
    assert run(card, change(ins, 1, most)) in {-10, 100}


@pytest.mark.parametrize("ins", [CREDIT, DEBIT, LIMITED_CREDIT])
def test_no_amount_is_negative(card: VirtualDesfire, ins: int) -> None:
    assert native(card, change(ins, 1, -1))[0] == 0x9E


def test_the_whole_range_of_32_bits_is_taken_without_overflow() -> None:
    card = card_with("ev1", value_file(1, -(1 << 31), (1 << 31) - 1, (1 << 31) - 1))
    assert native(card, change(CREDIT, 1, 1))[0] == 0xBE
    most = (1 << 31) - 1
    assert run(card, change(DEBIT, 1, most), change(DEBIT, 1, most)) == -most
    assert native(card, change(DEBIT, 1, 2))[0] == 0xBE


def test_limited_credit_gives_back_what_the_last_debits_took_and_once(
    card: VirtualDesfire,
) -> None:
    """As libfreefare's test does: 1300 and 1700 taken, 20 given between, 3000 given back."""
    run(card, change(DEBIT, 1, 13), change(CREDIT, 1, 2), change(DEBIT, 1, 17))
    assert refundable(card, 1) == 30
    assert native(card, change(LIMITED_CREDIT, 1, 31))[0] == 0xBE
    assert run(card, change(LIMITED_CREDIT, 1, 30)) == 52
    assert refundable(card, 1) == 0
    assert native(card, change(LIMITED_CREDIT, 1, 1))[0] == 0xBE


def test_limited_credit_is_spent_whatever_it_gave_back(card: VirtualDesfire) -> None:
    run(card, change(DEBIT, 1, 30))
    assert run(card, change(LIMITED_CREDIT, 1, 1)) == 21
    assert refundable(card, 1) == 0


def test_a_second_limited_credit_of_one_transaction_is_refused(card: VirtualDesfire) -> None:
    run(card, change(DEBIT, 1, 30))
    exchange(card, change(LIMITED_CREDIT, 1, 1))
    assert native(card, change(LIMITED_CREDIT, 1, 1))[0] == 0xBE
    assert (value_of(card, 1), refundable(card, 1)) == (20, 30)


def test_what_may_be_given_back_is_that_of_the_last_transaction_with_a_debit(
    card: VirtualDesfire,
) -> None:
    run(card, change(DEBIT, 1, 30))
    run(card, change(CREDIT, 1, 5))
    assert refundable(card, 1) == 30
    run(card, change(DEBIT, 1, 4))
    assert refundable(card, 1) == 4
    run(card, change(LIMITED_CREDIT, 1, 4), change(DEBIT, 1, 6))
    assert refundable(card, 1) == 6


def test_a_debit_that_was_not_committed_gives_nothing_back(card: VirtualDesfire) -> None:
    exchange(card, change(DEBIT, 1, 30))
    assert native(card, change(LIMITED_CREDIT, 1, 1))[0] == 0xBE


def test_limited_credit_stays_below_the_upper_limit(card: VirtualDesfire) -> None:
    run(card, change(DEBIT, 1, 30))
    run(card, change(CREDIT, 1, 70))
    assert native(card, change(LIMITED_CREDIT, 1, 11))[0] == 0xBE
    assert run(card, change(LIMITED_CREDIT, 1, 10)) == 100


@pytest.mark.parametrize("product", PRODUCTS)
def test_limited_credit_is_refused_where_it_is_disabled(product: str) -> None:
    """EV1 still counts the debits (libfreefare's test: 97), EV2 does not (its issue 120: 0)."""
    card = card_with(product, value_file(1, 0, 1000))
    run(card, change(CREDIT, 1, 100), change(DEBIT, 1, 97))
    assert refundable(card, 1) == (97 if product == "ev1" else 0)
    assert native(card, change(LIMITED_CREDIT, 1, 1))[0] == 0x9D


@pytest.mark.parametrize(
    ("rights", "granted"),
    [
        ("F01F", {"get", "debit"}),
        ("F0F1", {"get", "debit", "limited"}),
        ("10FF", {"get", "debit", "limited", "credit"}),
        ("F0FF", set()),
    ],
    ids=["read", "write", "read and write", "never"],
)
def test_each_command_takes_its_rights(rights: str, granted: set[str]) -> None:
    card = card_with("ev1", value_file(1, 0, 100, 50, ENABLED, rights=rights))
    frames = {
        "get": b"\x6c\x01",
        "debit": change(DEBIT, 1, 1),
        "limited": change(LIMITED_CREDIT, 1, 0),
        "credit": change(CREDIT, 1, 1),
    }
    refused = {}
    for name, frame in frames.items():
        Ev1Reader.authenticate(card, 1)
        answer = native(card, frame)[0]
        if answer:
            refused[name] = answer
    assert set(frames) - set(refused) == granted
    # A right that nobody has is another status than one of another key.
    never = {"F01F": {"limited", "credit"}, "F0F1": {"credit"}, "F0FF": set(frames)}
    assert {name for name, code in refused.items() if code == 0x9D} == never.get(rights, set())


def test_another_key_than_the_rights_name_is_an_authentication_error(
    card: VirtualDesfire,
) -> None:
    exchange(card, value_file(2, 0, 9, 5, ENABLED, rights="2222"))
    for frame in (b"\x6c\x02", *(change(ins, 2, 1) for ins in (CREDIT, DEBIT, LIMITED_CREDIT))):
        Ev1Reader.authenticate(card, 1)
        assert native(card, frame)[0] == 0xAE


def test_get_value_is_free_where_the_file_says_so(card: VirtualDesfire) -> None:
    exchange(card, value_file(2, 0, 9, 5, FREE_TO_GET, mode=3, rights="2222"))
    exchange(card, value_file(3, 0, 9, 5, mode=3, rights="2222"))
    assert value_of(card, 2) == 5
    assert status(card, "6C 03") == 0xAE
    assert native(card, change(DEBIT, 2, 1))[0] == 0xAE
    session = Ev1Reader.authenticate(card, 2)
    assert session.read_full(b"\x6c\x02", 4) == four(5)


def test_amounts_travel_in_the_mode_of_the_file_under_ev1() -> None:
    card = card_with(
        "ev1", *(value_file(mode, 0, 99, 9, mode=mode, rights="1111") for mode in (1, 3))
    )
    session = Ev1Reader.authenticate(card, 1)
    session.send(change(DEBIT, 1, 2), mac=True)
    session.send_full(b"\xdc\x03", four(3))
    session.send(COMMIT)
    assert session.send(b"\x6c\x01") == four(7)
    assert session.read_full(b"\x6c\x03", 4) == four(6)
    with pytest.raises(AssertionError):
        session.send(b"\x6c\x03")


def test_an_amount_without_its_mac_changes_nothing() -> None:
    card = card_with("ev1", value_file(1, 0, 99, 9, mode=1, rights="1111"))
    Ev1Reader.authenticate(card, 1)
    assert native(card, change(DEBIT, 1, 2) + bytes(8))[0] == 0x1E
    session = Ev1Reader.authenticate(card, 1)
    assert native(card, COMMIT)[0] == 0x0C
    del session


@pytest.mark.parametrize("product", EV2_PRODUCTS)
def test_amounts_travel_in_the_mode_of_the_file_under_ev2(product: str) -> None:
    files = (value_file(mode, 0, 99, 9, mode=mode, rights="1111") for mode in (1, 3))
    card = card_with(product, *files)
    session = Ev2Reader.authenticate(card, 1)
    session.send(change(DEBIT, 1, 2))
    session.send(b"\xdc\x03", four(3))
    session.send(COMMIT)
    assert session.send(b"\x6c\x01") == four(7)
    assert session.send(b"\x6c\x03", full=True) == four(6)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("6C", 0x7E),
        ("6C 01 00", 0x7E),
        ("6C 02", 0xF0),
        ("6C 05", 0x9E),
        ("6C 06", 0x9E),
        ("DC 01 010000", 0xAF),
        ("DC 01 0100000000", 0x7E),
        ("DC 05 01000000", 0x9E),
        ("BD 01 000000 000000", 0x9E),
        ("3D 01 000000 010000 00", 0x9E),
        ("BB 01 000000 000000", 0x9E),
        ("EB 01", 0x9E),
    ],
)
def test_what_a_value_command_refuses(card: VirtualDesfire, frame: str, expected: int) -> None:
    exchange(card, data_file(5))
    exchange(card, record_file(6))
    assert status(card, frame) == expected
