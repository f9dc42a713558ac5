"""The certificate of a CPS: the IGC-Santé profile, read from DER. Nothing is trusted here.

Seen in decoded test certificates: the subject with its multi-valued RDN, the usages, policy and
addresses of a signature certificate, and the private extensions, but for the future profession,
whose encoding is assumed to be that of the profession. Of the authentication certificate only the
extended key usages are known; of the contactless technical one nothing is.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from cardd.cps.extension_values import (
    Malformed,
    integer,
    octet,
    printable,
    strict_signature,
    utf8_strings,
)
from cardd.errors import Code, Refused

CARD_TYPE: Final = "1.2.250.1.71.1.2.2"
CARD_NUMBER: Final = "1.2.250.1.71.1.2.3"
CATEGORY: Final = "1.2.250.1.71.1.2.5"
PROFESSION: Final = "1.2.250.1.71.1.2.7"
FUTURE_PROFESSION: Final = "1.2.250.1.71.1.2.8"
SPECIALTIES: Final = "1.2.250.1.71.4.2.5"

MAXIMUM_BYTES: Final = 8192
MINIMUM_KEY_BITS: Final = 2048
MAXIMUM_KEY_BITS: Final = 4096

_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject's attributes. Any may be missing: a CPE need not name a person."""

    common_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    title: str | None = None
    organization: str | None = None
    organizational_units: tuple[str, ...] = ()
    state: str | None = None
    pseudonym: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class CpsCertificate:
    """A certificate that was parsed; whether it is to be trusted, `trust.TrustStore.check` says.

    `der` is in strict DER, whatever the card had (`parse_certificate`). `key_usages` are names of
    RFC 5280 4.2.1.3 in lower case, None without the extension; `extended_key_usages` and
    `policies` are dotted OIDs. The private extensions are None, or empty, where they are absent.
    """

    der: bytes = field(repr=False)
    serial_number: int
    issuer_common_name: str | None
    subject: Subject
    not_before: datetime
    not_after: datetime
    public_key: RSAPublicKey = field(repr=False, compare=False)
    is_authority: bool
    key_usages: frozenset[str] | None
    extended_key_usages: frozenset[str]
    policies: frozenset[str]
    crl_urls: frozenset[str]
    ocsp_urls: tuple[str, ...]
    category: int | None
    card_type: int | None
    card_number: str | None
    profession: int | None
    future_profession: int | None
    specialties: tuple[str, ...]

    @property
    def x5t_s256(self) -> str:
        """Return the base64url SHA-256 of the DER (RFC 7515, 4.1.8: `x5t#S256`)."""
        digest = hashlib.sha256(self.der).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def parse_certificate(der: bytes) -> CpsCertificate:
    """Parse a card's certificate; Refused (`certificate_invalid`) for anything else.

    Some cards hold a signature BIT STRING that says that a few of its bits are unused, which DER
    forbids; such a byte is put right, as the Cryptolib does where it exports the certificate. It
    is outside of what is signed.
    """
    if not 0 < len(der) <= MAXIMUM_BYTES:
        _refuse(f"it has {len(der)} bytes; 1 to {MAXIMUM_BYTES} are accepted")
    try:
        der = strict_signature(der)
        return _read(der, x509.load_der_x509_certificate(der))
    except (ValueError, TypeError, UnsupportedAlgorithm, Malformed, Warning) as error:
        # ValueError: all that cryptography finds malformed. Warning: what it tolerates, where the
        # interpreter was told to make warnings errors.
        _refuse(str(error) or type(error).__name__)
    except (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        _refuse(str(error))


def _refuse(why: str) -> NoReturn:
    raise Refused(
        Code.CERTIFICATE_INVALID,
        f"the card's certificate cannot be used: {why}; an X.509 certificate in DER with an RSA "
        "key is expected",
    )


def _read(der: bytes, certificate: x509.Certificate) -> CpsCertificate:
    extensions = _Extensions(certificate)
    basic = extensions.of(x509.BasicConstraints)
    return CpsCertificate(
        der=der,
        serial_number=certificate.serial_number,
        issuer_common_name=_single(certificate.issuer, NameOID.COMMON_NAME),
        subject=_subject(certificate.subject),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        public_key=_rsa_key(certificate),
        is_authority=basic is not None and basic.ca,
        key_usages=_key_usages(extensions.of(x509.KeyUsage)),
        extended_key_usages=_oids(extensions.of(x509.ExtendedKeyUsage) or ()),
        policies=_oids(
            policy.policy_identifier for policy in extensions.of(x509.CertificatePolicies) or ()
        ),
        crl_urls=distribution_urls(extensions.of(x509.CRLDistributionPoints)),
        ocsp_urls=_ocsp_urls(extensions.of(x509.AuthorityInformationAccess)),
        category=extensions.private(CATEGORY, octet),
        card_type=extensions.private(CARD_TYPE, integer),
        card_number=extensions.private(CARD_NUMBER, printable),
        profession=extensions.private(PROFESSION, integer),
        future_profession=extensions.private(FUTURE_PROFESSION, integer),
        specialties=extensions.private(SPECIALTIES, utf8_strings) or (),
    )


class _Extensions:
    """The extensions of one certificate, by class or, for the private ones, by OID."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self._by_oid = {each.oid.dotted_string: each.value for each in certificate.extensions}

    def of(self, kind: type[T]) -> T | None:
        """Return the value of a standard extension, None where it is absent."""
        value = self._by_oid.get(_STANDARD[kind])
        return value if isinstance(value, kind) else None

    def private(self, oid: str, decode: Callable[[bytes], T]) -> T | None:
        """Decode a private extension, None where it is absent; raises Malformed."""
        value = self._by_oid.get(oid)
        if not isinstance(value, x509.UnrecognizedExtension):
            return None
        try:
            return decode(value.value)
        except Malformed as error:
            raise Malformed(f"its extension {oid} is malformed: {error}") from None


_STANDARD: dict[type[Any], str] = {
    x509.BasicConstraints: ExtensionOID.BASIC_CONSTRAINTS.dotted_string,
    x509.KeyUsage: ExtensionOID.KEY_USAGE.dotted_string,
    x509.ExtendedKeyUsage: ExtensionOID.EXTENDED_KEY_USAGE.dotted_string,
    x509.CertificatePolicies: ExtensionOID.CERTIFICATE_POLICIES.dotted_string,
    x509.CRLDistributionPoints: ExtensionOID.CRL_DISTRIBUTION_POINTS.dotted_string,
    x509.AuthorityInformationAccess: ExtensionOID.AUTHORITY_INFORMATION_ACCESS.dotted_string,
}


def _subject(name: x509.Name) -> Subject:
    """Return the attributes, wherever they stand: alone, or together in one multi-valued RDN."""
    return Subject(
        common_name=_single(name, NameOID.COMMON_NAME),
        given_name=_single(name, NameOID.GIVEN_NAME),
        surname=_single(name, NameOID.SURNAME),
        title=_single(name, NameOID.TITLE),
        organization=_single(name, NameOID.ORGANIZATION_NAME),
        organizational_units=_values(name, NameOID.ORGANIZATIONAL_UNIT_NAME),
        state=_single(name, NameOID.STATE_OR_PROVINCE_NAME),
        pseudonym=_single(name, NameOID.PSEUDONYM),
        country=_single(name, NameOID.COUNTRY_NAME),
    )


def _values(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    values = (attribute.value for attribute in name.get_attributes_for_oid(oid))
    return tuple(value for value in values if isinstance(value, str) and value)


def _single(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    """Return an attribute that may stand once: with two, different readers see two people."""
    values = _values(name, oid)
    if len(values) > 1:
        raise Malformed(f"a name in it has {len(values)} values of {oid.dotted_string}")
    return values[0] if values else None


def _rsa_key(certificate: x509.Certificate) -> RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise Malformed("its key is not RSA")
    if not MINIMUM_KEY_BITS <= key.key_size <= MAXIMUM_KEY_BITS:
        raise Malformed(
            f"its key has {key.key_size} bits; {MINIMUM_KEY_BITS} to {MAXIMUM_KEY_BITS} are "
            "accepted"
        )
    return key


def _key_usages(extension: x509.KeyUsage | None) -> frozenset[str] | None:
    if extension is None:
        return None
    return frozenset(name for name in _KEY_USAGES if getattr(extension, name))


def _oids(oids: Any) -> frozenset[str]:
    return frozenset(oid.dotted_string for oid in oids)


def distribution_urls(points: x509.CRLDistributionPoints | None) -> frozenset[str]:
    """Return the URIs at which a certificate says that its CRL is (RFC 5280, 4.2.1.13)."""
    return frozenset(
        name.value
        for point in points or ()
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _ocsp_urls(extension: x509.AuthorityInformationAccess | None) -> tuple[str, ...]:
    return tuple(
        each.access_location.value
        for each in extension or ()
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    )
