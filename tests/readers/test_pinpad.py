"""The structures of PC/SC part 10, by hand, and readers that answer anything."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import CardError, CardProtocolError, CardRemoved, Code, Refused
from cardd.readers.pinpad import (
    GET_FEATURE_REQUEST,
    Feature,
    PinEntry,
    features,
    parse_features,
    verify,
)

pytestmark = pytest.mark.unit

PLAIN = PinEntry(bytes.fromhex("00200001"), 4, 8)
PADDED = PinEntry(bytes.fromhex("00200001"), 4, 8, 8, 0xFF)


class Reader:
    """A reader that answers control codes as it is told, or refuses them."""

    def __init__(self, answer: bytes | CardError) -> None:
        self.answer = answer
        self.asked: list[tuple[int, bytes]] = []

    def control(self, code: int, data: bytes) -> bytes:
        self.asked.append((code, data))
        if isinstance(self.answer, CardError):
            raise self.answer
        return self.answer


def test_a_pin_verify_is_laid_out_as_part_10_says() -> None:
    # bTimerOut, bTimerOut2, bmFormatString, bmPINBlockString, bmPINLengthFormat, wPINMaxExtraDigit,
    # bEntryValidationCondition, bNumberMessage, wLangId, bMsgIndex, bTeoPrologue, ulDataLength
    head = "1E 1E 82 {block} 00 08 04 02 01 0C 04 00 00 00 00 {length} 00 00 00"
    plain = bytes.fromhex(head.format(block="00", length="05") + "00 20 00 01 00")
    padded = bytes.fromhex(head.format(block="08", length="0D") + "00 20 00 01 08" + "FF" * 8)
    assert PLAIN.encode() == plain
    assert PADDED.encode() == padded


@given(
    st.integers(1, 15).flatmap(
        lambda most: st.tuples(
            st.binary(min_size=4, max_size=4),
            st.integers(1, most),
            st.just(most),
            st.one_of(st.none(), st.integers(most, 15)),
        )
    )
)
def test_what_is_written_is_read_again(values: tuple[bytes, int, int, int | None]) -> None:
    entry = PinEntry(*values)
    assert PinEntry.parse(entry.encode()) == entry


@given(st.binary(max_size=64))
def test_any_other_structure_is_a_protocol_error(structure: bytes) -> None:
    with contextlib.suppress(CardProtocolError):
        PinEntry.parse(structure)


def test_the_features_are_read_by_their_tags() -> None:
    reader = Reader(bytes.fromhex("06 04 42000DB2 12 04 42000DB4"))
    assert features(reader)[Feature.VERIFY_PIN_DIRECT] == 0x42000DB2  # type: ignore[arg-type]
    assert reader.asked == [(GET_FEATURE_REQUEST, b"")]


@pytest.mark.parametrize("answer", ["06", "0604", "060342000DB2", "06 04 42000DB2 00" * 43])
def test_a_malformed_list_announces_nothing(answer: str) -> None:
    assert parse_features(bytes.fromhex(answer)) == {}


@given(st.binary(max_size=600))
def test_no_list_of_features_is_an_error(answer: bytes) -> None:
    assert all(0 <= code < 2**32 for code in parse_features(answer).values())


def test_a_reader_that_refuses_the_question_has_no_features_and_one_that_left_is_an_error() -> None:
    assert features(Reader(CardError("not supported"))) == {}  # type: ignore[arg-type]
    with pytest.raises(CardRemoved):
        features(Reader(CardRemoved("gone")))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("6400", Code.TIMEOUT),
        ("6401", Code.PIN_CANCELLED),
        ("6402", Code.PIN_MALFORMED),
        ("6403", Code.PIN_MALFORMED),
    ],
)
def test_what_the_reader_answers_of_itself_is_a_refusal(status: str, code: Code) -> None:
    with pytest.raises(Refused) as refused:
        verify(Reader(bytes.fromhex(status)), 1, PLAIN)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_the_cards_status_is_returned_and_anything_longer_refused() -> None:
    assert verify(Reader(b"\x63\xc2"), 1, PLAIN) == 0x63C2  # type: ignore[arg-type]
    for answer in (b"", b"\x90", b"\x00\x90\x00"):
        with pytest.raises(CardProtocolError):
            verify(Reader(answer), 1, PLAIN)  # type: ignore[arg-type]
