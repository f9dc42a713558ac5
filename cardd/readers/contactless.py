"""What a contactless reader itself answers about the card on it."""

from cardd.errors import CardError
from cardd.iso7816.apdu import CommandApdu, ResponseApdu
from cardd.iso7816.connection import CardConnection

GET_UID = CommandApdu(0xFF, 0xCA, 0x00, 0x00, le=256).encode()
"""GET DATA of the reader: the UID (PC/SC part 3, 3.2.2.1.3); the card sees nothing of it."""

GET_ATS = CommandApdu(0xFF, 0xCA, 0x01, 0x00, le=256).encode()
"""GET DATA of the reader: what the card answered to RATS, without its CRC."""

ATS_LENGTHS = range(1, 255)
"""ISO/IEC 14443-4, 5.2: the first byte is the length."""

UID_LENGTHS = frozenset({4, 7, 10})
"""Single, double and triple size (ISO/IEC 14443-3, 6.5.4)."""


def read_uid(connection: CardConnection) -> bytes:
    """Return the UID of the card: 4, 7 or 10 bytes.

    Raises CardError (`card_not_supported`) where the reader has none, as one for contact cards, and
    what `CardConnection.transmit` raises.
    """
    response = ResponseApdu.parse(connection.transmit(GET_UID))
    if response.status != 0x9000:
        raise CardError(
            f"the reader gives no UID (status {response.status:04X}): the card is not contactless,"
            " or the reader does not support it"
        )
    if len(response.data) not in UID_LENGTHS:
        raise CardError(
            f"a UID has 4, 7 or 10 bytes; the reader gave {len(response.data)}: the card is not of"
            " ISO/IEC 14443 type A"
        )
    return response.data


def read_ats(connection: CardConnection) -> bytes | None:
    """Return the card's answer to select, None where the reader does not tell it.

    PC/SC part 3, 3.2.2.1.3, P1 01. Raises what `CardConnection.transmit` raises.
    """
    response = ResponseApdu.parse(connection.transmit(GET_ATS))
    known = response.status == 0x9000 and len(response.data) in ATS_LENGTHS
    return response.data if known else None
