"""The built-in reader: its address, its one card, and cards that misbehave."""

import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cardd.errors import CardError, CardMute, CardRemoved, StartCode, StartError
from cardd.readers.ports import (
    CardInserted,
    CardWithdrawn,
    ReaderFault,
    ReaderRecovered,
    SourceLost,
)
from cardd.readers.virtual import VirtualSource
from simulators.faults import Faults
from tests.limits import DELAYED_ACKNOWLEDGEMENT_S, ends_soon, fastest_s
from tests.readers.reader_world import ATR, ECHO, Desk, EchoCard, Events, virtual_desk

pytestmark = pytest.mark.unit

GREETING = len(ATR).to_bytes(2) + ATR


@pytest.fixture
def path(short_path: Path) -> Path:
    return short_path / "desk.sock"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    with virtual_desk(f"unix:{path}", answer_timeout_s=0.4) as desk:
        yield desk


def open_files() -> set[str]:
    return {file.name for file in Path("/proc/self/fd").iterdir()}


def raw_card(path: Path) -> socket.socket:
    """Connect as a card would, without any manners."""
    card = socket.socket(socket.AF_UNIX)
    card.settimeout(5)
    card.connect(str(path))
    return card


def exactly(card: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length and (chunk := card.recv(length - len(received))):
        received += chunk
    return received


def asked_for_atr(card: socket.socket) -> None:
    """Read power on, and the question for the ATR."""
    assert exactly(card, 6) == b"\x00\x01\x01\x00\x01\x04"


def ended(card: socket.socket) -> bool:
    """Read what comes, and tell whether it ended."""
    try:
        while card.recv(4096):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def test_on_a_tcp_port_a_command_takes_no_40_ms(short_path: Path) -> None:
    with virtual_desk("tcp:127.0.0.1:0") as desk, desk.card_seen():
        connection = desk.source.connect(desk.reader)
        fastest = fastest_s(lambda: connection.transmit(ECHO))
        assert fastest < DELAYED_ACKNOWLEDGEMENT_S
        connection.close()


def test_the_socket_is_for_its_user_alone_and_goes_with_the_reader(path: Path) -> None:
    with virtual_desk(f"unix:{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_the_socket_of_a_dead_process_is_replaced(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
    with virtual_desk(f"unix:{path}") as desk, desk.card_seen():
        pass


def test_a_socket_in_use_is_refused_and_left_alone(path: Path) -> None:
    with virtual_desk(f"unix:{path}") as desk:
        with pytest.raises(StartError) as caught:
            VirtualSource("second", f"unix:{path}").open()
        assert caught.value.code is StartCode.SOCKET_IN_USE
        with desk.card_seen():
            pass


def test_a_port_in_use_is_refused() -> None:
    with virtual_desk("tcp:127.0.0.1:0") as desk:
        with pytest.raises(StartError) as caught:
            VirtualSource("second", desk.address).open()
        assert caught.value.code is StartCode.SOCKET_IN_USE


def test_a_file_in_the_way_is_not_deleted(path: Path) -> None:
    path.write_text("a letter")
    with pytest.raises(StartError) as caught:
        VirtualSource("desk", f"unix:{path}").open()
    assert caught.value.code is StartCode.SOCKET_UNAVAILABLE
    assert path.read_text() == "a letter"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("unix:/no/such/directory/desk.sock", StartCode.SOCKET_UNAVAILABLE),
        ("unix:/tmp/" + "x" * 200, StartCode.SOCKET_UNAVAILABLE),
        ("unix:/tmp/nul\0byte", StartCode.SOCKET_UNAVAILABLE),
        ("unix:", StartCode.CONFIG_INVALID),
        ("tcp:0.0.0.0:35970", StartCode.CONFIG_INVALID),
        ("tcp:192.0.2.1:35970", StartCode.CONFIG_INVALID),
        ("tcp:127.0.0.1:99999", StartCode.SOCKET_UNAVAILABLE),
        ("tcp:127.0.0.1:", StartCode.CONFIG_INVALID),
        ("tcp:127.0.0.1:²", StartCode.CONFIG_INVALID),
        ("desk.sock", StartCode.CONFIG_INVALID),
    ],
)
def test_an_address_that_cannot_be_had_is_a_documented_error(address: str, code: StartCode) -> None:
    with pytest.raises(StartError) as caught:
        VirtualSource("desk", address).open()
    assert caught.value.code is code


def test_started_on_an_address_that_cannot_be_had_it_tells_and_stops(path: Path) -> None:
    path.write_text("a letter")
    events = Events()
    source = VirtualSource("desk", f"unix:{path}")
    source.start(events)
    assert isinstance(events.next(), SourceLost)
    source.stop()
    assert path.exists()


def test_a_second_card_is_turned_away_and_the_first_stays(desk: Desk, path: Path) -> None:
    with desk.card_seen():
        with raw_card(path) as second:
            assert second.recv(16) == b""
        connection = desk.source.connect(desk.reader)
        assert connection.transmit(ECHO) == b"\x01\x02\x03\x90\x00"
        connection.close()
        assert desk.events.quiet_for(0.1)


def test_a_card_that_answers_no_command_is_mute_and_dropped(desk: Desk) -> None:
    with desk.card_seen(faults=Faults(mute_after=1)):
        connection = desk.source.connect(desk.reader)
        connection.transmit(ECHO)
        began = time.monotonic()
        with ends_soon(), pytest.raises(CardMute):
            connection.transmit(ECHO)
        assert time.monotonic() - began > 0.3
        assert desk.events.next() == CardWithdrawn(desk.reader)
        with pytest.raises(CardRemoved):
            connection.transmit(ECHO)
        connection.close()
    with desk.card_seen():
        pass


