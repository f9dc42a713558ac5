"""Certificates of an IGC-Santé, with the names, extensions and encodings of the real ones.

Seen in a decoded test certificate (a card's signature): names, policy, addresses, private
extensions, key usage. **Not confirmed by any real certificate**: of the authentication certificate
its key usage (digitalSignature here), its policy and that it has no subjectAltName; of the
contactless technical one everything; the encoding of 1.2.250.1.71.1.2.8; the names of a CPE
beyond its CN and O, which a note of the GIE gives.
"""

from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from simulators import der
from simulators.pki.naming import Naming
from simulators.pki.profile import CardType, Holder, Profile, Structure, Usage

CARD_TYPE = x509.ObjectIdentifier("1.2.250.1.71.1.2.2")
CARD_NUMBER = x509.ObjectIdentifier("1.2.250.1.71.1.2.3")
CATEGORY = x509.ObjectIdentifier("1.2.250.1.71.1.2.5")
PROFESSION = x509.ObjectIdentifier("1.2.250.1.71.1.2.7")
FUTURE_PROFESSION = x509.ObjectIdentifier("1.2.250.1.71.1.2.8")
SPECIALTIES = x509.ObjectIdentifier("1.2.250.1.71.4.2.5")

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string
SMARTCARD_LOGON = ExtendedKeyUsageOID.SMARTCARD_LOGON.dotted_string
EMAIL_PROTECTION = ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string

KEY_USAGES = {
    Usage.SIGNATURE: frozenset({"content_commitment"}),
    Usage.AUTHENTICATION: frozenset({"digital_signature"}),
    Usage.TECHNICAL: frozenset({"digital_signature"}),
}
EXTENDED_USAGES = {
    Usage.SIGNATURE: (EMAIL_PROTECTION,),
    Usage.AUTHENTICATION: (CLIENT_AUTH, SMARTCARD_LOGON),
    Usage.TECHNICAL: (CLIENT_AUTH,),
}
# The first is that of a real test certificate; the two others only stand for what is not known.
POLICIES = {
    Usage.SIGNATURE: ("1.2.250.1.213.1.7.2.1.1.1.1",),
    Usage.AUTHENTICATION: ("1.2.250.1.213.1.7.2.1.1.1.2",),
    Usage.TECHNICAL: ("1.2.250.1.213.1.7.2.1.1.1.3",),
}
_KEY_USAGE_NAMES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


_Value = TypeVar("_Value")


def leaf(
    profile: Profile,
    public_key: rsa.RSAPublicKey,
    naming: Naming,
    authority: x509.Certificate,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    """Return a card's certificate, ready to be signed with a key of `authority`."""
    builder = (
        x509.CertificateBuilder(subject_name=subject(profile), issuer_name=authority.subject)
        .serial_number(profile.serial or x509.random_serial_number())
        .public_key(public_key)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_key(authority), critical=False)
        .add_extension(x509.PrivateKeyUsagePeriod(*validity), critical=False)
    )
    return _private(_usages(_addresses(builder, naming), profile, naming), profile)


def authority(
    name: x509.Name,
    public_key: rsa.RSAPublicKey,
    issuer: x509.Certificate | None,
    naming: Naming,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    """Return the certificate of an authority: a root without `issuer`, else an intermediate."""
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=issuer.subject if issuer else name)
        .serial_number(x509.random_serial_number())
        .public_key(public_key)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage(frozenset({"key_cert_sign", "crl_sign"})), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if issuer is None:
        return builder
    any_policy = x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)
    return (
        builder.add_extension(_authority_key(issuer), critical=False)
        .add_extension(x509.CertificatePolicies([any_policy]), critical=False)
        .add_extension(_points([naming.root_crl]), critical=False)
    )


