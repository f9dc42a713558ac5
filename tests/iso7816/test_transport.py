"""One command and its whole answer, whatever detours the card asks for."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import CardProtocolError
from cardd.iso7816.apdu import CommandApdu, ResponseApdu
from cardd.iso7816.exchange import Exchange
from cardd.iso7816.status import status_error, tries_left
from cardd.iso7816.transport import chain, transceive

pytestmark = pytest.mark.unit

READ = CommandApdu(0x00, 0xB0, 0x00, 0x00, le=256)


def play(exchange: Exchange[Any], *script: tuple[str, str]) -> Any:
    """Drive an exchange; each command must be the next of the script, and all must be used."""
    steps = iter(script)
    try:
        commands = next(exchange)
        while True:
            expected, answer = next(steps)
            assert [command.hex().upper() for command in commands] == [expected]
            commands = exchange.send((bytes.fromhex(answer),))
    except StopIteration as stop:
        assert next(steps, None) is None
        return stop.value


def test_a_whole_answer_is_returned_at_once() -> None:
    assert play(transceive(READ), ("00B0000000", "AABB9000")) == ResponseApdu(b"\xaa\xbb", 0x9000)


def test_an_answer_is_fetched_in_the_pieces_that_the_card_announces() -> None:
    response = play(
        transceive(CommandApdu(0x00, 0xA4, 0x09, 0x04, b"\x3f\x00", 256)),
        ("00A40904023F0000", "6102"),
        ("00C0000002", "AABB6100"),
        ("00C0000000", "CC9000"),
    )
    assert response == ResponseApdu(b"\xaa\xbb\xcc", 0x9000)


def test_get_response_keeps_the_channel() -> None:
    play(
        transceive(CommandApdu(0x01, 0xA4, le=256)),
        ("01A4000000", "6101"),
        ("01C0000001", "AA9000"),
    )


def test_a_wrong_le_is_sent_again_as_the_card_says() -> None:
    response = play(transceive(READ), ("00B0000000", "6C0C"), ("00B000000C", "AA9000"))
    assert response.data == b"\xaa"


def test_get_response_with_a_wrong_le_is_sent_again_too() -> None:
    response = play(
        transceive(READ), ("00B0000000", "6105"), ("00C0000005", "6C04"), ("00C0000004", "AA9000")
    )
    assert response.data == b"\xaa"


def test_an_error_after_a_piece_is_the_status() -> None:
    assert play(transceive(READ), ("00B0000000", "6105"), ("00C0000005", "6F00")).status == 0x6F00


def test_data_that_nobody_expects_is_left_on_the_card() -> None:
    verify = CommandApdu(0x00, 0x20, 0x00, 0x01, b"1234")
    assert play(transceive(verify), ("002000010431323334", "6110")) == ResponseApdu(b"", 0x9000)


def test_a_wrong_le_for_a_command_without_one_is_an_error_status() -> None:
    assert play(transceive(CommandApdu(0x00, 0x20)), ("00200000", "6C04")).status == 0x6C04


def test_a_long_command_is_chained() -> None:
    operation = CommandApdu(0x01, 0x2A, 0x80, 0x86, le=256)
    response = play(
        chain(operation, b"\x55" * 256),
        ("112A8086FF" + "55" * 255, "9000"),
        ("012A8086015500", "6102"),
        ("01C0000002", "AABB9000"),
    )
    assert response.data == b"\xaa\xbb"


def test_a_chain_ends_where_the_card_refuses_a_part() -> None:
    operation = CommandApdu(0x01, 0x2A, 0x80, 0x86, le=256)
    assert play(chain(operation, b"\x55" * 600), ("112A8086FF" + "55" * 255, "6883")).status == (
        0x6883
    )


def feed(exchange: Exchange[Any], answers: Iterable[bytes]) -> ResponseApdu | None:
    """Drive an exchange with answers; None where they refuse it; fail where they do not end it."""
    next(exchange)
    try:
        for answer in answers:
            exchange.send((answer,))
    except CardProtocolError:
        return None
    except StopIteration as stop:
        response: ResponseApdu = stop.value
        return response
    raise AssertionError("the exchange does not end")


@pytest.mark.parametrize("endless", ["6100", "6101", "AA6101", "00" * 256 + "6100"])
def test_an_answer_that_does_not_end_is_given_up(endless: str) -> None:
    assert feed(transceive(READ), [bytes.fromhex(endless)] * 100) is None


def test_a_second_wrong_le_is_an_error_status() -> None:
    response = feed(transceive(READ), [bytes.fromhex("6C05")] * 100)
    assert response == ResponseApdu(b"", 0x6C05)


def test_another_count_of_answers_than_one_is_refused() -> None:
    exchange = transceive(READ)
    next(exchange)
    with pytest.raises(CardProtocolError):
        exchange.send((b"\x90\x00", b"\x90\x00"))


@given(st.lists(st.binary(max_size=300), min_size=100, max_size=100))
def test_whatever_comes_back_ends_with_a_status_or_a_documented_error(answers: list[bytes]) -> None:
    response = feed(transceive(READ), answers)
    assert response is None or len(response.data) <= 4096


def test_a_status_with_a_counter_is_told_from_others() -> None:
    assert [tries_left(word) for word in (0x63C0, 0x63C3, 0x6300, 0x6983, 0x9000)] == [
        0, 3, None, None, None,
    ]  # fmt: skip


def test_an_error_status_says_command_status_and_meaning() -> None:
    error = status_error("SELECT", 0x6A82)
    assert error.status == 0x6A82
    assert "SELECT" in str(error)
    assert "6A82" in str(error)
    assert "not found" in str(error)
