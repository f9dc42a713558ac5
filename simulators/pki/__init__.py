"""A test IGC-Santé: authorities, certificates of cards, revocation lists.

The only room of the simulators that uses `cryptography`, which builds X.509.
"""

from simulators.pki.authorities import Pki, PkiError
from simulators.pki.profile import (
    ISSUER_NUMBER,
    CardType,
    Category,
    Holder,
    Issued,
    Issuer,
    Profile,
    Structure,
    Usage,
)

__all__ = [
    "ISSUER_NUMBER",
    "CardType",
    "Category",
    "Holder",
    "Issued",
    "Issuer",
    "Pki",
    "PkiError",
    "Profile",
    "Structure",
    "Usage",
]
