"""OCSP answers of a test IGC-Santé (RFC 6960), by a delegated signer; and answers gone wrong.

IGC-Santé's real responder was not seen: that it signs with a certificate of its own, and how long
its answers live, is a model.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from simulators.pki.authorities import CARD_BITS, EXPONENT, YEAR, Authority, Pki
from simulators.pki.certificates import authority_name

ANSWER_LIFE = timedelta(hours=1)
LONGEST_NONCE = 128
LONGEST_SERIAL_BITS = 160


class Manner(StrEnum):
    """How the responder behaves."""

    HONEST = "honest"
    UNKNOWN = "unknown"
    """Knows no certificate."""
    STALE = "stale"
    """Gives an answer whose time is over."""
    EARLY = "early"
    """Gives an answer whose time has not come."""
    IMPOSTOR = "impostor"
    """Signs with a key that the authority has not certified."""
    OTHER = "other"
    """Answers about another certificate than the one asked for."""
    REFUSE = "refuse"
    """Gives the OCSP error tryLater, unsigned."""
    UNAVAILABLE = "unavailable"
    """Gives HTTP status 503."""
    GARBAGE = "garbage"
    """Gives bytes that are no OCSP answer."""
    SILENT = "silent"
    """Takes the request and gives nothing."""


@dataclass(frozen=True, slots=True)
class OcspSigner:
    """Signs the answers about certificates of the intermediate authority."""

    issuer: x509.Certificate
    own: Authority
    impostor: Authority

    @classmethod
    def of(cls, pki: Pki) -> "OcspSigner":
        """Make a signer's key and certificate (OCSPSigning, nocheck), under the intermediate."""
        key = rsa.generate_private_key(EXPONENT, CARD_BITS)
        stranger = rsa.generate_private_key(EXPONENT, CARD_BITS)
        intermediate = pki.intermediate
        builder = _certificate(pki, key)
        return cls(
            intermediate.certificate,
            Authority(builder.sign(intermediate.key, hashes.SHA256()), key),
            Authority(_certificate(pki, stranger).sign(stranger, hashes.SHA256()), stranger),
        )

    def answer(
        self, request: bytes, revoked: dict[int, datetime], manner: Manner, now: datetime
    ) -> bytes:
        """Return an OCSP response (DER) to a request of one certificate; any bytes get one.

        What is not revoked is good: like a responder that has the lists alone, this one does not
        know what was issued.
        """
        try:
            asked = ocsp.load_der_ocsp_request(request)
            serial, algorithm = asked.serial_number, asked.hash_algorithm
            is_ours = self._is_ours(asked)
            if not 0 < serial.bit_length() <= LONGEST_SERIAL_BITS or serial < 0:
                raise ValueError("no serial number of RFC 5280, 4.1.2.2")  # noqa: TRY301 - one end
        except (ValueError, NotImplementedError, UnsupportedAlgorithm, TypeError):
            return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        if manner is Manner.REFUSE:
            return _unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        if not is_ours:
            return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        if manner is Manner.OTHER:
            serial += 1
        status = _status(serial, revoked, manner)
        when = revoked.get(serial) if status is ocsp.OCSPCertStatus.REVOKED else None
        start, end = _period(manner, now)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            asked.issuer_name_hash, asked.issuer_key_hash, serial, algorithm, status, start, end,
            when, x509.ReasonFlags.key_compromise if when else None,
        )  # fmt: skip
        return self._signed(builder, _nonce(asked), manner)

    def _is_ours(self, asked: ocsp.OCSPRequest) -> bool:
        """Compare the issuer's name and key hashes with our authority's (RFC 6960, 4.1.1)."""
        by_us = (
            ocsp.OCSPRequestBuilder()
            .add_certificate(self.own.certificate, self.issuer, asked.hash_algorithm)
            .build()
        )
        return (asked.issuer_name_hash, asked.issuer_key_hash) == (
            by_us.issuer_name_hash,
            by_us.issuer_key_hash,
        )

    def _signed(
        self, builder: ocsp.OCSPResponseBuilder, nonce: x509.OCSPNonce | None, manner: Manner
    ) -> bytes:
        signer = self.impostor if manner is Manner.IMPOSTOR else self.own
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        builder = builder.certificates([signer.certificate])
        if nonce is not None:
            builder = builder.add_extension(nonce, critical=False)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _certificate(pki: Pki, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    issuer = pki.intermediate.certificate
    name = authority_name(pki.naming, f"OCSP {pki.naming.intermediate}")
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    start = datetime.now(UTC).replace(microsecond=0) - YEAR
    return (
        x509.CertificateBuilder(subject_name=name, issuer_name=issuer.subject)
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .not_valid_before(start)
        .not_valid_after(start + 5 * YEAR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
    )


def _status(serial: int, revoked: dict[int, datetime], manner: Manner) -> ocsp.OCSPCertStatus:
    if manner is Manner.UNKNOWN:
        return ocsp.OCSPCertStatus.UNKNOWN
    return ocsp.OCSPCertStatus.REVOKED if serial in revoked else ocsp.OCSPCertStatus.GOOD


def _period(manner: Manner, now: datetime) -> tuple[datetime, datetime]:
    start = now.replace(microsecond=0)
    if manner is Manner.STALE:
        start -= 48 * ANSWER_LIFE
    elif manner is Manner.EARLY:
        start += 48 * ANSWER_LIFE
    return start, start + ANSWER_LIFE


def _nonce(asked: ocsp.OCSPRequest) -> x509.OCSPNonce | None:
    """Return the request's nonce, to be sent back; a longer one than RFC 9654 allows is not."""
    try:
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
    return nonce if 0 < len(nonce.nonce) <= LONGEST_NONCE else None


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    response = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
    return response.public_bytes(Encoding.DER)
