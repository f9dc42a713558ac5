"""Whether a CPS is to be believed: its certificate's path to a configured root, and revocation.

Nothing of it is loaded before the first CPS: pyhanko-certvalidator takes its time to import, and
most workstations see badges all day.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NoReturn, Self

from cardd.config import Trust
from cardd.cps.certificate import CpsCertificate, parse_certificate
from cardd.cps.trust_authorities import Authority, certificate_files, read_authorities
from cardd.cps.trust_crls import Crl, CrlError, CrlFolder, CrlStatus, Listed
from cardd.cps.trust_ocsp import OcspClient, OcspError
from cardd.cps.trust_usage import Usage, check_test_card, check_usage
from cardd.errors import Code, Refused

if TYPE_CHECKING:
    from cardd.cps.trust_paths import Paths

__all__ = ["MAXIMUM_CHAIN", "TrustStore", "Usage"]

MAXIMUM_CHAIN: Final = 4


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What a first check reads."""

    authorities: tuple[Authority, ...]
    paths: "Paths"
    crls: CrlFolder


class TrustStore:
    """The authorities, lists and rules of one configuration. Thread-safe.

    `online` is the key service's: it may ask the OCSP responders that the configuration lists. A
    workstation fetches nothing; a card whose responder the key service will ask passes there as
    long as no CRL says that it is revoked.
    """

    def __init__(self, settings: Trust, *, online: bool = False) -> None:
        self._settings = settings
        self._online = online
        self._ocsp = OcspClient(settings)
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    @classmethod
    def load(cls, settings: Trust, *, online: bool = False) -> Self:
        """Read the authorities now, not at the first check; Refused (`trust_unavailable`)."""
        store = cls(settings, online=online)
        store._contents()
        return store

    def why_not(self) -> str | None:
        """Say why no CPS can be believed now, None where one might be. It loads nothing."""
        try:
            if certificate_files(self._settings.roots):
                return None
        except OSError:
            pass
        return f"there is no root certificate in {self._settings.roots} (trust.roots)"

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """Return the configured authorities, roots first; Refused (`trust_unavailable`)."""
        return self._contents().authorities

    def lists(self) -> list[tuple[str, Crl | CrlError]]:
        """Return the CRLs by file name, or why one cannot be used; errors as `authorities`."""
        return self._contents().crls.contents()

    def check(self, der_chain: Sequence[bytes], usage: Usage, now: float) -> CpsCertificate:
        """Return the first certificate of a chain (DER), which is then to be believed.

        The others, at most MAXIMUM_CHAIN in all, are not used: intermediates too are those of the
        configuration. `now` is in Unix seconds.

        Raises Refused: `certificate_invalid`, `test_card_refused`, `untrusted_issuer`,
        `issuer_signature_invalid`, `certificate_expired`, `certificate_not_yet_valid`,
        `certificate_usage`, `certificate_revoked`, `crl_expired`, `revocation_unavailable`,
        `trust_unavailable`.
        """
        if not 1 <= len(der_chain) <= MAXIMUM_CHAIN:
            raise Refused(
                Code.CERTIFICATE_INVALID,
                f"the chain has {len(der_chain)} certificates; 1 to {MAXIMUM_CHAIN} are accepted",
            )
        certificate = parse_certificate(der_chain[0])
        check_test_card(certificate, self._settings)
        loaded = self._contents()
        moment = _moment(now)
        above = loaded.paths.find(certificate.der, moment)
        check_usage(certificate, usage, self._settings)
        if self._settings.revocation != "off":
            self._check_revocation(loaded, certificate, above, moment)
        return certificate

    def chain(self, der: bytes, now: float) -> tuple[bytes, ...]:
        """Return a certificate and the intermediates towards its root, without the root: an `x5c`.

        Errors as `check`, without usage and revocation.
        """
        certificate = parse_certificate(der)
        above = self._contents().paths.find(certificate.der, _moment(now))
        return (certificate.der, *(each.der for each in above if not each.is_root))

    def _contents(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                # The one import of pyhanko-certvalidator: 0.2 s that only a CPS needs.
                from cardd.cps.trust_paths import Paths  # noqa: PLC0415

                authorities = read_authorities(self._settings)
                self._loaded = _Loaded(
                    authorities,
                    Paths(authorities, self._settings.clock_skew_s),
                    CrlFolder(self._settings.crls, authorities),
                )
            return self._loaded

    def _check_revocation(
        self,
        loaded: _Loaded,
        certificate: CpsCertificate,
        above: Sequence[Authority],
        now: datetime,
    ) -> None:
        """Refuse where any certificate below the root is revoked, or may be as far as is known."""
        skew = timedelta(seconds=self._settings.clock_skew_s)
        listed = Listed(
            certificate.serial_number, is_authority=False, crl_urls=certificate.crl_urls
        )
        status = loaded.crls.status(listed, above[0], now, skew)
        if status is CrlStatus.REVOKED:
            _refuse_revoked("the certificate", above[0])
        if not self._answered_by_ocsp(loaded, certificate, above[0], now, status):
            self._need_good(status, "the certificate", above[0])
        for authority, issuer in pairwise(above):
            listed = Listed(
                authority.certificate.serial_number, is_authority=True, crl_urls=authority.crl_urls
            )
            status = loaded.crls.status(listed, issuer, now, skew)
            if status is CrlStatus.REVOKED:
                _refuse_revoked(f"the authority {authority.name}", issuer)
            self._need_good(status, f"the authority {authority.name}", issuer)

    def _answered_by_ocsp(
        self,
        loaded: _Loaded,
        certificate: CpsCertificate,
        issuer: Authority,
        now: datetime,
        status: CrlStatus,
    ) -> bool:
        """Tell whether a responder says good; False where the CRL is to decide alone.

        On a workstation, that there is one to be asked is enough: the key service asks it.
        """
        from cardd.cps.trust_paths import OcspUnusable  # noqa: PLC0415 - loaded by now

        url = self._ocsp.responder_of(certificate)
        if url is None or not self._online:
            return url is not None
        stands_in = status is CrlStatus.GOOD or self._settings.revocation == "prefer"
        if stands_in and self._ocsp.rests(url):
            return False
        try:
            answer = self._ocsp.ask(url, certificate, issuer)
            loaded.paths.check_ocsp(certificate.der, answer, now)
        except (OcspError, OcspUnusable) as error:
            if stands_in:
                return False
            raise Refused(
                Code.REVOCATION_UNAVAILABLE,
                f"whether the certificate is revoked is not known: {url}: {error}; and no fresh "
                f"CRL of {issuer.name} is in {self._settings.crls}",
            ) from None
        return True

    def _need_good(self, status: CrlStatus, what: str, issuer: Authority) -> None:
        if status is CrlStatus.GOOD or self._settings.revocation == "prefer":
            return
        if status is CrlStatus.EXPIRED:
            raise Refused(
                Code.CRL_EXPIRED,
                f"whether {what} is revoked is not known: the CRL of {issuer.name} in "
                f"{self._settings.crls} is not fresh; run cardctl trust update",
            )
        raise Refused(
            Code.REVOCATION_UNAVAILABLE,
            f"whether {what} is revoked is not known: there is no usable CRL of {issuer.name} in "
            f"{self._settings.crls}; run cardctl trust update, and see cardctl trust show",
        )


def _refuse_revoked(what: str, issuer: Authority) -> NoReturn:
    raise Refused(Code.CERTIFICATE_REVOKED, f"{what} is on the CRL of {issuer.name}")


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
