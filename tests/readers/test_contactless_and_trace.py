"""The UID that a contactless reader gives, and what the trace of an exchange tells."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import structlog

from cardd.errors import CardError, CardRemoved, Code
from cardd.readers.contactless import read_uid
from cardd.readers.trace import TracedConnection

pytestmark = pytest.mark.unit


class OneAnswer:
    """A connection whose card knows one answer."""

    atr = b"\x3b\x00"

    def __init__(self, answer: bytes | CardError) -> None:
        self.answer = answer
        self.commands: list[bytes] = []

    def transmit(self, command: bytes) -> bytes:
        self.commands.append(command)
        if isinstance(self.answer, CardError):
            raise self.answer
        return self.answer

    def control(self, code: int, data: bytes) -> bytes:
        return data

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("length", [4, 7, 10])
def test_a_uid_has_4_7_or_10_bytes(length: int) -> None:
    card = OneAnswer(bytes(range(length)) + b"\x90\x00")
    assert read_uid(card) == bytes(range(length))
    assert card.commands == [bytes.fromhex("FFCA000000")]


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x90", b"\x90\x00", *(bytes(n) + b"\x90\x00" for n in (1, 3, 5, 6, 8, 9, 11, 256)),
     bytes(300), b"\x6a\x81", b"\x63\x00", bytes(7) + b"\x62\x82"],
)  # fmt: skip
def test_anything_else_is_a_card_that_is_not_supported(answer: bytes) -> None:
    with pytest.raises(CardError) as caught:
        read_uid(OneAnswer(answer))
    assert caught.value.code is Code.CARD_NOT_SUPPORTED


def test_a_card_removed_before_its_uid_stays_a_removal() -> None:
    with pytest.raises(CardRemoved):
        read_uid(OneAnswer(CardRemoved("gone")))


def traced(answer: bytes | CardError, command: bytes) -> tuple[Any, list[Any]]:
    with structlog.testing.capture_logs() as logs:
        connection = TracedConnection(OneAnswer(answer), reader="desk")
        try:
            result: Any = connection.transmit(command)
        except CardError as error:
            result = error
    return result, logs


def test_a_trace_has_header_lengths_and_status_and_no_data() -> None:
    answer, logs = traced(b"\xca\xfe\xba\xbe\x90\x00", bytes.fromhex("0020008004DEADBEEF"))
    assert answer == b"\xca\xfe\xba\xbe\x90\x00"
    assert logs == [
        {
            "event": "apdu",
            "log_level": "debug",
            "reader": "desk",
            "header": "00 20 00 80",
            "sent": 9,
            "received": 6,
            "status": "9000",
        }
    ]


def test_a_trace_of_a_failure_has_its_code() -> None:
    error, logs = traced(CardRemoved("gone"), bytes(5))
    assert isinstance(error, CardRemoved)
    assert [(line["event"], line["code"]) for line in logs] == [("apdu.failed", "card_removed")]