def authority_name(naming: Naming, common_name: str) -> x509.Name:
    """Return the name of an authority."""
    return x509.Name(
        [
            _country(),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ASIP-SANTE"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "0002 187512751"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, naming.unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def subject(profile: Profile) -> x509.Name:
    """Return the subject: the person's names and number are one RDN of several values."""
    holder = profile.holder
    if profile.card_type in {CardType.CPE, CardType.CPA}:
        place = [] if holder.structure is None else _place(holder.structure)
    else:
        place = [] if holder.title is None else [_one(NameOID.TITLE, holder.title)]
    country = x509.RelativeDistinguishedName([_country()])
    return x509.Name([country, *place, _person(holder)])


def _place(structure: Structure) -> list[x509.RelativeDistinguishedName]:
    return [
        _one(NameOID.STATE_OR_PROVINCE_NAME, structure.department),
        _one(NameOID.ORGANIZATION_NAME, structure.name),
        _one(NameOID.ORGANIZATIONAL_UNIT_NAME, structure.number),
    ]


def _person(holder: Holder) -> x509.RelativeDistinguishedName:
    values = (
        (NameOID.GIVEN_NAME, holder.given_name),
        (NameOID.SURNAME, holder.surname),
        (NameOID.COMMON_NAME, holder.national_id),
    )
    return x509.RelativeDistinguishedName(
        [x509.NameAttribute(kind, value) for kind, value in values if value is not None]
    )


def _one(kind: x509.ObjectIdentifier, value: str) -> x509.RelativeDistinguishedName:
    return x509.RelativeDistinguishedName([x509.NameAttribute(kind, value)])


def _country() -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COUNTRY_NAME, "FR", _type=_ASN1Type.PrintableString)


def key_usage(names: frozenset[str]) -> x509.KeyUsage:
    """Return a key usage with these bits; raise ValueError for a name that is none."""
    if unknown := names - set(_KEY_USAGE_NAMES):
        raise ValueError(f"no key usage: {', '.join(sorted(unknown))}")
    return x509.KeyUsage(**{name: name in names for name in _KEY_USAGE_NAMES})


def _usages(
    builder: x509.CertificateBuilder, profile: Profile, naming: Naming
) -> x509.CertificateBuilder:
    bits = _chosen(profile.key_usage, KEY_USAGES[profile.usage])
    if bits:
        builder = builder.add_extension(key_usage(bits), critical=True)
    if purposes := _chosen(profile.extended_usages, EXTENDED_USAGES[profile.usage]):
        extended = x509.ExtendedKeyUsage([x509.ObjectIdentifier(text) for text in purposes])
        builder = builder.add_extension(extended, critical=False)
    if policies := _chosen(profile.policies, POLICIES[profile.usage]):
        stated = [
            x509.PolicyInformation(x509.ObjectIdentifier(text), [naming.practice])
            for text in policies
        ]
        builder = builder.add_extension(x509.CertificatePolicies(stated), critical=False)
    return builder


def _chosen(own: _Value | None, usual: _Value) -> _Value:
    return usual if own is None else own


def _addresses(builder: x509.CertificateBuilder, naming: Naming) -> x509.CertificateBuilder:
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(naming.ocsp)
            ),
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS,
                x509.UniformResourceIdentifier(naming.issuer_certificate),
            ),
        ]
    )
    full = _points([naming.crl, _directory(naming, "certificaterevocationlist;binary")])
    delta = _points([_directory(naming, "deltarevocationlist;binary")])
    return (
        builder.add_extension(full, critical=False)
        .add_extension(x509.FreshestCRL(list(delta)), critical=False)
        .add_extension(access, critical=False)
    )


def _directory(naming: Naming, attribute: str) -> str:
    name = quote(
        f"cn={naming.intermediate},ou={naming.intermediate},ou={naming.unit},ou=0002 187512751,"
        "o=ASIP-SANTE,c=FR",
        safe="=,",
    )
    return f"ldap://annuaire-igc.esante.gouv.fr/{name}?{attribute}?base?objectClass=pkiCA"


def _points(addresses: list[str]) -> x509.CRLDistributionPoints:
    return x509.CRLDistributionPoints(
        [
            x509.DistributionPoint(
                [x509.UniformResourceIdentifier(address) for address in addresses], None, None, None
            )
        ]
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _private(builder: x509.CertificateBuilder, profile: Profile) -> x509.CertificateBuilder:
    """Add the private extensions, none critical, with the encodings of real certificates."""
    holder = profile.holder
    values = (
        (CATEGORY, profile.category, _category),
        (CARD_TYPE, profile.card_type, der.integer),
        (PROFESSION, holder.profession, der.integer),
        (FUTURE_PROFESSION, holder.future_profession, der.integer),
    )
    encoded = [(name, encode(value)) for name, value, encode in values if value is not None]
    if profile.card_number is not None:
        encoded.append((CARD_NUMBER, der.printable(profile.card_number)))
    if holder.specialties:
        encoded.append((SPECIALTIES, der.sequence(*map(der.utf8, holder.specialties))))
    for name, value in encoded:
        builder = builder.add_extension(x509.UnrecognizedExtension(name, value), critical=False)
    return builder


def _category(value: int) -> bytes:
    return der.octets(bytes((value,)))
