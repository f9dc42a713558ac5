"""A command as T=0 carries it: no Le after data, and a P3 where there is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.iso7816.apdu import CommandApdu, t0_form

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("apdu", "carried"),
    [
        ("01200081", "0120008100"),
        ("00B000000C", "00B000000C"),
        ("00A4040C023F00", "00A4040C023F00"),
        ("00A40904023F0000", "00A40904023F00"),
        ("00A404000000", "00A404000000"),
    ],
)
def test_each_case_of_a_command(apdu: str, carried: str) -> None:
    assert t0_form(bytes.fromhex(apdu)) == bytes.fromhex(carried)


@given(st.binary(max_size=255), st.none() | st.integers(1, 256))
def test_no_data_is_lost(data: bytes, le: int | None) -> None:
    command = CommandApdu(0x00, 0x88, data=data, le=le).encode()
    carried = t0_form(command)
    assert carried[:5] == (command + b"\x00")[:5]
    assert carried[5:] == data
    assert t0_form(carried) == carried or not data
