"""Commands in ISO 7816-4 wrapping, and the chaining of what one frame does not hold.

A frame is `90 INS 00 00 [Lc data] 00`; its answer is data and `91 SW2`. Status ADDITIONAL_FRAME
asks for the rest of a command, or says that more of the answer waits (data sheet, wrapping of
native commands).
"""

from dataclasses import dataclass

from cardd.desfire.command import Ins
from cardd.desfire.status import SW1, Status, status_error
from cardd.errors import CardProtocolError
from cardd.iso7816.apdu import CommandApdu, ResponseApdu
from cardd.iso7816.exchange import Answers, Exchange

FRAME_BYTES = 54
"""What one command frame carries: every product takes it in one 64-byte block of ISO 14443-4."""

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


def parse_frame(command: str, answer: bytes) -> Frame:
    """Read one answer frame.

    Raises CardStatusError for an error status (91xx, or one of ISO 7816-4 from what took the
    wrapping for an unknown class), CardProtocolError for what is no answer of a DESFire.
    """
    response = ResponseApdu.parse(answer)
    if response.status == Status.OPERATION_OK.word:
        return Frame(response.data, more=False)
    if response.status == Status.ADDITIONAL_FRAME.word:
        return Frame(response.data, more=True)
    if response.status >> 8 == SW1 or response.status >> 12 == 0x6:
        raise status_error(command, response.status)
    raise CardProtocolError(
        f"the card answered {command} with status {response.status:04X}, "
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
) -> Exchange[bytes]:
    """Send a command in as many frames as it takes and return its whole answer.

    Raises CardStatusError as `parse_frame`; CardProtocolError where the answer exceeds
    `answer_limit` bytes, or the chaining makes no progress.
    """
    while len(body) > frame_bytes:
        yield from _send_part(ins, body[:frame_bytes])
        ins, body = Ins.ADDITIONAL_FRAME, body[frame_bytes:]
    return (yield from _collect(ins, body, answer_limit))


def _send_part(ins: Ins, part: bytes) -> Exchange[None]:
    (answer,) = yield from send(wrap(ins, part))
    frame = parse_frame(ins.name, answer)
    if not frame.more or frame.data:
        raise CardProtocolError(f"the card did not ask for the rest of a long {ins.name}")


def _collect(ins: Ins, body: bytes, limit: int) -> Exchange[bytes]:
    name, collected = ins.name, b""
    for _ in range(_SPARE_FRAMES + limit // _LEAST_ANSWER_FRAME_BYTES):
        (answer,) = yield from send(wrap(ins, body))
        frame = parse_frame(name, answer)
        collected += frame.data
        if len(collected) > limit:
            raise CardProtocolError(f"the answer to {name} exceeds {limit} bytes")
        if not frame.more:
            return collected
        if not frame.data:
            raise CardProtocolError(f"the card announces more for {name} but sends nothing")
        ins, body = Ins.ADDITIONAL_FRAME, b""
    raise CardProtocolError(f"the answer to {name} comes in too many frames")
