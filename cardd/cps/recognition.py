"""From an answer to reset to the card's driver."""

from cardd.cps.card import CpsCard
from cardd.cps.chipdoc import ChipDocCard
from cardd.cps.family import Family, family_of
from cardd.cps.iasecc import IasEccCard
from cardd.errors import CardStatusError
from cardd.iso7816.exchange import Exchange


def recognise(atr: bytes) -> Exchange[CpsCard | None]:
    """Return the driver of a CPS, None for any other card.

    The ATR narrows the choice, and without it the card is asked nothing; that the family's
    application can be selected decides. Raises CardProtocolError for a malformed answer.
    """
    family = family_of(atr)
    if family is None:
        return None
    card = ChipDocCard() if family is Family.CPS4 else IasEccCard(family)
    try:
        yield from card.recognise()
    except CardStatusError:
        return None
    return card
