"""The card's end of the vpcd wire: what it answers, how it leaves, and that it always does."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.address import AddressError
from simulators.air import AirInterface, BitRate
from simulators.desfire import VirtualDesfire
from simulators.faults import Faults
from simulators.link import LinkError, insert
from simulators.stay import Fixed, Tap, Times
from tests.limits import DELAYED_ACKNOWLEDGEMENT_S, fastest_s
from tests.simulators.virtual_reader import VirtualReader

pytestmark = pytest.mark.unit

GET_UID = bytes.fromhex("FFCA000000")
GET_VERSION = bytes.fromhex("9060000000")
OFF, ON, RESET, ATR = b"\x00", b"\x01", b"\x02", b"\x04"


@pytest.fixture
def card() -> VirtualDesfire:
    return VirtualDesfire.factory("ev1")


@pytest.fixture(params=["tcp", "unix"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualReader]:
    path = tmp_path / "reader.sock" if request.param == "unix" else None
    with VirtualReader(path) as reader:
        yield reader


def test_a_card_says_its_atr_and_answers_commands(
    card: VirtualDesfire, reader: VirtualReader
) -> None:
    with insert(card, reader.address) as insertion:
        reader.accept()
        assert reader.transmit(ATR) == bytes.fromhex("3B8180018080")
        reader.send(ON)
        assert insertion.wait_powered(20)
        assert reader.transmit(GET_UID) == card.uid + b"\x90\x00"
        assert reader.transmit(GET_VERSION)[-2:] == b"\x91\xaf"
        assert insertion.wait_commands(2, 20)
        assert insertion.answered == 2
    assert reader.card_is_gone()
    assert card.commands == [GET_UID, GET_VERSION]


@pytest.mark.parametrize("control", [RESET, OFF, ON])
def test_a_control_code_resets_the_card_and_has_no_answer(
    card: VirtualDesfire, reader: VirtualReader, control: bytes
) -> None:
    with insert(card, reader.address):
        reader.accept()
        reader.transmit(GET_VERSION)
        reader.send(control)
        assert reader.transmit(bytes.fromhex("90AF000000")) == b"\x91\x1c"


def test_empty_messages_and_unknown_control_codes_are_passed_over(
    card: VirtualDesfire, reader: VirtualReader
) -> None:
    with insert(card, reader.address):
        reader.accept()
        for message in (b"", b"\x03", b"\xff"):
            reader.send(message)
        assert reader.transmit(GET_UID)[-2:] == b"\x90\x00"


def test_a_message_in_single_bytes_is_one_message(
    card: VirtualDesfire, reader: VirtualReader
) -> None:
    with insert(card, reader.address):
        reader.accept()
        for byte in len(GET_UID).to_bytes(2) + GET_UID:
            reader.card.sendall(bytes((byte,)))
        assert reader.receive() == card.uid + b"\x90\x00"


def test_exchanges_do_not_wait_for_delayed_acknowledgements(card: VirtualDesfire) -> None:
    with VirtualReader() as reader, insert(card, reader.address):
        reader.accept()
        assert fastest_s(lambda: reader.transmit(GET_UID)) < DELAYED_ACKNOWLEDGEMENT_S


def test_a_pulled_card_is_gone(card: VirtualDesfire, reader: VirtualReader) -> None:
    with insert(card, reader.address) as insertion:
        reader.accept()
        reader.transmit(ATR)
        insertion.pull()
        insertion.pull()
        assert insertion.wait_gone(0)
        assert reader.card_is_gone()


def test_a_card_leaves_when_its_time_is_over(card: VirtualDesfire, reader: VirtualReader) -> None:
    with insert(card, reader.address, stay=Fixed(0.05)) as insertion:
        reader.accept()
        assert insertion.wait_gone(20)
        assert reader.card_is_gone()
        assert not insertion.wait_commands(1, 20)


def test_a_card_leaves_in_the_middle_of_a_message_when_its_time_is_over(
    card: VirtualDesfire, reader: VirtualReader
) -> None:
    with insert(card, reader.address, stay=Fixed(0.05)) as insertion:
        reader.accept()
        reader.card.sendall(b"\x00\x05\xff")
        assert insertion.wait_gone(20)
    assert card.commands == []


def test_a_card_notices_that_the_reader_is_gone(
    card: VirtualDesfire, reader: VirtualReader
) -> None:
    with insert(card, reader.address) as insertion:
        reader.accept()
        reader.card.close()
        assert insertion.wait_gone(20)
        assert insertion.error is None


def test_a_card_that_is_polled_but_not_powered_comes_anew(
    card: VirtualDesfire, reader: VirtualReader
) -> None:
    with insert(card, reader.address) as insertion:
        reader.accept()
        reader.poll_until_the_card_leaves()
        assert not insertion.wait_gone(0)
        reader.accept()
        assert reader.transmit(ATR) == card.atr
        reader.send(ON)
        assert insertion.wait_powered(20)
        assert reader.transmit(GET_UID) == card.uid + b"\x90\x00"


def test_no_thread_stays_behind(card: VirtualDesfire, reader: VirtualReader) -> None:
    before = threading.active_count()
    with insert(card, reader.address):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.parametrize(("tear", "seen"), [("before", 1), ("after", 2)])
def test_a_torn_card_has_or_has_not_carried_the_command_out(
    card: VirtualDesfire, reader: VirtualReader, tear: str, seen: int
) -> None:
    faults = Faults(tear_after=2, tear="before" if tear == "before" else "after")
    with insert(card, reader.address, faults=faults) as insertion:
        reader.accept()
        reader.transmit(GET_UID)
        reader.send(GET_VERSION)
        assert reader.card_is_gone()
        assert insertion.wait_gone(20)
        assert insertion.answered == 1
    assert len(card.commands) == seen


def test_a_mute_card_is_silent_until_its_time_is_over(
    card: VirtualDesfire, reader: VirtualReader
) -> None:
    with insert(card, reader.address, stay=Fixed(0.5), faults=Faults(mute_after=1)) as insertion:
        reader.accept()
        reader.transmit(GET_UID)
        reader.send(GET_UID)
        assert reader.card_is_gone()
        assert insertion.answered == 1


def test_a_mute_card_can_be_pulled(card: VirtualDesfire, reader: VirtualReader) -> None:
    with insert(card, reader.address, faults=Faults(mute_after=0)) as insertion:
        reader.accept()
        reader.send(GET_UID)
        insertion.pull()
        assert insertion.wait_gone(0)


@pytest.mark.parametrize("wrong", [{"tear_after": 0}, {"mute_after": -1}])
def test_faults_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"number|counts"):
        Faults(**wrong)  # type: ignore[arg-type]


def test_a_fault_of_the_card_ends_the_insertion_and_is_told(reader: VirtualReader) -> None:
    class Broken(VirtualDesfire):
        def transmit(self, command: bytes) -> bytes:
            raise RuntimeError("worn out")

    broken = Broken(VirtualDesfire.factory("ev1").chip)
    with insert(broken, reader.address) as insertion:
        reader.accept()
        reader.send(GET_UID)
        assert reader.card_is_gone()
        assert insertion.wait_gone(20)
        assert isinstance(insertion.error, RuntimeError)


def test_a_card_waits_for_a_reader_that_comes_later(card: VirtualDesfire, tmp_path: Path) -> None:
    path = tmp_path / "late.sock"
    answers: list[bytes] = []

    def come_late() -> None:
        with VirtualReader(path) as reader:
            reader.accept()
            answers.append(reader.transmit(ATR))

    late = threading.Timer(0.1, come_late)
    late.start()
    with insert(card, f"unix:{path}") as insertion:
        assert insertion.wait_gone(20)
    late.join()
    assert answers == [card.atr]


def test_without_a_reader_the_error_says_what_to_do(card: VirtualDesfire, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for address in (f"unix:{tmp_path / 'none.sock'}", f"tcp:127.0.0.1:{port}"):
        with (
            pytest.raises(LinkError, match="start cardd or pcscd"),
            insert(card, address, connect_seconds=0.1),
        ):
            pytest.fail("there is no reader")


@pytest.mark.parametrize(
    "text", ["", "tcp:", "tcp:127.0.0.1", "tcp:h:0", "tcp:h:65536", "tcp:h:٣", "unix:", "file:x:1"]
)
def test_what_is_no_address_is_refused(card: VirtualDesfire, text: str) -> None:
    with pytest.raises(AddressError, match="write tcp:HOST:PORT or unix:PATH"), insert(card, text):
        pytest.fail("that is no address")


@pytest.mark.parametrize(
    ("times", "until"),
    [
        (Times(100.0), 105.0),
        (Times(100.0, powered=100.4), 101.4),
        (Times(100.0, powered=100.4, last_command=100.5), 100.8),
        (Times(100.0, powered=100.4, last_command=104.9), 105.0),
    ],
)
def test_a_tap_lasts_until_the_reader_is_done(times: Times, until: float) -> None:
    assert Tap().until(times) == pytest.approx(until)


def test_air_time_is_that_of_the_bit_rate() -> None:
    command, answer = bytes(20), bytes(32)
    seconds = {rate: AirInterface(rate).seconds(command, answer) for rate in BitRate}
    assert seconds[BitRate.RATE_106] == pytest.approx(60 * 9 / 105_937.5)
    assert seconds[BitRate.RATE_106] / seconds[BitRate.RATE_848] == pytest.approx(8)
    assert AirInterface(BitRate.RATE_106).seconds(GET_UID, answer) == 0


def test_what_does_not_fit_a_frame_is_chained_on_the_air() -> None:
    air = AirInterface(BitRate.RATE_106)
    byte = 9 / 105_937.5
    assert air.seconds(bytes(61), bytes(253)) == pytest.approx((61 + 253 + 8) * byte)
    assert air.seconds(bytes(62), bytes(254)) == pytest.approx((62 + 254 + 8 + 16) * byte)
    assert air.seconds(bytes(250), b"") == pytest.approx((250 + 8 + 4 * 8) * byte)


def test_latency_delays_what_goes_over_the_air(card: VirtualDesfire, reader: VirtualReader) -> None:
    air = AirInterface(BitRate.RATE_106)
    with insert(card, reader.address, air=air):
        reader.accept()
        started = time.perf_counter()
        answer = reader.transmit(GET_VERSION)
        assert time.perf_counter() - started >= air.seconds(GET_VERSION, answer)
