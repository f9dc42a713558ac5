"""Certification paths and OCSP answers, judged by pyhanko-certvalidator (RFC 5280, RFC 6960).

It is always given the configured roots, so that it never looks for those of the operating system,
and it fetches nothing. Imported at the first CPS.
"""

import hashlib
import threading
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn, TypeVar

from asn1crypto import ocsp, x509
from asn1crypto.algos import SignedDigestAlgorithm
from asn1crypto.keys import PublicKeyInfo
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509 import Certificate, load_der_x509_certificate
from cryptography.x509.ocsp import load_der_ocsp_response
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.authority import AuthorityWithCert
from pyhanko_certvalidator.errors import (
    ExpiredError,
    InvalidCertificateError,
    NotYetValidError,
    PathBuildingError,
    RevokedError,
    ValidationError,
)
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo, ValidationTimingParams
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.registry import CertificateRegistry
from pyhanko_certvalidator.sig_validate import (
    DEFAULT_VALIDATION_CONTEXT,
    DefaultSignatureValidator,
    SignatureValidationContext,
)

from cardd.cps.trust_authorities import Authority
from cardd.errors import Code, Refused

MAXIMUM_VERIFIED: Final = 512

# What the two libraries let through where a certificate is well-formed and yet nonsense: an
# algorithm that does not go with a key (an assertion there), a time out of range, a deep structure.
_NONSENSE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
)

T = TypeVar("T")


class OcspUnusable(Exception):
    """An OCSP answer that says nothing about the certificate; the message says why."""


