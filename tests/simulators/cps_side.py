"""The reader's side of a CPS3 in tests: T=0 as a reader drives it, and nothing of cardd."""

from simulators.cps import VirtualCps

MF = "00A40004083F00"
APPLICATION = "00A4090C043F000001"
SIGNATURE_KEY, AUTHENTICATION_KEY, TECHNICAL_KEY = 0x81, 0x82, 0x83


class Refused(Exception):
    """The card answered with an error status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04X}")
        self.status = status


def send(card: VirtualCps, command: str | bytes) -> tuple[bytes, int]:
    """Send one command as it is; return data and status word."""
    answer = card.transmit(bytes.fromhex(command) if isinstance(command, str) else command)
    return answer[:-2], int.from_bytes(answer[-2:])


def exchange(card: VirtualCps, command: str | bytes) -> bytes:
    """Send a command, follow 61 xx and 6C xx, and return the data; raise Refused."""
    apdu = bytes.fromhex(command) if isinstance(command, str) else command
    data, status = send(card, apdu)
    if status >> 8 == 0x6C:
        data, status = send(card, apdu[:-1] + bytes((status & 0xFF,)))
    while status >> 8 == 0x61:
        more, status = send(card, bytes((0x00, 0xC0, 0x00, 0x00, status & 0xFF)))
        data += more
    if status != 0x9000:
        raise Refused(status)
    return data


def status(card: VirtualCps, command: str | bytes) -> int:
    """Return the status word that a command ends with."""
    try:
        exchange(card, command)
    except Refused as refused:
        return refused.status
    return 0x9000


def apdu(header: str, data: bytes, tail: bytes = b"") -> bytes:
    """Return a command with data; `tail` is Le where the protocol carries one."""
    return bytes.fromhex(header) + bytes((len(data),)) + data + tail


def read_file(card: VirtualCps, path: str) -> bytes:
    """Select a file by its whole path and read it to its end."""
    size = 0
    parameters = exchange(card, apdu("00A40904", bytes.fromhex(path)))
    assert parameters[2:4] == b"\x80\x02"
    size = int.from_bytes(parameters[4:6])
    content = b""
    while len(content) < size:
        count = min(0xE7, size - len(content))
        content += exchange(card, b"\x00\xb0" + len(content).to_bytes(2) + bytes((count,)))
    return content


def verify(card: VirtualCps, code: bytes = b"1234", reference: int = 1) -> int:
    """Give a code; return the status word."""
    return status(card, apdu(f"002000{reference:02X}", code))


def tries_left(card: VirtualCps, reference: int = 1) -> int:
    """Return what the security data object of a code says; it is read in the MF."""
    exchange(card, "00A4090C023F00")
    found = exchange(card, f"00CB3FFF0A4D087006BF81{reference:02X}02A080")
    return found[found.index(b"\x9b\x01") + 2]
