"""Command and response APDUs, short form (ISO/IEC 7816-3:2006, 12.1.3; 7816-4:2020, 5.2)."""

from dataclasses import dataclass

from cardd.errors import CardProtocolError


@dataclass(frozen=True, slots=True)
class CommandApdu:
    """A short command APDU. `le` is 1 to 256, or None where no answer data is expected."""

    cla: int
    ins: int
    p1: int = 0
    p2: int = 0
    data: bytes = b""
    le: int | None = None

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        if len(self.data) > 255 or (self.le is not None and not 1 <= self.le <= 256):
            raise ValueError("a short APDU carries at most 255 bytes and expects 1 to 256")
        body = bytes((len(self.data),)) + self.data if self.data else b""
        tail = b"" if self.le is None else bytes((self.le & 0xFF,))
        return bytes((self.cla, self.ins, self.p1, self.p2)) + body + tail


@dataclass(frozen=True, slots=True)
class ResponseApdu:
    """What a card answered: data, and the status word as one 16-bit number."""

    data: bytes
    status: int

    @classmethod
    def parse(cls, answer: bytes) -> "ResponseApdu":
        """Split an answer of 2 to 258 bytes; raise CardProtocolError for any other length."""
        if not 2 <= len(answer) <= 258:
            raise CardProtocolError(f"an answer has 2 to 258 bytes; the card sent {len(answer)}")
        return cls(answer[:-2], int.from_bytes(answer[-2:]))


def t0_form(command: bytes) -> bytes:
    """Return a short command APDU as T=0 carries it (ISO/IEC 7816-3:2006, 12.2).

    P3 is 00 where there is neither data nor Le; Le is left out after data, because its answer is
    fetched with GET RESPONSE. Readers that pass on what they are given would send a byte too many.
    """
    if len(command) == 4:
        return command + b"\x00"
    data_bytes = command[4]
    if data_bytes and len(command) == 5 + data_bytes + 1:
        return command[:-1]
    return command
