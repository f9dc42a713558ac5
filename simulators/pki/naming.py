"""The names and addresses of an IGC-Santé: those of the TEST one, or of production."""

from dataclasses import dataclass
from typing import Any

SITE = "http://igc-sante.esante.gouv.fr"


@dataclass(frozen=True, slots=True)
class Naming:
    """What the certificates say about their issuers. The production CRL's name is not confirmed."""

    unit: str
    root: str
    intermediate: str
    practice: str
    crl: str
    root_crl: str
    issuer_certificate: str
    ocsp: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {name: getattr(self, name) for name in self.__slots__}


def naming(
    *, production: bool = False, crl_base: str | None = None, ocsp: str | None = None
) -> Naming:
    """Return the names of the TEST authorities, or of production.

    `crl_base` (an address without trailing slash) and `ocsp` replace the real hosts, so that tests
    fetch from loopback.
    """
    prefix, suffix = ("", "") if production else ("TEST ", "-TEST")
    crl_base = crl_base or f"{SITE}/CRL"
    return Naming(
        unit="IGC-SANTE" if production else "IGC-SANTE TEST",
        root=f"{prefix}AC RACINE IGC-SANTE FORT",
        intermediate=f"{prefix}AC IGC-SANTE FORT PERSONNES",
        practice=f"{SITE}/PC" if production else f"{SITE}/PC%20TEST",
        crl=f"{crl_base}/ACI-FO-PP{suffix}.crl",
        root_crl=f"{crl_base}/ACR-FO{suffix}.crl",
        issuer_certificate=f"{SITE}/AC{'' if production else '%20TEST'}/ACI-FO-PP{suffix}.cer",
        ocsp=ocsp or "http://ocsp.esante.gouv.fr",
    )
