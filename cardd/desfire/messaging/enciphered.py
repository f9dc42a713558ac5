"""Data before its CRC and padding, as D40 and EV1 encipher it.

Only the length that was asked for tells data from zero padding. Where an answer may have several,
the shortest that fits is the data: a CRC over data and its own CRC is zero, as the padding is.
"""

import hmac
from collections.abc import Callable

from cardd.desfire.cipher import pad_80, pad_zero
from cardd.desfire.command import Command
from cardd.errors import CardProtocolError


def padded(command: Command, plaintext: bytes, block_bytes: int) -> bytes:
    """Return a command's plaintext, its CRC included, in whole blocks."""
    pad = pad_80 if command.length_varies else pad_zero
    return pad(plaintext, block_bytes)


def check_length(command: Command, answer: bytes, crc_bytes: int, block_bytes: int) -> None:
    """Refuse an enciphered answer that no length asked for makes: CardProtocolError."""
    least, most = (
        len(pad_zero(bytes(length + crc_bytes), block_bytes)) for length in command.answer_bytes
    )
    if not least <= len(answer) <= most or len(answer) % block_bytes:
        raise CardProtocolError(
            f"the enciphered answer to {command.name} has {len(answer)} bytes, "
            f"which is not what {command.answer_bytes[0]} to {command.answer_bytes[1]} bytes of "
            "data make"
        )


def data_of(
    command: Command, plaintext: bytes, crc: Callable[[bytes], bytes], block_bytes: int
) -> bytes:
    """Return the data of a deciphered answer; CardProtocolError where CRC or padding is wrong."""
    least, most = command.answer_bytes
    for length in range(least, most + 1):
        data = plaintext[:length]
        if hmac.compare_digest(plaintext, pad_zero(data + crc(data), block_bytes)):
            return data
    raise CardProtocolError(f"the CRC or padding of the answer to {command.name} is wrong")
