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


def guarded(procedure: Driven[Result]) -> Driven[Result]:
    """Drive a procedure; turn the card's faults into Refused. Nothing of a failed check leaves."""
    try:
        return (yield from procedure)
    except CardProtocolError as error:
        raise Refused(
            Code.BADGE_NOT_GENUINE,
            f"the badge's answer does not verify ({error}); it is not ours, or the exchange was "
            "disturbed: present it again",
        ) from None
    except CardStatusError as error:
        code = _CODES.get(error.status, Code.CARD_NOT_SUPPORTED)
        raise Refused(code, f"the badge refused: {error}", **error.facts) from None
