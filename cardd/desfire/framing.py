"""Commands in ISO 7816-4 wrapping, and the chaining of what one frame does not hold.

A frame is `90 INS 00 00 [Lc data] 00`; its answer is data and `91 SW2`. Status ADDITIONAL_FRAME
asks for the rest of a command, or says that more of the answer waits (data sheet, wrapping of
native commands).
"""

from dataclasses import dataclass

from cardd.desfire.command import Ins
from cardd.desfire.meanings import status_error
from cardd.desfire.status import SW1, Status
from cardd.desfire.version import Product
from cardd.errors import CardProtocolError
from cardd.iso7816.apdu import CommandApdu, ResponseApdu
from cardd.iso7816.exchange import Answers, Exchange

FRAME_BYTES = Product.D40.frame_bytes
"""What one command frame carries where the product is not known: every product takes it."""

MOST_FRAME_BYTES = 255
"""What a short APDU carries."""

# Read_Sig outside of a session (AN12196 table 30; proxmark3).
_OTHER_SUCCESS = {Ins.READ_SIGNATURE: 0x9190}

_LEAST_ANSWER_FRAME_BYTES = 16
_SPARE_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """A successful answer frame; `more` says that its status was ADDITIONAL_FRAME."""

    data: bytes
    more: bool


def wrap(ins: Ins, data: bytes = b"") -> bytes:
    """Return one command frame as an APDU."""
    return CommandApdu(0x90, ins, data=data, le=256).encode()


def parse_frame(ins: Ins, answer: bytes) -> Frame:
    """Read one answer frame.

    Raises CardStatusError for an error status (91xx, or one of ISO 7816-4 from what took the
    wrapping for an unknown class), CardProtocolError for what is no answer of a DESFire.
    """
    response = ResponseApdu.parse(answer)
    if response.status in (Status.OPERATION_OK.word, _OTHER_SUCCESS.get(ins)):
        return Frame(response.data, more=False)
    if response.status == Status.ADDITIONAL_FRAME.word:
        return Frame(response.data, more=True)
    if response.status >> 8 == SW1 or response.status >> 12 == 0x6:
        raise status_error(ins, response.status)
    raise CardProtocolError(
        f"the card answered {ins.name} with status {response.status:04X}, "
        "which is no status of a DESFire"
    )


def send(*apdus: bytes) -> Exchange[Answers]:
    """Yield commands together and return as many answers; CardProtocolError for another count."""
    answers = yield apdus
    if len(answers) != len(apdus):
        raise CardProtocolError(f"{len(apdus)} commands were given {len(answers)} answers")
    return answers


def transceive(
    ins: Ins, body: bytes, *, answer_limit: int, frame_bytes: int = FRAME_BYTES
) -> Exchange[tuple[bytes, ...]]:
    """Send a command in as many frames as it takes and return its whole answer, frame by frame.

    Raises CardStatusError as `parse_frame`; CardProtocolError where the answer exceeds
    `answer_limit` bytes, or the chaining makes no progress.
    """
    code = ins
    while len(body) > frame_bytes:
        yield from _send_part(ins, wrap(code, body[:frame_bytes]))
        code, body = Ins.ADDITIONAL_FRAME, body[frame_bytes:]
    return (yield from _collect(ins, wrap(code, body), answer_limit))


def _send_part(ins: Ins, apdu: bytes) -> Exchange[None]:
    (answer,) = yield from send(apdu)
    frame = parse_frame(ins, answer)
    if not frame.more or frame.data:
        raise CardProtocolError(f"the card did not ask for the rest of a long {ins.name}")


def _collect(ins: Ins, apdu: bytes, limit: int) -> Exchange[tuple[bytes, ...]]:
    frames: list[bytes] = []
    room = limit
    for _ in range(_SPARE_FRAMES + limit // _LEAST_ANSWER_FRAME_BYTES):
        (answer,) = yield from send(apdu)
        frame = parse_frame(ins, answer)
        frames.append(frame.data)
        room -= len(frame.data)
        if room < 0:
            raise CardProtocolError(f"the answer to {ins.name} exceeds {limit} bytes")
        if not frame.more:
            return tuple(frames)
        if not frame.data:
            raise CardProtocolError(f"the card announces more for {ins.name} but sends nothing")
        apdu = wrap(Ins.ADDITIONAL_FRAME)
    raise CardProtocolError(f"the answer to {ins.name} comes in too many frames")
