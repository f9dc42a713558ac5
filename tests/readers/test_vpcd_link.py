"""The reader end of the vpcd wire against whatever a card may send."""

import socket
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.errors import CardError
from cardd.readers.vpcd_link import VpcdLink

pytestmark = pytest.mark.unit


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_from_a_card_give_an_atr_or_a_documented_error(
    sent: bytes, hangs_up: bool
) -> None:
    ours, theirs = socket.socketpair()
    link = VpcdLink(ours, answer_timeout_s=0.005)
    with theirs:
        speak_when_asked(theirs, sent, hangs_up)
        with suppress(CardError):
            assert 2 <= len(link.atr()) <= 33
        link.close()


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_from_a_card_give_an_answer_or_a_documented_error(
    sent: bytes, hangs_up: bool
) -> None:
    ours, theirs = socket.socketpair()
    link = VpcdLink(ours, answer_timeout_s=0.005)
    with theirs:
        speak_when_asked(theirs, sent, hangs_up)
        try:
            answer = link.transmit(bytes(5))
        except CardError:
            pass
        else:
            assert len(answer) >= 2
            assert sent.startswith(len(answer).to_bytes(2) + answer)
        link.close()


def speak_when_asked(theirs: socket.socket, sent: bytes, hangs_up: bool) -> None:
    def speak() -> None:
        try:
            theirs.recv(100)
            theirs.sendall(sent)
            if hangs_up:
                theirs.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the link gave up first

    threading.Thread(target=speak, daemon=True).start()


def test_the_largest_frame_passes_both_ways() -> None:
    ours, theirs = socket.socketpair()
    link = VpcdLink(ours, answer_timeout_s=5.0)
    received = bytearray()

    def echo() -> None:
        while len(received) < 2 + 65_535:
            received.extend(theirs.recv(65_536))
        theirs.sendall(received)

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    with theirs:
        command = bytes(range(255)) * 257
        assert link.transmit(command) == command
        thread.join(5)
        link.close()


def test_a_closed_link_gives_documented_errors() -> None:
    ours, theirs = socket.socketpair()
    link = VpcdLink(ours, answer_timeout_s=1.0)
    theirs.close()
    link.close()
    link.close()
    link.power_off()
    assert not link.still_there()
    for call in (link.atr, link.power_on, link.reset, lambda: link.transmit(bytes(5))):
        with pytest.raises(CardError):
            call()