def test_a_stop_in_the_middle_of_an_exchange_ends_it(path: Path) -> None:
    reached, answer = threading.Event(), threading.Event()
    errors: list[CardError] = []

    def never(_: bytes) -> bytes:
        reached.set()
        answer.wait(10)
        return b"\x90\x00"

    def exchange(desk: Desk) -> None:
        try:
            desk.source.connect(desk.reader).transmit(ECHO)
        except CardError as error:
            errors.append(error)

    with (
        virtual_desk(f"unix:{path}", answer_timeout_s=30.0) as desk,
        desk.card_seen(EchoCard(answer=never)),
    ):
        thread = threading.Thread(target=exchange, args=(desk,), daemon=True)
        thread.start()
        assert reached.wait(20)
        with ends_soon():
            desk.source.stop()
            thread.join(5)
        answer.set()
    assert [type(error) for error in errors] == [CardRemoved]


@pytest.mark.parametrize(
    "greeting",
    [
        b"\x00\x01\x3b",  # an ATR of one byte
        b"\x00\x22" + bytes(34),  # longer than an ATR can be
        b"\xff\xff" + bytes(100),  # longer than what comes
        b"\x00",  # half a length
        b"",  # nothing
    ],
)
def test_a_client_without_a_proper_atr_is_no_card(desk: Desk, path: Path, greeting: bytes) -> None:
    with raw_card(path) as card:
        asked_for_atr(card)
        card.sendall(greeting)
        fault = desk.events.next()
        assert isinstance(fault, ReaderFault)
        assert desk.events.next() == ReaderRecovered(desk.reader)
        assert ended(card)
    with desk.card_seen():
        pass


def test_an_empty_atr_is_no_card_and_no_fault(desk: Desk, path: Path) -> None:
    with raw_card(path) as card:
        asked_for_atr(card)
        card.sendall(b"\x00\x00")
        assert ended(card)
    assert desk.events.quiet_for(0.1)


def test_a_client_that_leaves_at_once_is_no_card_and_no_fault(desk: Desk, path: Path) -> None:
    for _ in range(20):
        raw_card(path).close()
    assert desk.events.quiet_for(0.2)
    with desk.card_seen():
        pass


def test_an_atr_that_becomes_empty_is_a_card_taken_away(desk: Desk, path: Path) -> None:
    card = EchoCard()
    with desk.card_seen(card):
        card.atr = b""
        assert desk.events.next() == CardWithdrawn(desk.reader)


def test_a_card_that_stops_answering_while_idle_is_taken_away(desk: Desk, path: Path) -> None:
    with raw_card(path) as card:
        asked_for_atr(card)
        card.sendall(GREETING)
        desk.events.until(CardInserted)
        assert desk.events.next() == CardWithdrawn(desk.reader)
        assert ended(card)


@pytest.mark.parametrize("unasked", [b"\x00\x02\x90\x00", b"\x90", b"\x00"])
def test_an_answer_sent_before_its_command_is_never_taken_for_one(
    desk: Desk, path: Path, unasked: bytes
) -> None:
    with raw_card(path) as card:
        asked_for_atr(card)
        card.sendall(GREETING + unasked)
        desk.events.until(CardInserted)
        with pytest.raises(CardError):
            desk.source.connect(desk.reader).transmit(ECHO)
        desk.wait_empty()


def test_the_last_answer_arrives_though_the_card_leaves_with_it(desk: Desk, path: Path) -> None:
    def last_words(card: socket.socket) -> None:
        with card:
            asked_for_atr(card)
            card.sendall(GREETING)
            assert exactly(card, 2 + len(ECHO))[2:] == ECHO
            card.sendall(b"\x00\x02\x90\x00")

    for _ in range(20):
        thread = threading.Thread(target=last_words, args=(raw_card(path),), daemon=True)
        thread.start()
        desk.events.until(CardInserted)
        assert desk.source.connect(desk.reader).transmit(ECHO) == b"\x90\x00"
        thread.join(5)
        desk.wait_empty()


def test_an_answer_that_trickles_in_has_one_time_limit_for_all_of_it(
    desk: Desk, path: Path
) -> None:
    done = threading.Event()

    def trickle(card: socket.socket) -> None:
        exactly(card, 2 + len(ECHO))
        try:
            for byte in b"\x00\x40" + bytes(0x40):
                card.sendall(bytes((byte,)))
                if done.wait(0.1):
                    return
        except OSError:
            return  # dropped, as it should be

    with raw_card(path) as card:
        asked_for_atr(card)
        card.sendall(GREETING)
        desk.events.until(CardInserted)
        connection = desk.source.connect(desk.reader)
        with connection.transaction():
            thread = threading.Thread(target=trickle, args=(card,), daemon=True)
            thread.start()
            with ends_soon(), pytest.raises(CardMute):
                connection.transmit(ECHO)
        done.set()
        thread.join(5)


def test_nothing_stays_open_after_a_stop(path: Path) -> None:
    before = open_files()
    with virtual_desk(f"unix:{path}") as desk:
        with desk.card_seen():
            pass
        desk.wait_empty()
    assert open_files() <= before