class Paths:
    """Builds and judges paths from certificates to the configured roots. Thread-safe."""

    def __init__(self, authorities: Sequence[Authority], clock_skew_s: int) -> None:
        self._by_signature = {each.certificate.signature: each for each in authorities}
        self._roots = [_load(each.der) for each in authorities if each.is_root]
        self._intermediates = [_load(each.der) for each in authorities if not each.is_root]
        self._names = frozenset(each.subject.hashable for each in self._authorities())
        self._skew = timedelta(seconds=clock_skew_s)
        self._signed = _signed_by_certificates(*(each.certificate for each in authorities))
        self._marked = {
            mark: each.dump() for each in self._authorities() for mark in _taken_for(each)
        }
        self._verified: set[bytes] = set()
        # asn1crypto parses as it is read, and the authorities are shared by all checks.
        self._lock = threading.Lock()

    def _authorities(self) -> list[x509.Certificate]:
        return [*self._roots, *self._intermediates]

    def find(self, der: bytes, now: datetime) -> tuple[Authority, ...]:
        """Return the authorities from a certificate's issuer to the root, all valid now.

        The certificate was parsed before (`certificate.parse_certificate`). Revocation is not
        looked at. Raises Refused: `untrusted_issuer`, `issuer_signature_invalid`,
        `certificate_expired`, `certificate_not_yet_valid`, `certificate_invalid`.
        """
        try:
            leaf = _load(der)
            with self._lock:
                context = self._context(now, _signed_by(der))
                path = _finish(CertificateValidator(leaf, None, context).async_validate_path())
            issuers = [
                self._by_signature[authority.certificate.signature]
                for authority in path.iter_authorities()
                if isinstance(authority, AuthorityWithCert)
            ]
        except PathBuildingError:
            self._refuse_issuer(leaf)
        except InvalidSignature:
            raise Refused(
                Code.ISSUER_SIGNATURE_INVALID,
                "the certificate has the signature of another certificate",
            ) from None
        except ValidationError as error:
            _refuse(error)
        except _NONSENSE as error:
            _refuse_nonsense(error)
        for issuer in issuers:
            _check_validity(issuer, now, self._skew)
        return tuple(reversed(issuers))

    def check_ocsp(self, der: bytes, answer: bytes, now: datetime) -> None:
        """Return where an OCSP answer, of an entitled responder and fresh, says good.

        Raises Refused (`certificate_revoked`), or OcspUnusable.
        """
        try:
            response = ocsp.OCSPResponse.load(answer, strict=True)
            signed = _joined(_signed_by(der), _signed_by_answer(answer))
            leaf = _load(der)
            self._check_likeness(leaf, response)
            with self._lock:
                context = self._context(now, signed, response)
                _finish(CertificateValidator(leaf, None, context).async_validate_path())
        except RevokedError as error:
            raise Refused(
                Code.CERTIFICATE_REVOKED, f"the certificate is revoked: {error}"
            ) from None
        except (ValidationError, PathBuildingError, InvalidSignature) as error:
            raise OcspUnusable(str(error)) from None
        except _NONSENSE as error:
            raise OcspUnusable(f"the answer is malformed: {error}") from None

    def _check_likeness(self, leaf: x509.Certificate, answer: ocsp.OCSPResponse) -> None:
        """Raise OcspUnusable where an answer has a certificate that only looks like another.

        The library takes a certificate in an answer for the issuer's by its issuer, serial number
        and signature, without verifying that, and then verifies the answer with the key in it.
        """
        marked = {**dict.fromkeys(_taken_for(leaf), leaf.dump()), **self._marked}
        for each in answer.basic_ocsp_response["certs"]:
            for mark in _taken_for(each):
                if marked.setdefault(mark, each.dump()) != each.dump():
                    raise OcspUnusable(
                        "the answer has a certificate with the serial number or the signature of "
                        "another certificate"
                    )

    def _context(
        self,
        now: datetime,
        signed: Mapping[bytes, bytes],
        answer: ocsp.OCSPResponse | None = None,
    ) -> ValidationContext:
        """Return the library's context; with an OCSP answer, that is what has to be good.

        Raises InvalidSignature where one signature is given for two things.
        """
        rules = RevocationCheckingRule
        rule = rules.NO_CHECK if answer is None else rules.OCSP_REQUIRED
        checking = RevocationCheckingPolicy(
            ee_certificate_rule=rule, intermediate_ca_cert_rule=rules.NO_CHECK
        )
        context = ValidationContext(
            trust_roots=self._roots,
            certificate_registry=CertificateRegistry.build(self._authorities()),
            moment=now,
            ocsps=() if answer is None else (answer,),
            revinfo_policy=CertRevTrustPolicy(checking),
            time_tolerance=self._skew,
            signature_validator=_ExactSignatures(_joined(self._signed, signed), self._verified),
        )
        # `moment` alone would judge the past: a revocation dated later than it, as by a responder
        # whose clock is ahead, would not count.
        context.timing_params = ValidationTimingParams(
            ValidationTimingInfo(now, now, point_in_time_validation=False), self._skew
        )
        return context

    def _refuse_issuer(self, leaf: x509.Certificate) -> NoReturn:
        """Refuse a certificate without a path: its issuer is unknown, or known with another key."""
        issuer = leaf.issuer.human_friendly
        if leaf.issuer.hashable in self._names and leaf.self_signed != "yes":
            raise Refused(
                Code.ISSUER_SIGNATURE_INVALID,
                f"the certificate names {issuer} as its issuer, and was not signed with the key "
                "that this authority has here",
            )
        raise Refused(
            Code.UNTRUSTED_ISSUER,
            f"no path leads from the certificate, issued by {issuer}, to a configured root; if "
            "this authority is to be trusted, put its certificate into trust.intermediates",
        )


