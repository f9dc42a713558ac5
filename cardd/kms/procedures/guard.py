"""What a card's failure means to whoever holds the badge."""

from cardd.desfire.status import Status
from cardd.errors import CardProtocolError, CardStatusError, Code, Refused
from cardd.kms.procedures.ports import Driven, Result

_CODES = {
    Status.AUTHENTICATION_ERROR.word: Code.BADGE_NOT_GENUINE,
    Status.APPLICATION_NOT_FOUND.word: Code.BADGE_NOT_GENUINE,
    Status.NO_SUCH_KEY.word: Code.BADGE_NOT_GENUINE,
    Status.INTEGRITY_ERROR.word: Code.BADGE_NOT_GENUINE,
    Status.OUT_OF_EEPROM_ERROR.word: Code.BADGE_FULL,
    Status.COUNT_ERROR.word: Code.BADGE_FULL,
}

_OF_A_REGISTERED_BADGE = {**_CODES, Status.ILLEGAL_COMMAND_CODE.word: Code.BADGE_NOT_GENUINE}
"""A badge that did its part when it was encoded knows the commands; another one may not."""


def guarded(procedure: Driven[Result], *, registered: bool = False) -> Driven[Result]:
    """Drive a procedure; turn the card's faults into Refused. Nothing of a failed check leaves.

    `registered` says that the registry knows the badge as an encoded one.
    """
    try:
        return (yield from procedure)
    except CardProtocolError as error:
        raise Refused(
            Code.BADGE_NOT_GENUINE,
            f"the badge's answer does not verify ({error}); it is not ours, or the exchange was "
            "disturbed: present it again",
        ) from None
    except CardStatusError as error:
        codes = _OF_A_REGISTERED_BADGE if registered else _CODES
        code = codes.get(error.status, Code.CARD_NOT_SUPPORTED)
        raise Refused(code, f"the badge refused: {error}", **error.facts) from None
