"""Certificates of cards, as they are and as they should not be, and whom they name."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cardd.config import ContactAuthentication
from cardd.cps import nomenclature
from cardd.cps.certificate import MAXIMUM_BYTES, CpsCertificate, parse_certificate
from cardd.cps.extension_values import Malformed, integer, octet, printable, utf8_strings
from cardd.cps.identity import CpsIdentity, canonical_national_id, identity
from cardd.cps.nomenclature import CardType, PersonIdentifier, StructureIdentifier
from cardd.errors import Code, Refused
from simulators import pki as test_pki
from simulators.pki import Category, Holder, Pki, Profile, Structure

pytestmark = pytest.mark.unit

CPE = Profile(
    holder=Holder(
        national_id="30B0168811/CPET00001",
        given_name=None,
        surname=None,
        title=None,
        profession=None,
        specialties=(),
        structure=Structure(),
    ),
    card_type=test_pki.CardType.CPE,
)


def issued(pki: Pki, profile: Profile) -> CpsCertificate:
    return parse_certificate(pki.issue(profile).certificate)


def named(pki: Pki, **holder: object) -> CpsIdentity:
    return identity(issued(pki, Profile(holder=Holder(**holder))))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def der(pki: Pki) -> bytes:
    return pki.issue(Profile()).certificate


def test_the_fields_of_the_profile_are_read(pki: Pki, der: bytes) -> None:
    certificate = parse_certificate(der)
    assert certificate.der == der
    assert certificate.issuer_common_name == "TEST AC IGC-SANTE FORT PERSONNES"
    assert certificate.key_usages == {"digital_signature"}
    assert certificate.extended_key_usages == {"1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2"}
    assert certificate.category == 0x80
    assert certificate.card_type == 0
    assert certificate.card_number == "8025000001/2600855206"
    assert certificate.profession == 10
    assert certificate.specialties == ("SM26",)
    assert certificate.ocsp_urls == (pki.naming.ocsp,)
    assert pki.naming.crl in certificate.crl_urls
    assert not certificate.is_authority


def test_names_are_read_from_one_rdn_of_several_values(der: bytes) -> None:
    rdns = x509.load_der_x509_certificate(der).subject.rdns
    assert max(len(list(rdn)) for rdn in rdns) == 3  # GN + SN + CN
    subject = parse_certificate(der).subject
    assert (subject.given_name, subject.surname) == ("CLAIRE", "TESTEUSE")
    assert subject.common_name == "899700000012"
    assert subject.title == "Médecin"


def test_a_person_is_named_with_the_labels_of_the_tables(pki: Pki) -> None:
    person = named(pki)
    assert person.card_type is CardType.CPS
    assert person.card_type.label == "CPS"
    assert person.national_id.kind is PersonIdentifier.RPPS
    assert person.national_id.kind.label == "N° RPPS"
    assert person.national_id.number == "99700000012"
    assert person.profession is not None
    assert person.profession.label == "Médecin"
    assert person.structure is None
    assert person.is_test


def test_the_claims_have_the_names_of_pro_sante_connect(pki: Pki) -> None:
    assert named(pki).claims() == {
        "SubjectNameID": "899700000012",
        "given_name": "CLAIRE",
        "family_name": "TESTEUSE",
        "SubjectRole": ["10^1.2.250.1.71.1.2.7"],
        "otherIds": [{"identifiant": "899700000012", "origine": "RPPS", "qualite": 1}],
    }


def test_a_cpe_without_names_names_its_structure(pki: Pki) -> None:
    employee = identity(issued(pki, CPE))
    assert employee.card_type is CardType.CPE
    assert employee.given_name is None
    assert employee.family_name is None
    assert employee.profession is None
    assert employee.national_id.kind is PersonIdentifier.FINESS
    assert employee.structure is not None
    assert employee.structure.kind is StructureIdentifier.FINESS
    assert employee.claims() == {
        "SubjectNameID": "30B0168811/CPET00001",
        "SubjectOrganization": "HOPITAL DE TEST",
        "SubjectOrganizationID": "10B0168811",
        "otherIds": [{"identifiant": "30B0168811/CPET00001", "origine": "FINESS", "qualite": 1}],
    }


def test_a_structure_without_its_own_number_is_known_by_the_persons(pki: Pki) -> None:
    # SIRET: 5 before a person's, 3 before a structure's.
    holder = Holder(national_id="526750045200011/0000000018", structure=None)
    employee = identity(issued(pki, Profile(holder=holder, card_type=test_pki.CardType.CPA)))
    assert employee.structure is not None
    assert employee.structure.identifier == "326750045200011"
    assert employee.structure.kind is StructureIdentifier.SIRET
    assert employee.structure.name is None


def test_a_cpf_has_the_profession_it_trains_for(pki: Pki) -> None:
    holder = Holder(profession=None, future_profession=21)
    student = identity(issued(pki, Profile(holder=holder, card_type=test_pki.CardType.CPF)))
    assert student.card_type is CardType.CPF
    assert student.profession is not None
    assert student.profession.label == "Pharmacien en formation"
    assert student.claims()["SubjectRole"] == ["21^1.2.250.1.71.1.2.8"]


def test_a_code_that_no_table_has_is_kept_without_a_label(pki: Pki) -> None:
    profession = named(pki, profession=999).profession
    assert profession is not None
    assert (profession.code, profession.label) == (999, None)


@pytest.mark.parametrize(
    ("national_id", "kind"),
    [
        ("0751234561", PersonIdentifier.ADELI),
        ("1123456789/1", PersonIdentifier.ADELI_PRACTICE),
        ("3760021832/000000018", PersonIdentifier.FINESS),
        ("4267500452/000000018", PersonIdentifier.SIREN),
        ("526750045200011/0000000018", PersonIdentifier.SIRET),
        ("6123456789/1", PersonIdentifier.RPPS_PRACTICE),
        ("899900063480", PersonIdentifier.RPPS),
    ],
)
def test_the_first_digit_says_of_what_kind_an_identifier_is(
    pki: Pki, national_id: str, kind: PersonIdentifier
) -> None:
    assert named(pki, national_id=national_id).national_id.kind is kind


@pytest.mark.parametrize("common_name", ["nobody", "7123456789", "8", "", "8997 0000", "é"])
def test_a_name_that_is_no_identifier_names_nobody(pki: Pki, common_name: str) -> None:
    holder = Holder(national_id=common_name or None)  # type: ignore[arg-type]
    with pytest.raises(Refused) as caught:
        identity(issued(pki, Profile(holder=holder)))
    assert caught.value.code is Code.CERTIFICATE_INVALID


def test_software_certificates_are_no_cards(pki: Pki) -> None:
    with pytest.raises(Refused) as caught:
        identity(issued(pki, Profile(card_type=None, category=Category.SOFTWARE)))
    assert caught.value.code is Code.CERTIFICATE_INVALID


def test_an_rpps_with_or_without_its_8_is_one_person(pki: Pki) -> None:
    person = named(pki).national_id.value
    for written in ("899700000012", "99700000012", "99 70 00 00 012", " 899700000012\n"):
        assert canonical_national_id(written) == person


@pytest.mark.parametrize(
    "written", ["0751234561", "30B0168811/CPET00001", "751234561", "١٢٣٤٥٦٧٨٩٠١", ""]
)
def test_other_identifiers_are_what_is_written(written: str) -> None:
    assert canonical_national_id(written) == written


@given(st.text(max_size=30))
def test_the_canonical_writing_is_final(text: str) -> None:
    once = canonical_national_id(text)
    assert canonical_national_id(once) == once


def test_every_code_of_a_table_has_its_label() -> None:
    assert set(nomenclature.CARD_TYPES) == set(CardType)
    assert set(nomenclature.PERSON_IDENTIFIERS) == set(PersonIdentifier)
    assert set(nomenclature.STRUCTURE_IDENTIFIERS) == set(StructureIdentifier)
    assert {kind.label for kind in StructureIdentifier} >= {"FINESS", "SIRET"}


def test_the_configuration_names_the_card_types_of_the_table() -> None:
    field = ContactAuthentication.__annotations__["types"]
    names = get_args(get_args(field)[0])
    assert {CardType[name.upper()] for name in names} == set(CardType)


# Certificates that are not what they should be


def signature_start(der: bytes) -> int:
    """Return where the byte that counts the unused bits of the signature is."""
    return len(der) - 512 - 1  # the authorities' keys have 4096 bits


@pytest.mark.parametrize("unused", [1, 7, 8, 255])
def test_a_signature_bit_string_with_unused_bits_is_put_right(der: bytes, unused: int) -> None:
    start = signature_start(der)
    assert der[start] == 0
    loose = der[:start] + bytes([unused]) + der[start + 1 :]
    if unused > 7:  # fewer may pass, where those bits happen to be zero
        with pytest.raises(ValueError, match="parsing"):
            x509.load_der_x509_certificate(loose)
    assert parse_certificate(loose).der == der


def refused(der: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        parse_certificate(der)
    assert caught.value.code is Code.CERTIFICATE_INVALID
    return caught.value


def built(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *extensions: tuple[str, bytes],
) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "899700000012")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name)
        .serial_number(1)
        .public_key(key.public_key())
        .not_valid_before(now)
        .not_valid_after(now)
    )
    for oid, value in extensions:
        unrecognised = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(unrecognised, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_two_numbers_are_no_number(key: rsa.RSAPrivateKey) -> None:
    rdns = [
        x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
        for text in ("899700000012", "899700000020")
    ]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder(subject_name=x509.Name(rdns), issuer_name=x509.Name([]))
        .serial_number(1)
        .public_key(key.public_key())
        .not_valid_before(now)
        .not_valid_after(now)
    )
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert "2.5.4.3" in str(refused(der))


def test_another_kind_or_size_of_key_is_refused() -> None:
    assert "RSA" in str(refused(built(ec.generate_private_key(ec.SECP256R1()))))
    assert "1024" in str(refused(built(rsa.generate_private_key(65537, 1024))))  # noqa: S505


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("1.2.250.1.71.1.2.5", b""),
        ("1.2.250.1.71.1.2.5", b"\x04\x02\x80\x80"),
        ("1.2.250.1.71.1.2.5", b"\x04\x01"),
        ("1.2.250.1.71.1.2.5", b"\x04\x01\x80\x00"),
        ("1.2.250.1.71.1.2.2", b"\x02\x00"),
        ("1.2.250.1.71.1.2.2", b"\x02\x01\xff"),
        ("1.2.250.1.71.1.2.2", b"\x02\x04\x01\x00\x00\x00"),
        ("1.2.250.1.71.1.2.3", b"\x13\x00"),
        ("1.2.250.1.71.1.2.3", b"\x13\x02a\n"),
        ("1.2.250.1.71.1.2.3", b"\x13\x02a\xe9"),
        ("1.2.250.1.71.4.2.5", b"\x30\x03\x0c\x02a"),
        ("1.2.250.1.71.4.2.5", b"\x30\x03\x0c\x01\xff"),
        ("1.2.250.1.71.4.2.5", b"\x30\x82\x01\x00" + b"\x0c\x00" * 128),
        ("1.2.250.1.71.4.2.5", b"\x30\x84\xff\xff\xff\xff"),
    ],
)
def test_a_malformed_private_extension_is_refused(
    key: rsa.RSAPrivateKey, oid: str, value: bytes
) -> None:
    assert oid in str(refused(built(key, (oid, value))))


def test_what_is_too_long_or_has_more_after_it_is_refused(der: bytes) -> None:
    refused(b"")
    refused(der + b"\x00")
    refused(der[:-1])
    refused(b"\x30\x82\x20\x00" + bytes(MAXIMUM_BYTES))


@given(st.binary(max_size=400))
@example(b"\x30\x80\x00\x00")
@example(b"\x30\x0a\x30\x00\x30\x00\x03\x00\x03\x00\x03\x00")
def test_any_bytes_are_a_certificate_or_a_documented_error(content: bytes) -> None:
    refused(content)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_certificate_with_changed_bytes_is_one_or_a_documented_error(
    der: bytes, data: st.DataObject
) -> None:
    changed = bytearray(der)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(der) - 1))
        changed[position] = data.draw(st.integers(0, 255))
    with suppress(Refused):
        identity(parse_certificate(bytes(changed))).claims()


@given(st.binary(max_size=40))
def test_any_bytes_are_an_extension_or_malformed(content: bytes) -> None:
    for decode in (integer, octet, printable, utf8_strings):
        with suppress(Malformed):
            decode(content)
