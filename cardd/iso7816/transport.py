"""What carries one command to a card and its whole answer back.

With T=0 the answer is fetched with GET RESPONSE and a wrong Le is sent again (ISO/IEC 7816-3:2006,
12.2; 7816-4:2020, 5.3.4); a command longer than an APDU is chained (7816-4:2020, 5.3.3). Cards with
T=1 may ask for the same, so nothing here asks which protocol it is.
"""

from dataclasses import replace

from cardd.errors import CardProtocolError
from cardd.iso7816 import status
from cardd.iso7816.apdu import CommandApdu, ResponseApdu
from cardd.iso7816.exchange import Exchange

GET_RESPONSE = 0xC0
CHAINED = 0x10
PART_BYTES = 255

ANSWER_LIMIT = 4096
"""Longer than any answer that a card gives to one short command."""
_MOST_COMMANDS = 2 + ANSWER_LIMIT // 64


def transceive(command: CommandApdu) -> Exchange[ResponseApdu]:
    """Send a command and return its whole answer, with the status that ended it.

    Where the command expects no data (`le` None), 61xx counts as success and is not followed.
    Raises CardProtocolError for an answer that is malformed, exceeds 4096 bytes or does not end.
    """
    collected = b""
    following, corrected = command, False
    for _ in range(_MOST_COMMANDS):
        response = yield from _send(following)
        collected += response.data
        if len(collected) > ANSWER_LIMIT:
            break
        sw1, sw2 = divmod(response.status, 256)
        if sw1 == status.SW1_MORE and command.le is None:
            return ResponseApdu(b"", status.OK)
        if sw1 == status.SW1_MORE:
            get_response = CommandApdu(command.cla & ~CHAINED, GET_RESPONSE, le=sw2 or 256)
            following, corrected = get_response, False
        elif sw1 == status.SW1_WRONG_LE and command.le is not None and not corrected:
            following, corrected = replace(following, le=sw2 or 256), True
        else:
            return ResponseApdu(collected, response.status)
    raise CardProtocolError(f"the answer to command {command.ins:02X} does not end")


def chain(command: CommandApdu, data: bytes) -> Exchange[ResponseApdu]:
    """Send a command with data of any length, chained in parts of 255 bytes; see `transceive`.

    The answer to a part that is not the last ends the chain unless it is 9000.
    """
    while len(data) > PART_BYTES:
        part = replace(command, cla=command.cla | CHAINED, data=data[:PART_BYTES], le=None)
        response = yield from transceive(part)
        if response.status != status.OK:
            return response
        data = data[PART_BYTES:]
    return (yield from transceive(replace(command, data=data)))


def _send(command: CommandApdu) -> Exchange[ResponseApdu]:
    answers = yield (command.encode(),)
    if len(answers) != 1:
        raise CardProtocolError(f"one command was given {len(answers)} answers")
    return ResponseApdu.parse(answers[0])
