"""Asking an OCSP responder about one certificate (RFC 6960). The key service alone does."""

import time
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from cardd.config import Trust
from cardd.cps.certificate import CpsCertificate
from cardd.cps.trust_authorities import Authority
from cardd.cps.trust_http import FetchError, Limits, fetch

MAXIMUM_ANSWER_BYTES: Final = 64 * 1024
# A responder that did not answer is left alone for this long where a CRL can stand in for it.
REST_S: Final = 15.0


class OcspError(Exception):
    """There is no answer; the message says why."""


class OcspClient:
    """Asks the responders that the configuration lists, and no other. Thread-safe."""

    def __init__(self, settings: Trust) -> None:
        self._allowed = settings.ocsp_responders
        self._limits = Limits(settings.ocsp_timeout_s, MAXIMUM_ANSWER_BYTES)
        self._rest_until: dict[str, float] = {}

    def responder_of(self, certificate: CpsCertificate) -> str | None:
        """Return the listed responder that a certificate names, None where there is none."""
        return next((url for url in certificate.ocsp_urls if url in self._allowed), None)

    def rests(self, url: str) -> bool:
        """Tell whether a responder failed a moment ago."""
        return time.monotonic() < self._rest_until.get(url, 0.0)

    def ask(self, url: str, certificate: CpsCertificate, issuer: Authority) -> bytes:
        """Return a responder's answer (DER), not yet verified; raises OcspError."""
        try:
            answer = fetch(
                url,
                self._limits,
                body=_request(certificate, issuer),
                headers={"Content-Type": "application/ocsp-request"},
            )
            _check_success(answer)
        except (FetchError, OcspError) as error:
            self._rest_until[url] = time.monotonic() + REST_S
            raise OcspError(f"the OCSP responder gives no answer: {error}") from None
        self._rest_until.pop(url, None)
        return answer


def _request(certificate: CpsCertificate, issuer: Authority) -> bytes:
    # SHA-1 here names the issuer and protects nothing; it is what every responder takes (RFC 5019,
    # 2.1.1). No nonce: it is optional for responders, and the answer's own times bound a replay.
    leaf = x509.load_der_x509_certificate(certificate.der)
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        leaf,
        issuer.certificate,
        hashes.SHA1(),  # noqa: S303
    )
    return builder.build().public_bytes(Encoding.DER)


def _check_success(answer: bytes) -> None:
    try:
        status = ocsp.load_der_ocsp_response(answer).response_status
    except (ValueError, TypeError) as error:
        raise OcspError(f"it is no OCSP answer: {error}") from None
    if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise OcspError(f"it refuses: {status.name}")
