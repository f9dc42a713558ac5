"""Authentication context classes (`acr`) and authentication methods (`amr`, RFC 8176)."""

from enum import StrEnum

from cardd.errors import Code, Refused


class Acr(StrEnum):
    """How strong an authentication is, as relying parties see it."""

    STRONG = "urn:cardd:acr:strong"
    RECENT = "urn:cardd:acr:recent"
    ONE_FACTOR = "urn:cardd:acr:one-factor"


_STRENGTH = {Acr.ONE_FACTOR: 1, Acr.RECENT: 2, Acr.STRONG: 3}

BADGE_AMR = ("hwk",)
CPS_AMR = ("sc", "hwk")
CPS_PIN_AMR = ("sc", "hwk", "pin", "mfa")


def require(reached: Acr, minimum: Acr | None) -> None:
    """Raise Refused (`second_factor_required`) where `reached` is below what was asked."""
    if minimum is not None and _STRENGTH[reached] < _STRENGTH[minimum]:
        raise Refused(
            Code.SECOND_FACTOR_REQUIRED,
            f"this application asks for {minimum}, and this card gives {reached}",
            reached=reached,
            required=minimum,
        )
