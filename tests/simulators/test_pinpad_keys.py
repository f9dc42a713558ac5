"""A finger on the keys: the simulators' end of a pinpad, against cardd's own and a bad one."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cardd.errors import CarddError, CardRemoved, Code
from cardd.readers import pinpad
from cardd.readers.pinpad import Feature, PinEntry
from cardd.readers.ports import CardInserted
from cardd.readers.virtual import VirtualSource
from simulators.cps.chipdoc import VirtualCps4
from simulators.cps.chipdoc.chip import Chip
from simulators.link import Insertion, insert
from simulators.pinpad import Key, PinpadError, Typed, press, socket_of
from tests.readers.reader_world import Events
from tests.simulators.cps4_side import SELECT_CHIPDOC

pytestmark = pytest.mark.unit

ENTRY = PinEntry(bytes.fromhex("01200001"), 4, 8)
LIMIT_S = 25.0


@dataclass
class Asking:
    """A program that asks for a PIN, in a thread of its own."""

    ask: Callable[[], int]
    status: int | None = None
    error: CarddError | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.status = self.ask()
        except CarddError as error:
            self.error = error

    def end(self) -> "Asking":
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()
        return self


@dataclass
class Desk:
    """A reader with a pinpad, and a CPS4 in it."""

    address: str
    card: VirtualCps4
    insertion: Insertion
    connection: object

    def ask(self) -> Asking:
        control = pinpad.features(self.connection)[Feature.VERIFY_PIN_DIRECT]  # type: ignore[arg-type]
        return Asking(lambda: pinpad.verify(self.connection, control, ENTRY))  # type: ignore[arg-type]

    @property
    def tries_left(self) -> int:
        return self.card.chip.codes[1].tries_left


@pytest.fixture
def desk(tmp_path: Path, cps4_chip: Chip) -> Iterator[Desk]:
    source = VirtualSource("desk", f"unix:{tmp_path}/desk", has_pinpad=True)
    events = Events()
    card = VirtualCps4(cps4_chip)
    source.start(events)
    try:
        with insert(card, source.address) as insertion:
            events.until(CardInserted)
            connection = source.connect("desk")
            assert connection.transmit(bytes.fromhex(SELECT_CHIPDOC)) == b"\x90\x00"
            yield Desk(source.address, card, insertion, connection)
            connection.close()
    finally:
        source.stop()


def test_a_typed_pin_is_verified_by_the_card(desk: Desk) -> None:
    asking = desk.ask()
    assert press(desk.address, ["1234"], wait_seconds=LIMIT_S) == Typed(1, 0x9000)
    assert asking.end().status == 0x9000
    assert desk.card.commands[-1] == bytes.fromhex("0120000104") + b"1234"


def test_a_wrong_pin_costs_one_try_and_the_finger_sees_it(desk: Desk) -> None:
    for left in (2, 1):
        asking = desk.ask()
        assert press(desk.address, ["9999"], wait_seconds=LIMIT_S).status == 0x63C0 | left
        assert asking.end().status == 0x63C0 | left
        assert desk.tries_left == left


def test_a_finger_that_comes_first_waits_until_the_reader_asks(desk: Desk) -> None:
    for _ in range(2):
        typing = threading.Thread(
            target=press, args=(desk.address, ["1234"]), kwargs={"wait_seconds": LIMIT_S}
        )
        typing.start()
        typing.join(0.2)
        assert typing.is_alive()
        assert desk.ask().end().status == 0x9000
        typing.join(LIMIT_S)
        assert not typing.is_alive()


@pytest.mark.parametrize(
    ("pin", "last", "status", "code"),
    [
        ("1234", Key.CANCEL, 0x6401, Code.PIN_CANCELLED),
        ("123", Key.OK, 0x6403, Code.PIN_MALFORMED),
        ("123456789", Key.OK, 0x6403, Code.PIN_MALFORMED),
        ("", Key.CANCEL, 0x6401, Code.PIN_CANCELLED),
    ],
)
def test_what_the_reader_ends_itself_never_reaches_the_card(
    desk: Desk, pin: str, last: Key, status: int, code: Code
) -> None:
    asking = desk.ask()
    assert press(desk.address, [pin], last=last, wait_seconds=LIMIT_S) == Typed(1, status)
    error = asking.end().error
    assert error is not None
    assert error.code is code
    assert desk.tries_left == 3
    assert len(desk.card.commands) == 1


def test_the_correction_key_takes_all_digits_away(desk: Desk) -> None:
    asking = desk.ask()
    with finger(desk.address) as keys:
        assert receive(keys) == bytes((0x01, 0x00, 4, 8))
        for key in b"99\x08" + b"1234\r":
            keys.sendall(b"\x00\x01" + bytes((key,)))
        assert receive(keys) == bytes.fromhex("029000")
    assert asking.end().status == 0x9000


def test_a_card_that_leaves_ends_the_entry(desk: Desk) -> None:
    asking = desk.ask()
    with finger(desk.address) as keys:
        assert receive(keys)[0] == 0x01
        desk.insertion.pull()
        assert receive(keys) == bytes.fromhex("020000")
    assert isinstance(asking.end().error, CardRemoved)


def test_a_second_finger_is_turned_away(desk: Desk) -> None:
    asking = desk.ask()
    with finger(desk.address) as keys:
        assert receive(keys)[0] == 0x01
        with pytest.raises(PinpadError, match="does another one type"):
            press(desk.address, ["9999"], wait_seconds=LIMIT_S)
        for key in b"1234\r":
            keys.sendall(b"\x00\x01" + bytes((key,)))
        assert asking.end().status == 0x9000


def test_a_finger_may_leave_to_another_one(desk: Desk) -> None:
    asking = desk.ask()
    with finger(desk.address) as keys:
        assert receive(keys)[0] == 0x01
        keys.sendall(b"\x00\x019")
    with finger(desk.address) as keys:
        assert receive(keys)[0] == 0x01
        # The former one's digit is still there, or went with it: the correction key serves both.
        for key in b"\x081234\r":
            keys.sendall(b"\x00\x01" + bytes((key,)))
        assert receive(keys) == bytes.fromhex("029000")
    assert asking.end().status == 0x9000


def test_no_question_and_no_pinpad_are_told(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(PinpadError, match=r"asked for nothing more within 0\.2 s"):
        press(desk.address, ["1234"], wait_seconds=0.2)
    with pytest.raises(PinpadError, match="no pinpad at"):
        press(f"unix:{tmp_path}/none", ["1234"])
    with pytest.raises(PinpadError, match="has no pinpad"):
        socket_of("tcp:127.0.0.1:35963")
    with pytest.raises(PinpadError, match="digits 0 to 9 alone"):
        press(desk.address, ["12a4"])


def test_a_question_too_many_and_strange_messages(tmp_path: Path) -> None:
    answers = b"\x00\x01\x09" + b"\x00\x03\x02\x90\x00" + 2 * b"\x00\x04\x01\x00\x04\x08"
    with bad_pinpad(tmp_path, answers), pytest.raises(PinpadError, match="one PIN more"):
        press(f"unix:{tmp_path}/bad", ["1234"], wait_seconds=LIMIT_S)


def test_a_pinpad_that_closes_is_told(tmp_path: Path) -> None:
    with bad_pinpad(tmp_path, b"\x00\x04\x01"), pytest.raises(PinpadError, match="closed"):
        press(f"unix:{tmp_path}/bad", ["1234"], wait_seconds=LIMIT_S)


@contextmanager
def finger(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as keys:
        keys.settimeout(LIMIT_S)
        keys.connect(str(socket_of(address)))
        yield keys


def receive(keys: socket.socket) -> bytes:
    return exactly(keys, int.from_bytes(exactly(keys, 2)))


def exactly(keys: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count and (part := keys.recv(count - len(received))):
        received += part
    return received


@contextmanager
def bad_pinpad(folder: Path, answers: bytes) -> Iterator[None]:
    """Listen as a pinpad, say `answers` to who comes, and close."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(folder / "bad.keys"))
        door.listen()
        door.settimeout(LIMIT_S)

        def answer() -> None:
            channel, _ = door.accept()
            with channel:
                channel.sendall(answers)
                channel.shutdown(socket.SHUT_WR)
                channel.settimeout(LIMIT_S)
                while channel.recv(64):
                    pass

        serving = threading.Thread(target=answer, daemon=True)
        serving.start()
        yield
        serving.join(LIMIT_S)