class _ExactSignatures(DefaultSignatureValidator):
    """Verify signatures over the very bytes that were received, each once.

    The library hands over what asn1crypto writes of a structure that it read; where the header of
    one ends with the byte 80 that is a new encoding, under which some changed bytes go unseen.
    `signed` gives the bytes under each signature; another signature is not valid.
    """

    def __init__(self, signed: Mapping[bytes, bytes], verified: set[bytes]) -> None:
        self._signed = signed
        self._verified = verified

    def validate_signature(
        self,
        signature: bytes,
        signed_data: bytes,  # noqa: ARG002 - what is not used is the point
        public_key_info: PublicKeyInfo,
        signature_algorithm: SignedDigestAlgorithm,
        context: SignatureValidationContext = DEFAULT_VALIDATION_CONTEXT,
    ) -> None:
        """Return where the signature is valid; raise InvalidSignature."""
        exact = self._signed.get(signature)
        if exact is None:
            raise InvalidSignature
        digest = hashlib.sha256()
        for part in (signature, exact, public_key_info.dump(), signature_algorithm.dump()):
            digest.update(len(part).to_bytes(8))
            digest.update(part)
        if digest.digest() in self._verified:
            return
        super().validate_signature(signature, exact, public_key_info, signature_algorithm, context)
        if len(self._verified) >= MAXIMUM_VERIFIED:
            self._verified.clear()
        self._verified.add(digest.digest())


def _signed_by(der: bytes) -> dict[bytes, bytes]:
    return _signed_by_certificates(load_der_x509_certificate(der))


def _signed_by_certificates(*certificates: Certificate) -> dict[bytes, bytes]:
    return _joined(*({each.signature: each.tbs_certificate_bytes} for each in certificates))


def _signed_by_answer(answer: bytes) -> dict[bytes, bytes]:
    response = load_der_ocsp_response(answer)
    return _joined(
        _signed_by_certificates(*response.certificates),
        {response.signature: response.tbs_response_bytes},
    )


def _joined(*signed: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Join what is under each signature; InvalidSignature where one is over different bytes."""
    joined: dict[bytes, bytes] = {}
    for signature, exact in (item for each in signed for item in each.items()):
        if joined.setdefault(signature, exact) != exact:
            raise InvalidSignature("one signature is given for different things")
    return joined


def _taken_for(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """Return what the library tells certificates apart by: issuer and serial, and signature."""
    return certificate.issuer_serial, bytes(certificate["signature_value"])


def _load(der: bytes) -> x509.Certificate:
    return x509.Certificate.load(der, strict=True)


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits nothing from outside, as the library's do without fetching."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        value: T = stopped.value
        return value
    coroutine.close()
    raise AssertionError("a path validation without fetching waited for something")


def _refuse(error: ValidationError) -> NoReturn:
    if isinstance(error, NotYetValidError):
        code = Code.CERTIFICATE_NOT_YET_VALID
    elif isinstance(error, ExpiredError):
        code = Code.CERTIFICATE_EXPIRED
    elif isinstance(error.__context__, InvalidSignature):
        code = Code.ISSUER_SIGNATURE_INVALID
    elif isinstance(error, InvalidCertificateError):
        # The one that a path search raises: self-signed, and no configured root.
        code = Code.UNTRUSTED_ISSUER
    else:
        code = Code.CERTIFICATE_INVALID
    raise Refused(code, f"the certificate is refused: {error}") from None


def _refuse_nonsense(error: Exception) -> NoReturn:
    raise Refused(
        Code.CERTIFICATE_INVALID,
        f"the certificate is malformed: {str(error) or type(error).__name__}",
    ) from None


def _check_validity(authority: Authority, now: datetime, skew: timedelta) -> None:
    """Refuse an authority that is over or has not begun: RFC 5280 leaves a root's dates to us."""
    certificate = authority.certificate
    if now - skew > certificate.not_valid_after_utc:
        raise Refused(
            Code.CERTIFICATE_EXPIRED,
            f"the authority {authority.name} expired at {certificate.not_valid_after_utc}",
        )
    if now + skew < certificate.not_valid_before_utc:
        raise Refused(
            Code.CERTIFICATE_NOT_YET_VALID,
            f"the authority {authority.name} begins at {certificate.not_valid_before_utc}",
        )
