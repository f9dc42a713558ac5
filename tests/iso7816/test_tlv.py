"""Data objects of real cards are read; whatever else comes is refused with a documented error."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import CardProtocolError
from cardd.iso7816.tlv import descend, find, parse_first, parse_tlvs

pytestmark = pytest.mark.unit

# Read from a real CPS3 (OpenSC, pull request 2217): FCP of EF.ATR, EF.ATR, and a PIN's tries.
FCP = bytes.fromhex(
    "62258002003982010183022F018801E8A1128C077B45FFFFFF45009C077BFFFFFFFFFF008A0105"
)
EF_ATR = bytes.fromhex(
    "80"
    "4301B8460404B0ECC147039401804F088025000001FF0100"
    "E010020201040202010402020100020201007808 06062B8122F87802 82029000"
)
TRIES = bytes.fromhex("7016BF810112A0109A01039B0103A1088C06F3000013FF00")


def test_control_parameters_of_a_real_card_are_read() -> None:
    (template,) = parse_tlvs(FCP)
    assert template.tag == 0x62
    children = template.children()
    assert [each.tag for each in children] == [0x80, 0x82, 0x83, 0x88, 0xA1, 0x8A]
    assert descend(FCP, 0x62, 0x83) == bytes.fromhex("2F01")
    assert descend(FCP, 0x62, 0xA1, 0x9C) == bytes.fromhex("7BFFFFFFFFFF00")


def test_ef_atr_of_a_real_card_is_read_after_its_category_byte() -> None:
    assert EF_ATR[0] == 0x80
    objects = parse_tlvs(EF_ATR[1:])
    assert descend(EF_ATR[1:], 0x4F) == bytes.fromhex("8025000001FF0100")
    (limits,) = [each for each in objects if each.tag == 0xE0]
    assert [int.from_bytes(each.value) for each in limits.children()] == [260, 260, 256, 256]


def test_a_tag_of_three_bytes_is_one_number() -> None:
    assert descend(TRIES, 0x70, 0xBF8101, 0xA0, 0x9B) == b"\x03"
    assert descend(TRIES, 0x70, 0xBF8102, 0xA0, 0x9B) is None


@pytest.mark.parametrize(
    ("encoded", "value"),
    [("0400", ""), ("0402AABB", "AABB"), ("048101CC", "CC"), ("04820001DD", "DD"),
     ("0483000001EE", "EE")],
)  # fmt: skip
def test_every_form_of_length_is_read(encoded: str, value: str) -> None:
    assert parse_first(bytes.fromhex(encoded)).value == bytes.fromhex(value)


def test_bytes_between_objects_are_padding() -> None:
    objects = parse_tlvs(bytes.fromhex("0000 0401AA FF00 0401BB FFFFFF"))
    assert [each.value.hex() for each in objects] == ["aa", "bb"]
    assert find(objects, 0x05) is None


@pytest.mark.parametrize(
    "hostile",
    ["04", "0402AA", "0480AA0000", "0484000000010A", "0481", "1F", "1F81", "1F818101AA",
     "1F81818101", "0483FFFFFF"],
)  # fmt: skip
def test_what_is_cut_off_endless_or_too_long_is_refused(hostile: str) -> None:
    with pytest.raises(CardProtocolError):
        parse_tlvs(bytes.fromhex(hostile))


def test_more_objects_than_a_card_has_are_refused() -> None:
    assert len(parse_tlvs(b"\x04\x00" * 1024)) == 1024
    with pytest.raises(CardProtocolError, match="1024"):
        parse_tlvs(b"\x04\x00" * 1025)


def test_nesting_costs_nothing_that_was_not_asked_for() -> None:
    deep = b""
    for _ in range(2000):
        length = len(deep)
        head = bytes((length,)) if length < 128 else b"\x82" + length.to_bytes(2)
        deep = b"\x30" + head + deep
    started = time.perf_counter()
    assert parse_first(deep).tag == 0x30
    assert time.perf_counter() - started < 0.5


tags = st.one_of(
    st.integers(1, 0xFE).filter(lambda tag: tag & 0x1F != 0x1F),
    st.integers(0x1F, 0x7F).map(lambda low: 0xBF00 | low),
    st.integers(0x00, 0x7F).map(lambda low: 0xBF8100 | low),
)


def encode(tag: int, value: bytes) -> bytes:
    head = tag.to_bytes((tag.bit_length() + 7) // 8)
    if len(value) < 0x80:
        return head + bytes((len(value),)) + value
    return head + b"\x82" + len(value).to_bytes(2) + value


@given(st.lists(st.tuples(tags, st.binary(max_size=300)), max_size=8))
def test_what_is_written_is_read_back(objects: list[tuple[int, bytes]]) -> None:
    data = b"".join(encode(tag, value) for tag, value in objects)
    read = parse_tlvs(data)
    assert [(each.tag, each.value) for each in read] == objects
    assert b"".join(each.encoded for each in read) == data


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(CardProtocolError):
        for each in parse_tlvs(data):
            assert each.encoded in data
            with contextlib.suppress(CardProtocolError):
                each.children()
