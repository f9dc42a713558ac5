"""Parts of a master: what they make, and which are refused."""

import os
from functools import reduce

import pytest
from Crypto.Cipher import AES
from Crypto.Hash import CMAC
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import CeremonyCode, CeremonyError
from cardd.kms.masters import components
from cardd.kms.masters.check_values import kcv_of, legacy_kcv_of
from cardd.secret import Secret

pytestmark = pytest.mark.unit

keys = st.binary(min_size=16, max_size=16)


def refusal(function: object, *arguments: object) -> str:
    assert callable(function)
    with pytest.raises(CeremonyError) as caught:
        function(*arguments)
    assert caught.value.code is CeremonyCode.COMPONENT_WRONG
    return str(caught.value)


def test_parts_combine_by_exclusive_or() -> None:
    parts = [bytes([0x0F] * 16), bytes([0xF0] * 16), bytes([0x3C] * 16)]
    assert components.combine([Secret(part) for part in parts[:2]]) == Secret(bytes([0xFF] * 16))
    assert components.combine([Secret(part) for part in parts]) == Secret(bytes([0xC3] * 16))


@given(keys, st.lists(keys, min_size=1, max_size=2, unique=True))
def test_all_parts_make_the_key(key: bytes, others: list[bytes]) -> None:
    last = bytes(
        reduce(lambda one, two: one ^ two, column) for column in zip(key, *others, strict=True)
    )
    parts = [*others, last]
    if any(not any(part) for part in parts) or len(set(parts)) < len(parts):
        refusal(components.combine, [Secret(part) for part in parts])
    else:
        assert components.combine([Secret(part) for part in parts]) == Secret(key)


def test_parts_that_leave_the_key_to_fewer_people_are_refused() -> None:
    one, two = Secret(os.urandom(16)), Secret(os.urandom(16))
    assert "part 2 is all zeros" in refusal(components.combine, [one, Secret(bytes(16)), two])
    assert "part 1 is there twice" in refusal(components.combine, [one, two, one])
    for few in ([], [one], [one, two, one, two]):
        assert "2 or 3 parts" in refusal(components.combine, few)


@given(keys)
def test_what_is_written_down_reads_back(value: bytes) -> None:
    groups = components.text(Secret(value))
    assert [len(group) for group in groups] == [4] * 8
    typed = [components.parse_group(n, f" {g.lower()} ") for n, g in enumerate(groups, 1)]
    assert components.parse(typed) == Secret(value)


@pytest.mark.parametrize("typed", ["", "123", "12345", "12G4", "12 34", "１２３４"])
def test_a_typing_error_is_told_with_its_group(typed: str) -> None:
    assert "group 7 has a typing error" in refusal(components.parse_group, 7, typed)


def test_check_values_are_those_of_another_library() -> None:
    key = os.urandom(16)
    cmac = CMAC.new(key, bytes(16), AES).digest()[:3]
    assert kcv_of(Secret(key)) == cmac == components.parse_kcv(cmac.hex())
    assert legacy_kcv_of(Secret(key)) == AES.new(key, AES.MODE_ECB).encrypt(bytes(16))[:3]
    for wrong in ("", "12345", "1234567", "12345G"):
        refusal(components.parse_kcv, wrong)
