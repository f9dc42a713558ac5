"""Whether a CPS is to be believed: its certificate's path to a configured root, and revocation.

Nothing of it is loaded before the first CPS: pyhanko-certvalidator takes its time to import, and
most workstations see badges all day.
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from cardd.config import Trust
from cardd.cps.certificate import CpsCertificate, parse_certificate
from cardd.cps.trust_usage import Usage, check_usage
from cardd.errors import Code, Refused

__all__ = ["MAXIMUM_CHAIN", "TrustStore", "Usage"]

MAXIMUM_CHAIN = 4


class TrustStore:
    """The authorities, lists and rules of one configuration. Thread-safe.

    `online` is the key service's: it may ask the OCSP responders that the configuration lists. A
    workstation fetches nothing.
    """

    def __init__(self, settings: Trust, *, online: bool = False) -> None:
        self._settings = settings
        self._online = online
        self._lock = threading.Lock()

    @classmethod
    def load(cls, settings: Trust, *, online: bool = False) -> Self:
        """Read the authorities and lists now rather than at the first check."""
        return cls(settings, online=online)

    def check(self, der_chain: Sequence[bytes], usage: Usage, now: float) -> CpsCertificate:
        """Return the first certificate of a chain, which is then to be believed.

        The rest of the chain, at most MAXIMUM_CHAIN certificates in all, may hold intermediates; a
        root in it counts for nothing. `now` is in Unix seconds.

        Raises Refused: `certificate_invalid`, `test_card_refused`, `certificate_usage`,
        `untrusted_issuer`, `issuer_signature_invalid`, `certificate_expired`,
        `certificate_not_yet_valid`, `certificate_revoked`, `crl_expired`,
        `revocation_unavailable`, `trust_unavailable`.
        """
        raise NotImplementedError

    def chain(self, der: bytes, now: float) -> tuple[bytes, ...]:
        """Return a certificate and the intermediates towards its root, without the root."""
        raise NotImplementedError
