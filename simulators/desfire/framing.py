"""Wrapped commands: `90 INS 00 00 [Lc data] 00`, and their answers, data and `91 xx`."""

from simulators.desfire.status import Status

CLA_WRAPPED = 0x90
CLA_ISO = 0x00
SW1_WRAPPED = 0x91
CONTINUE = 0xAF

LONG_FRAME_BYTES = 256


class MalformedCommand(Exception):
    """The command APDU is not one; `status_word` is the answer."""

    def __init__(self, status_word: int) -> None:
        super().__init__(f"{status_word:04X}")
        self.status_word = status_word


def unwrap(command: bytes) -> tuple[int, bytes]:
    """Return instruction and data of a wrapped command; raise MalformedCommand."""
    if len(command) < 4:
        raise MalformedCommand(0x6700)
    if command[0] != CLA_WRAPPED:
        raise MalformedCommand(0x6E00)
    if command[2] or command[3]:
        raise MalformedCommand(0x6A86)
    if len(command) <= 5:
        return command[1], b""
    length = command[4]
    if not length or len(command) not in {5 + length, 6 + length}:
        raise MalformedCommand(0x6700)
    return command[1], command[5 : 5 + length]


def wrap(data: bytes, status: Status) -> bytes:
    """Return the answer APDU."""
    return data + bytes((SW1_WRAPPED, status))


def cut(answer: bytes, first_frames: tuple[int, ...], frame_bytes: int) -> list[bytes]:
    """Cut an answer into the frames the reader asks for with AF; at least one, maybe empty."""
    frames: list[bytes] = []
    for size in first_frames:
        if len(answer) <= size:
            break
        frames.append(answer[:size])
        answer = answer[size:]
    while len(answer) > frame_bytes:
        frames.append(answer[:frame_bytes])
        answer = answer[frame_bytes:]
    return [*frames, answer]
