"""The reader's side of a CPS4: the documented command sequences, written out in hex."""

from dataclasses import replace

from simulators.cps.chipdoc import VirtualCps4

CHIPDOC = "8025000001FF0100"
CPS2TER = "8025000001FF0002"
DOMAIN = "A0000001510000"
APPLICATION = "E828BD080F8025000001FF0010"

SELECT_CHIPDOC = f"01A4040C08{CHIPDOC}"
SELECT_DOMAIN = f"01A4040C07{DOMAIN}"
SELECT_CPS2TER = f"00A4040C08{CPS2TER}"
SELECT_APPLICATION = "01A40800020001"
TRIES = "01200001"
PUK_TRIES = "01200002"
VERIFY = "0120000104" + b"1234".hex()
WRONG = "0120000104" + b"9999".hex()
VERIFY_PUK = "0120000208" + b"12345678".hex()
RAW_ENVIRONMENT = "012241B803830120"


def ask(card: VirtualCps4, command: str) -> str:
    """Send a command and return the answer, both in hex."""
    return card.transmit(bytes.fromhex(command)).hex().upper()


def started(card: VirtualCps4) -> VirtualCps4:
    """Return the card powered and with ChipDoc selected."""
    card.power_on()
    assert ask(card, SELECT_CHIPDOC) == "9000"
    return card


def fetched(card: VirtualCps4, command: str) -> bytes:
    """Send a command without Le and fetch the whole of its answer, as on T=0."""
    answer = card.transmit(bytes.fromhex(command))
    data = b""
    while answer[-2] == 0x61:
        data += answer[:-2]
        answer = card.transmit(bytes((0x01, 0xC0, 0, 0, answer[-1])))
    assert answer[-2:] == b"\x90\x00", answer.hex()
    return data + answer[:-2]


def read_file(card: VirtualCps4, path: str) -> bytes:
    """Select a file by its path and read all of it, by the size in its FCI."""
    fci = fetched(card, f"01A40800{len(path) // 2:02X}{path}")
    assert fci[0] == 0x6F
    size = int.from_bytes(fci[fci.index(b"\x80\x02") + 2 :][:2])
    content = b""
    while len(content) < size:
        asked = min(256, size - len(content))
        answer = card.transmit(bytes((1, 0xB0, *len(content).to_bytes(2), asked & 0xFF)))
        assert answer[-2:] == b"\x90\x00", answer.hex()
        content += answer[:-2]
    return content


def with_tries(card: VirtualCps4, reference: int, left: int) -> VirtualCps4:
    """Return a card like this one whose code has `left` tries."""
    code = replace(card.chip.codes[reference], tries_left=left)
    return VirtualCps4(card.chip.with_code(reference, code))
