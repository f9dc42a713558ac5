"""Short command APDUs, as this card reads them (ISO/IEC 7816-4:2020, 5.2)."""

from dataclasses import dataclass

from simulators.cps.chipdoc.status import Refusal, Status

CHANNEL_MASK = 0x03
CHAINED = 0x10
LONGEST_ANSWER = 256


@dataclass(frozen=True, slots=True)
class Command:
    """A command APDU. `le` is 1 to 256, None where the reader expects no data."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int | None

    @classmethod
    def parse(cls, command: bytes) -> "Command":
        """Read a short command of any case; raise Refusal for what is none."""
        if len(command) < 4:
            raise Refusal(Status.WRONG_LENGTH)
        cla, ins, p1, p2 = command[:4]
        body = bytes(command[4:])
        if not body:
            return cls(cla, ins, p1, p2, b"", None)
        if len(body) == 1:
            return cls(cla, ins, p1, p2, b"", body[0] or LONGEST_ANSWER)
        length, rest = body[0], body[1:]
        if not length or len(rest) not in {length, length + 1}:
            raise Refusal(Status.WRONG_LENGTH)
        le = None if len(rest) == length else rest[-1] or LONGEST_ANSWER
        return cls(cla, ins, p1, p2, rest[:length], le)

    @property
    def channel(self) -> int:
        """The logical channel of an interindustry class byte."""
        return self.cla & CHANNEL_MASK

    @property
    def is_chained(self) -> bool:
        """Whether more of this command follows."""
        return bool(self.cla & CHAINED)

    @property
    def parameters(self) -> int:
        """P1 and P2 as one number."""
        return self.p1 << 8 | self.p2
