"""Command APDUs as they reach the chip, and how answers leave it on each face.

With contacts the protocol is T=0: a command that carries data has no Le, and what it answers is
fetched with GET RESPONSE; a wrong Le is answered with the right one. Without contacts (T=CL) Le
comes with the command and the answer at once.
"""

from dataclasses import dataclass

from simulators.cps.chip import Face
from simulators.cps.status import Refusal, Status

CLA_CHAINED = 0x10
GET_RESPONSE = 0xC0
LONGEST_ANSWER = 256


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `length` is Le, 1 to 256, or None."""

    chained: bool
    ins: int
    p1: int
    p2: int
    data: bytes
    length: int | None


def parse(apdu: bytes, face: Face) -> Command:
    """Split a command APDU; raise Refusal."""
    if len(apdu) < 4:
        raise Refusal(Status.WRONG_LENGTH)
    cla, ins, p1, p2 = apdu[:4]
    if cla not in {0x00, CLA_CHAINED}:
        raise Refusal(Status.UNKNOWN_CLASS)
    body = apdu[4:]
    data, length = b"", None
    if len(body) == 1:
        length = body[0] or LONGEST_ANSWER
    elif body:
        data, rest = body[1 : 1 + body[0]], body[1 + body[0] :]
        # A T=0 header has one length: no reader can bring Lc and Le.
        if not body[0] or len(data) != body[0] or len(rest) > (face is Face.CONTACTLESS):
            raise Refusal(Status.WRONG_LENGTH)
        length = (rest[0] or LONGEST_ANSWER) if rest else None
    return Command(cla == CLA_CHAINED, ins, p1, p2, data, length)


class Answering:
    """The answer that waits for GET RESPONSE."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._waiting = b""

    def answer(self, command: Command, data: bytes) -> bytes:
        """Return the answer APDU to a command that went well; keep what has to be fetched."""
        self._waiting = b""
        if not data:
            return Status.OK.to_bytes(2)
        if command.data and command.length is None:
            self._waiting = data
            return self._more()
        return self._exact(data, command.length)

    def fetch(self, command: Command) -> bytes:
        """Answer GET RESPONSE; raise Refusal where nothing waits or the length is wrong."""
        data = self._waiting
        if not data:
            raise Refusal(Status.CONDITIONS)
        if command.p1 or command.p2 or command.data or command.length is None:
            raise Refusal(Status.WRONG_P1_P2)
        if command.length > len(data):
            raise Refusal(Status.EXACT_LENGTH | (len(data) & 0xFF))
        self._waiting = data[command.length :]
        part = data[: command.length]
        return part + (self._more() if self._waiting else Status.OK.to_bytes(2))

    def forget(self) -> None:
        """Drop what waits, as every other command does."""
        self._waiting = b""

    def _exact(self, data: bytes, length: int | None) -> bytes:
        """Return data of just the length asked for; T=0 tells the length where it is another."""
        if length is not None and length < len(data):
            self._waiting = data[length:]
            return data[:length] + self._more()
        if self._face is Face.CONTACT and length != len(data):
            raise Refusal(Status.EXACT_LENGTH | (len(data) & 0xFF))
        return data + Status.OK.to_bytes(2)

    def _more(self) -> bytes:
        return bytes((0x61, len(self._waiting) if len(self._waiting) < LONGEST_ANSWER else 0))
