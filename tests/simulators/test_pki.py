"""The test IGC-Santé, judged by openssl and by bytes decoded from real certificates."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from simulators.pki import (
    CardType,
    Category,
    Holder,
    Issuer,
    Pki,
    PkiError,
    Profile,
    Structure,
    Usage,
)

pytestmark = pytest.mark.unit

YEAR = timedelta(days=365)
NURSE = Holder("899700000020", "ANNE MARIE", "D'HÔPITAL", "Infirmier", 60, None, ())
EMPLOYEE = Holder("30B0168811/CPET00001", None, None, None, None, None, (), Structure())


def openssl(*arguments: str | Path, given: bytes | None = None) -> tuple[int, str]:
    ran = subprocess.run(
        ["openssl", *map(str, arguments)], input=given, capture_output=True, timeout=30, check=False
    )
    return ran.returncode, (ran.stdout + ran.stderr).decode(errors="replace")


def verify(pki: Pki, certificate: bytes, folder: Path, *options: str | Path) -> tuple[int, str]:
    path = folder / "certificate.der"
    path.write_bytes(certificate)
    (root,), (intermediate,) = pki.roots.iterdir(), pki.intermediates.iterdir()
    return openssl("verify", "-CAfile", root, "-untrusted", intermediate, *options, path)


def private_values(certificate: bytes) -> dict[str, str]:
    """Return the private extensions: identifier to content, in hexadecimal."""
    found = x509.load_der_x509_certificate(certificate).extensions
    return {
        one.oid.dotted_string: one.value.value.hex().upper()
        for one in found
        if isinstance(one.value, x509.UnrecognizedExtension)
    }


@pytest.mark.parametrize("usage", Usage)
def test_openssl_accepts_the_chain_of_each_certificate(
    pki: Pki, tmp_path: Path, usage: Usage
) -> None:
    code, text = verify(pki, pki.issue(Profile(usage=usage)).certificate, tmp_path, "-x509_strict")
    assert code == 0, text


def test_the_private_extensions_have_the_bytes_of_a_real_certificate(pki: Pki) -> None:
    assert private_values(pki.issue(Profile()).certificate) == {
        "1.2.250.1.71.1.2.5": "040180",
        "1.2.250.1.71.1.2.2": "020100",
        "1.2.250.1.71.1.2.3": "1315" + b"8025000001/2600855206".hex().upper(),
        "1.2.250.1.71.1.2.7": "02010A",
        "1.2.250.1.71.4.2.5": "30060C04" + b"SM26".hex().upper(),
    }


def test_a_student_and_an_employee_have_what_is_theirs(pki: Pki) -> None:
    student = Holder("899700000020", "LÉO", "ÉTUDIANT", None, None, 10, ())
    values = private_values(pki.issue(Profile(student, card_type=CardType.CPF)).certificate)
    assert values["1.2.250.1.71.1.2.8"] == "02010A"
    assert "1.2.250.1.71.1.2.7" not in values
    issued = pki.issue(Profile(EMPLOYEE, card_type=CardType.CPE, category=Category.CARD))
    values = private_values(issued.certificate)
    assert (values["1.2.250.1.71.1.2.2"], values["1.2.250.1.71.1.2.5"]) == ("020102", "040100")
    code, text = openssl(
        "x509", "-inform", "der", "-noout", "-subject", "-nameopt", "RFC2253",
        given=issued.certificate,
    )  # fmt: skip
    assert code == 0
    assert text.strip() == (
        "subject=CN=30B0168811/CPET00001,OU=10B0168811,O=HOPITAL DE TEST,ST=Paris (75),C=FR"
    )


def test_the_persons_names_are_one_rdn_of_utf8_strings(pki: Pki) -> None:
    issued = pki.issue(Profile(NURSE))
    code, text = openssl(
        "x509", "-inform", "der", "-noout", "-subject", "-nameopt",
        "multiline,show_type,utf8,-esc_msb",
        given=issued.certificate,
    )  # fmt: skip
    assert code == 0
    lines = [" ".join(line.split()) for line in text.splitlines()[1:]]
    assert lines[0] == "countryName = PRINTABLESTRING:FR"
    assert lines[1] == "title = UTF8STRING:Infirmier"
    assert set(lines[2].split(" + ")) == {
        "givenName = UTF8STRING:ANNE MARIE",
        "surname = UTF8STRING:D'HÔPITAL",
        "commonName = UTF8STRING:899700000020",
    }


@pytest.mark.parametrize(
    ("usage", "bits", "purposes"),
    [
        (Usage.SIGNATURE, "Non Repudiation", "E-mail Protection"),
        (
            Usage.AUTHENTICATION,
            "Digital Signature",
            "TLS Web Client Authentication, Microsoft Smartcard Login",
        ),
        (Usage.TECHNICAL, "Digital Signature", "TLS Web Client Authentication"),
    ],
)
def test_each_certificate_says_what_its_key_is_for(
    pki: Pki, usage: Usage, bits: str, purposes: str
) -> None:
    certificate = pki.issue(Profile(usage=usage)).certificate
    _, text = openssl(
        "x509", "-inform", "der", "-noout", "-ext", "keyUsage,extendedKeyUsage", given=certificate
    )
    lines = [line.strip() for line in text.splitlines()]
    assert lines[lines.index("X509v3 Key Usage: critical") + 1] == bits
    assert lines[lines.index("X509v3 Extended Key Usage:") + 1] == purposes


def test_usages_and_policies_can_be_wrong_where_a_test_wants_it(pki: Pki) -> None:
    issued = pki.issue(
        Profile(
            key_usage=frozenset({"key_encipherment"}),
            extended_usages=("1.3.6.1.5.5.7.3.1",),
            policies=("1.2.3.4",),
            category=None,
            card_type=None,
            card_number=None,
        )
    )
    certificate = x509.load_der_x509_certificate(issued.certificate)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_encipherment, usage.digital_signature) == (True, False)
    policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert [one.policy_identifier.dotted_string for one in policies] == ["1.2.3.4"]
    assert set(private_values(issued.certificate)) == {"1.2.250.1.71.1.2.7", "1.2.250.1.71.4.2.5"}
    bare = pki.issue(Profile(key_usage=frozenset(), extended_usages=(), policies=()))
    present = {one.oid for one in x509.load_der_x509_certificate(bare.certificate).extensions}
    assert not present & {
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
    with pytest.raises(ValueError, match="no key usage: signing"):
        pki.issue(Profile(key_usage=frozenset({"signing"})))


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (Profile(not_before=datetime.now(UTC) - 4 * YEAR), "certificate has expired"),
        (Profile(not_before=datetime.now(UTC) + YEAR), "certificate is not yet valid"),
        (Profile(issuer=Issuer.IMPOSTOR), "certificate signature failure"),
        (Profile(issuer=Issuer.STRANGER), "unable to get local issuer certificate"),
    ],
)
def test_openssl_refuses_what_is_made_to_be_refused(
    pki: Pki, tmp_path: Path, profile: Profile, words: str
) -> None:
    code, text = verify(pki, pki.issue(profile).certificate, tmp_path)
    assert code != 0
    assert words in text


def test_a_revoked_certificate_is_on_the_list(tmp_path: Path) -> None:
    pki = Pki.create(tmp_path / "pki")
    good, bad = pki.issue(Profile()), pki.issue(Profile())
    pki.revoke(bad.serial)
    pki = Pki.load(pki.folder)
    pki.write_crls()
    lists = sorted(pki.crls.iterdir())
    assert [one.name for one in lists] == ["ACI-FO-PP-TEST.crl", "ACR-FO-TEST.crl"]
    pem = tmp_path / "crls.pem"
    pem.write_text("".join(openssl("crl", "-inform", "der", "-in", one)[1] for one in lists))
    options = ("-crl_check_all", "-CRLfile", pem)
    assert verify(pki, good.certificate, tmp_path, *options)[0] == 0
    code, text = verify(pki, bad.certificate, tmp_path, *options)
    assert code != 0
    assert "certificate revoked" in text


def test_a_list_can_be_old_or_anothers(pki: Pki, tmp_path: Path) -> None:
    old = pki.crl(now=datetime.now(UTC) - YEAR)
    assert x509.load_der_x509_crl(old).next_update_utc < datetime.now(UTC)
    forged = x509.load_der_x509_crl(pki.crl(issuer=Issuer.IMPOSTOR))
    genuine = x509.load_der_x509_crl(pki.crl())
    issuer = pki.intermediate.certificate
    assert forged.issuer == genuine.issuer == issuer.subject
    assert genuine.is_signature_valid(issuer.public_key())
    assert not forged.is_signature_valid(issuer.public_key())


def test_addresses_and_names_are_the_real_ones_or_those_asked_for(tmp_path: Path) -> None:
    base = "http://127.0.0.1:8080/crl"
    made = Pki.create(tmp_path / "pki", production=True, crl_base=base, ocsp="http://127.0.0.1:1/")
    _, text = openssl(
        "x509", "-inform", "der", "-noout", "-text", given=made.issue(Profile()).certificate
    )
    assert f"URI:{base}/ACI-FO-PP.crl" in text
    assert "OCSP - URI:http://127.0.0.1:1/" in text
    assert "CN = AC IGC-SANTE FORT PERSONNES" in text
    assert "TEST AC" not in text
    assert (made.crls / "ACI-FO-PP.crl").exists()


def test_a_key_can_be_given(pki: Pki) -> None:
    first = pki.issue(Profile())
    second = pki.issue(Profile(serial=77), first.key)
    assert (second.serial, second.key) == (77, first.key)
    assert "key=" not in repr(second)


def test_a_pki_is_never_made_over_another(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    Pki.create(folder)
    before = (folder / "pki.json").read_bytes()
    with pytest.raises(PkiError, match="holds a PKI already"):
        Pki.create(folder)
    assert (folder / "pki.json").read_bytes() == before
    assert (folder / "private" / "root.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("pki.json", None, "make one with cardd-sim pki"),
        ("pki.json", b"{", "is damaged"),
        ("pki.json", b"[]", "is damaged"),
        ("pki.json", b'{"format": "x"}', "is damaged"),
        ("private/intermediate.pem", None, "is missing"),
        ("private/intermediate.pem", b"x", "is damaged"),
        ("roots/ac-racine-igc-sante-fort.pem", b"\xff\xfe", "is damaged"),
    ],
)
def test_a_damaged_pki_is_refused_with_what_to_do(
    pki: Pki, tmp_path: Path, file: str, content: bytes | None, words: str
) -> None:
    subprocess.run(["cp", "-r", str(pki.folder), str(tmp_path / "pki")], check=True)
    damaged = tmp_path / "pki" / file
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    with pytest.raises(PkiError, match=words):
        Pki.load(tmp_path / "pki")
