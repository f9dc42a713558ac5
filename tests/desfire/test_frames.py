"""How much a frame carries, and how commands and answers are cut into frames."""

import pytest
from Crypto.Cipher import AES
from Crypto.Hash import CMAC

from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.command import CommunicationMode, Ins
from cardd.desfire.framing import FRAME_BYTES
from cardd.desfire.version import Product, Version
from cardd.errors import CardProtocolError, CardStatusError
from tests.desfire.recorded_card import messaging_of, play, unwrapped

pytestmark = pytest.mark.unit

MORE, OK = unwrapped("AF"), unwrapped("00")


class Sink:
    """A card that takes a long command in parts, and keeps them."""

    def __init__(self, total_bytes: int) -> None:
        self.parts: list[bytes] = []
        self.codes: list[int] = []
        self._total = total_bytes

    def transmit(self, apdu: bytes) -> bytes:
        self.codes.append(apdu[1])
        self.parts.append(apdu[5:-1])
        return OK if sum(map(len, self.parts)) >= self._total else MORE


@pytest.mark.parametrize(
    ("product", "block_bytes"),
    [(Product.D40, 64), (Product.EV1, 64), (Product.EV2, 128), (Product.EV3, 256)],
)
def test_a_wrapped_frame_fills_one_block_of_the_product(product: Product, block_bytes: int):
    data = bytes(range(250)) * 2
    card = DesfireCard(frame_bytes=product.frame_bytes)
    sink = Sink(len(data) + 7)
    play(card.write_data(1, 0, data, CommunicationMode.PLAIN), sink.transmit)
    assert b"".join(sink.parts)[7:] == data
    # Around the part: CLA INS P1 P2 Lc Le, and PCB CID and two bytes of CRC on the air.
    assert {len(part) + 6 + 4 for part in sink.parts[:-1]} == {block_bytes}
    assert sink.codes == [Ins.WRITE_DATA] + [Ins.ADDITIONAL_FRAME] * (len(sink.parts) - 1)


def test_a_card_takes_longer_frames_once_its_version_is_known():
    parts = ["AF 04010133001805", "AF 04010103001805", "00 041F6252E81A90 2088543030 4223"]
    answers = iter([unwrapped(part) for part in parts])
    card = DesfireCard()
    assert card.frame_bytes == FRAME_BYTES == 54
    version: Version = play(card.get_version(), lambda _: next(answers))
    card.frame_bytes = version.frame_bytes
    sink = Sink(200 + 7)
    play(card.write_data(1, 0, bytes(200), CommunicationMode.PLAIN), sink.transmit)
    assert len(sink.parts) == 1


def test_an_unknown_product_gets_the_shortest_frames():
    parts = ["AF 04810043011A05", "AF 04814603001A05", "00 041F6252E81A90 2088543030 4223"]
    answers = iter([unwrapped(part) for part in parts])
    version = play(DesfireCard().get_version(), lambda _: next(answers))
    assert version.product is None
    assert version.frame_bytes == FRAME_BYTES


@pytest.mark.parametrize("count", [0, -1, 256])
def test_a_frame_that_no_apdu_holds_is_the_callers_mistake(count: int):
    with pytest.raises(ValueError, match="frame"):
        DesfireCard(frame_bytes=count)


def test_a_command_of_exactly_one_frame_is_not_chained():
    sink = Sink(54)
    play(DesfireCard().write_data(1, 0, bytes(47), CommunicationMode.PLAIN), sink.transmit)
    assert [len(part) for part in sink.parts] == [54]


def test_an_error_inside_of_a_long_command_names_that_command():
    card = DesfireCard()
    answers = iter([MORE, unwrapped("BE")])
    with pytest.raises(CardStatusError) as refusal:
        play(card.write_data(1, 0, bytes(100), CommunicationMode.PLAIN), lambda _: next(answers))
    assert refusal.value.facts["command"] == "WRITE_DATA"


@pytest.mark.parametrize("cuts", [[80], [16, 64], [30, 30, 20], [72, 8], [75, 5]])
def test_a_long_answer_is_joined_and_its_mac_is_over_all_of_it(cuts: list[int]):
    data, header = bytes(range(72)), bytes.fromhex("BD 05 000000 480000")
    iv = CMAC.new(bytes(16), header, ciphermod=AES).digest()
    message = bytes(map(int.__xor__, data[:16], iv)) + data[16:] + b"\x00"
    whole = data + CMAC.new(bytes(16), message, ciphermod=AES).digest()[:8]
    ends = [sum(cuts[: index + 1]) for index in range(len(cuts))]
    parts = [whole[end - cut : end] for cut, end in zip(cuts, ends, strict=True)]
    answers = iter([part + MORE for part in parts[:-1]] + [parts[-1] + OK])
    card = DesfireCard()
    card.session = Session(0, messaging_of({"kind": "ev1", "type": "AES", "key": "00" * 16}))
    read = card.read_data(5, 0, 72, CommunicationMode.PLAIN)
    assert play(read, lambda _: next(answers)) == data
    assert card.session is not None


def test_a_first_part_that_is_answered_with_data_is_refused():
    with pytest.raises(CardProtocolError, match="rest of a long WRITE_DATA"):
        play(
            DesfireCard().write_data(1, 0, bytes(100), CommunicationMode.PLAIN),
            lambda _: b"\x00" + MORE,
        )
