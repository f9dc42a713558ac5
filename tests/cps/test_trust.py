"""Whom a CPS is believed to be, and each reason for which it is not."""

import base64
import os
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardd.config import Trust
from cardd.cps.certificate import parse_certificate
from cardd.cps.identity import identity
from cardd.cps.trust import MAXIMUM_CHAIN, TrustStore, Usage
from cardd.cps.trust_crls import Crl
from cardd.errors import Code, Refused
from simulators.pki import CardType, Category, Holder, Issuer, Pki, Profile
from simulators.pki import Usage as Certified
from simulators.pki.certificates import leaf
from tests.cps.trust_world import DAY, NOW, TrustWorld, serial_of, trust_world

pytestmark = pytest.mark.unit


@pytest.fixture
def world(pki: Pki, tmp_path: Path) -> TrustWorld:
    return trust_world(pki, tmp_path)


@pytest.fixture
def store(world: TrustWorld) -> TrustStore:
    return TrustStore(world.settings)


@pytest.fixture(scope="module")
def card(pki: Pki) -> bytes:
    return pki.issue(Profile()).certificate


def test_a_card_of_the_pki_is_believed_and_names_its_holder(world: TrustWorld, card: bytes) -> None:
    certificate = world.check(card)
    assert certificate.der == card
    assert identity(certificate).national_id.value == "899700000012"


def test_openssl_finds_the_same_path(world: TrustWorld, card: bytes, tmp_path: Path) -> None:
    (tmp_path / "card.pem").write_bytes(
        x509.load_der_x509_certificate(card).public_bytes(Encoding.PEM)
    )
    (root,) = world.settings.roots.iterdir()
    (intermediate,) = world.settings.intermediates.iterdir()
    shown = subprocess.run(
        ["openssl", "verify", "-CAfile", root, "-untrusted", intermediate, tmp_path / "card.pem"],
        capture_output=True, text=True, check=True, timeout=10,
    )  # fmt: skip
    assert shown.stdout.endswith(": OK\n")


# The issuer


def test_a_card_of_an_unknown_authority_is_refused(world: TrustWorld) -> None:
    assert world.code(world.issue(issuer=Issuer.STRANGER)) is Code.UNTRUSTED_ISSUER


def test_an_issuer_with_the_right_name_and_the_wrong_key_is_refused(world: TrustWorld) -> None:
    assert world.code(world.issue(issuer=Issuer.IMPOSTOR)) is Code.ISSUER_SIGNATURE_INVALID


def impostor_with_its_own_key_identifier(pki: Pki) -> bytes:
    impostor = pki._impostor
    issued = pki.issue(Profile())
    key = load_der_private_key(issued.key, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    builder = leaf(
        Profile(), key.public_key(), pki.naming, impostor.certificate, (NOW - DAY, NOW + DAY)
    )
    return builder.sign(impostor.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_so_it_is_where_the_wrong_key_is_named(world: TrustWorld) -> None:
    certificate = impostor_with_its_own_key_identifier(world.pki)
    assert world.code(certificate) is Code.ISSUER_SIGNATURE_INVALID


def self_signed(algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "899700000012")])
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name)
        .serial_number(5)
        .public_key(key.public_key())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    return builder.sign(key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_certificate_that_vouches_for_itself_is_refused(world: TrustWorld) -> None:
    assert world.code(self_signed()) is Code.UNTRUSTED_ISSUER


def test_what_comes_with_the_card_makes_no_authority(world: TrustWorld) -> None:
    stranger = world.pki._stranger.der
    certificate = world.issue(issuer=Issuer.STRANGER)
    with pytest.raises(Refused) as caught:
        TrustStore(world.settings).check(
            (certificate, stranger), Usage.CONTACT_AUTHENTICATION, NOW.timestamp()
        )
    assert caught.value.code is Code.UNTRUSTED_ISSUER


@pytest.mark.parametrize("length", [0, MAXIMUM_CHAIN + 1])
def test_a_chain_of_no_or_many_certificates_is_refused(
    world: TrustWorld, card: bytes, length: int
) -> None:
    with pytest.raises(Refused) as caught:
        TrustStore(world.settings).check(
            (card,) * length, Usage.CONTACT_AUTHENTICATION, NOW.timestamp()
        )
    assert caught.value.code is Code.CERTIFICATE_INVALID


def test_without_the_intermediate_no_path_is_found(world: TrustWorld, card: bytes) -> None:
    (intermediate,) = world.settings.intermediates.iterdir()
    intermediate.unlink()
    assert world.code(card) is Code.UNTRUSTED_ISSUER


def test_a_changed_certificate_is_refused(world: TrustWorld, card: bytes) -> None:
    changed = card.replace(b"899700000012", b"899700000013")
    assert changed != card
    assert world.code(changed) is Code.ISSUER_SIGNATURE_INVALID


def with_a_length_that_ends_with_80(pki: Pki) -> bytes:
    """Return a certificate whose signed part asn1crypto takes for one of indefinite length."""
    key = pki.issue(Profile()).key
    for length in range(1, 300):
        holder = Holder(title="x" * length)
        certificate = pki.issue(Profile(holder=holder), key).certificate
        if x509.load_der_x509_certificate(certificate).tbs_certificate_bytes[3] == 0x80:
            return certificate
    raise AssertionError("no title gives that length")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (bytes.fromhex("03020780"), bytes.fromhex("03020680")),  # the key usage's unused bits
        (b"http://igc-sante", b"HTTP://igc-sante"),
        (b"http://igc-sante", b"http://IGC-sante"),
    ],
)
def test_a_signature_holds_for_the_bytes_that_were_received(
    world: TrustWorld, before: bytes, after: bytes
) -> None:
    certificate = with_a_length_that_ends_with_80(world.pki)
    world.check(certificate)
    changed = certificate.replace(before, after, 1)
    assert changed != certificate
    assert world.code(changed) is Code.ISSUER_SIGNATURE_INVALID


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(st.data())
def test_a_changed_certificate_is_the_same_or_refused_for_a_documented_reason(
    store: TrustStore, card: bytes, data: st.DataObject
) -> None:
    changed = bytearray(card)
    position = data.draw(st.integers(0, len(card) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    usage, code = Usage.CONTACT_AUTHENTICATION, None
    try:
        changed = bytearray(store.check((bytes(changed),), usage, NOW.timestamp()).der)
    except Refused as refusal:
        code = refusal.code
    assert changed == card or code in {
        Code.CERTIFICATE_INVALID,
        Code.ISSUER_SIGNATURE_INVALID,
        Code.UNTRUSTED_ISSUER,
    }


def test_a_signature_by_another_algorithm_than_the_issuers_key_is_refused(
    world: TrustWorld,
) -> None:
    key = load_der_private_key(world.pki.issue(Profile()).key, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    builder = leaf(
        Profile(), key.public_key(), world.pki.naming, world.pki.intermediate.certificate,
        (NOW - DAY, NOW + DAY),
    )  # fmt: skip
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    assert world.code(signed.public_bytes(Encoding.DER)) in {
        Code.CERTIFICATE_INVALID,
        Code.ISSUER_SIGNATURE_INVALID,
    }


def test_a_sha1_signature_is_refused(world: TrustWorld) -> None:
    key = world.pki.intermediate.key
    template = x509.load_der_x509_certificate(world.issue())
    # cryptography signs no certificate with SHA-1 by default; made by hand from its own parts.
    tbs = template.tbs_certificate_bytes.replace(
        bytes.fromhex("300d06092a864886f70d01010b0500"),
        bytes.fromhex("300d06092a864886f70d0101050500"),
    )
    signature = key.sign(tbs, PKCS1v15(), hashes.SHA1())  # noqa: S303 - what is to be refused
    bits = b"\x03\x82" + (len(signature) + 1).to_bytes(2) + b"\x00" + signature
    content = tbs + bytes.fromhex("300d06092a864886f70d0101050500") + bits
    certificate = b"\x30\x82" + len(content).to_bytes(2) + content
    assert world.code(certificate) is Code.CERTIFICATE_INVALID


# Its time


def test_an_expired_card_is_refused(world: TrustWorld) -> None:
    expired = world.issue(not_before=NOW - 3 * DAY, not_after=NOW - DAY)
    assert world.code(expired) is Code.CERTIFICATE_EXPIRED


def test_a_card_that_is_not_yet_valid_is_refused(world: TrustWorld) -> None:
    early = world.issue(not_before=NOW + DAY, not_after=NOW + 3 * DAY)
    assert world.code(early) is Code.CERTIFICATE_NOT_YET_VALID


def test_clocks_may_differ_by_what_the_configuration_says(world: TrustWorld) -> None:
    ending = world.issue(not_before=NOW - DAY, not_after=NOW)
    skewed = world.with_(clock_skew_s=60)
    skewed.check(ending, at=NOW + timedelta(seconds=59))
    assert skewed.code(ending, at=NOW + timedelta(seconds=61)) is Code.CERTIFICATE_EXPIRED
    strict = world.with_(clock_skew_s=0)
    assert strict.code(ending, at=NOW + timedelta(seconds=1)) is Code.CERTIFICATE_EXPIRED


def test_after_the_end_of_an_authority_its_cards_are_refused(world: TrustWorld) -> None:
    late = NOW + 20 * 365 * DAY
    certificate = world.issue(not_before=NOW, not_after=late + DAY)
    assert world.code(certificate, at=late) is Code.CERTIFICATE_EXPIRED


def test_before_the_beginning_of_an_authority_its_cards_are_refused(world: TrustWorld) -> None:
    early = NOW - 10 * 365 * DAY
    certificate = world.issue(not_before=early - DAY, not_after=NOW)
    assert world.code(certificate, at=early) is Code.CERTIFICATE_NOT_YET_VALID


# What it may be used for


def test_a_test_card_is_refused_in_production(world: TrustWorld, card: bytes) -> None:
    assert world.with_(allow_test_cards=False).code(card) is Code.TEST_CARD_REFUSED


@pytest.mark.parametrize(
    "category", [Category.TEST_CARD, Category.TEST_MODULE, Category.TEST_SOFTWARE]
)
def test_every_test_category_is_a_test_card(world: TrustWorld, category: Category) -> None:
    certificate = world.issue(category=category)
    assert world.with_(allow_test_cards=False).code(certificate) is Code.TEST_CARD_REFUSED


def test_a_production_card_needs_no_leave(world: TrustWorld) -> None:
    world.with_(allow_test_cards=False).check(world.issue(category=Category.CARD))


def test_the_signature_certificate_does_not_authenticate(world: TrustWorld) -> None:
    assert world.code(world.issue(usage=Certified.SIGNATURE)) is Code.CERTIFICATE_USAGE


def test_the_technical_certificate_is_never_a_contact_one(world: TrustWorld) -> None:
    technical = world.issue(usage=Certified.TECHNICAL)
    for allowed in (False, True):
        assert world.with_(allow_contactless=allowed).code(technical) is Code.CERTIFICATE_USAGE


def test_the_technical_certificate_counts_where_it_is_allowed(world: TrustWorld) -> None:
    technical = world.issue(usage=Certified.TECHNICAL)
    contactless = Usage.CONTACTLESS_AUTHENTICATION
    assert world.code(technical, usage=contactless) is Code.CERTIFICATE_USAGE
    world.with_(allow_contactless=True).check(technical, usage=contactless)


@pytest.mark.parametrize(
    "profile",
    [
        {"card_number": None},
        {"category": None},
        {"category": Category.SOFTWARE},
        {"card_type": None},
        {"key_usage": frozenset({"content_commitment"})},
        {"extended_usages": ("1.3.6.1.5.5.7.3.2",)},
        {"extended_usages": ("1.3.6.1.4.1.311.20.2.2",)},
        {"extended_usages": ()},
    ],
)
def test_a_certificate_that_lacks_one_thing_is_not_for_authentication(
    world: TrustWorld, profile: dict[str, object]
) -> None:
    assert world.code(world.issue(**profile)) is Code.CERTIFICATE_USAGE


def test_without_a_key_usage_the_extended_ones_decide(world: TrustWorld) -> None:
    world.check(world.issue(key_usage=frozenset()))


def test_the_configuration_narrows_what_counts(world: TrustWorld, card: bytes) -> None:
    for narrowed in (
        world.matching(issuers=("AC IGC-SANTE FORT PERSONNES",)),
        world.matching(policies=("1.2.250.1.213.1.7.2.1.1.1.1",)),
        world.matching(categories=(0,)),
        world.matching(types=("cpe",)),
        world.matching(extended_key_usages=("1.2.3.4",)),
    ):
        assert narrowed.code(card) is Code.CERTIFICATE_USAGE
    world.matching(policies=("1.2.3", "1.2.250.1.213.1.7.2.1.1.1.2"), types=("cps",)).check(card)


@pytest.mark.parametrize("card_type", list(CardType))
def test_every_type_of_card_counts_by_default(world: TrustWorld, card_type: CardType) -> None:
    world.check(world.issue(card_type=card_type))


def test_an_authority_is_no_card(world: TrustWorld) -> None:
    for authority in (world.pki.root, world.pki.intermediate):
        assert world.code(authority.der) is Code.CERTIFICATE_USAGE


# Revocation by lists


def test_a_revoked_card_is_refused(world: TrustWorld, card: bytes) -> None:
    world.put_crl([serial_of(card)])
    assert world.code(card) is Code.CERTIFICATE_REVOKED


def test_a_list_that_has_expired_is_not_enough(world: TrustWorld, card: bytes) -> None:
    world.put_crl(at=NOW - 8 * DAY)
    refusal = world.refused(card)
    assert refusal.code is Code.CRL_EXPIRED
    assert "cardctl trust update" in str(refusal)


def test_a_list_of_the_future_is_not_enough(world: TrustWorld, card: bytes) -> None:
    world.put_crl(at=NOW + DAY)
    assert world.code(card) is Code.CRL_EXPIRED


def test_what_an_expired_list_revoked_stays_revoked(world: TrustWorld, card: bytes) -> None:
    world.put_crl([serial_of(card)], at=NOW - 8 * DAY)
    for mode in ("require", "prefer"):
        assert world.with_(revocation=mode).code(card) is Code.CERTIFICATE_REVOKED


def test_without_a_list_nothing_is_known(world: TrustWorld, card: bytes) -> None:
    world.drop_crls()
    assert world.code(card) is Code.REVOCATION_UNAVAILABLE


def test_without_a_folder_nothing_is_known(world: TrustWorld, card: bytes) -> None:
    nowhere = world.with_(crls=world.settings.crls / "none")
    assert nowhere.code(card) is Code.REVOCATION_UNAVAILABLE


def test_an_authority_may_be_revoked_too(world: TrustWorld, card: bytes) -> None:
    world.put_crl([world.pki.intermediate.certificate.serial_number], of_root=True)
    assert world.code(card) is Code.CERTIFICATE_REVOKED


def test_the_authorities_list_must_be_fresh_too(world: TrustWorld, card: bytes) -> None:
    world.put_crl(at=NOW - 8 * DAY, of_root=True)
    assert world.code(card) is Code.CRL_EXPIRED


def test_prefer_refuses_only_what_is_known_as_revoked(world: TrustWorld, card: bytes) -> None:
    preferring = world.with_(revocation="prefer")
    world.drop_crls()
    preferring.check(card)
    world.put_crl([serial_of(card)])
    assert preferring.code(card) is Code.CERTIFICATE_REVOKED


def test_off_asks_nothing(world: TrustWorld, card: bytes) -> None:
    world.put_crl([serial_of(card)])
    world.with_(revocation="off").check(card)


def point(**members: object) -> x509.IssuingDistributionPoint:
    values: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(values | members))  # type: ignore[arg-type]


def at_url(url: str) -> x509.IssuingDistributionPoint:
    return point(full_name=[x509.UniformResourceIdentifier(url)])


@pytest.mark.parametrize(
    "extension",
    [
        point(indirect_crl=True),
        point(only_contains_attribute_certs=True),
        point(only_contains_ca_certs=True),
        point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})),
        at_url("http://example.com/another-part.crl"),
        x509.DeltaCRLIndicator(5),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
    ],
)
def test_a_list_that_does_not_cover_the_card_says_nothing_of_it(
    world: TrustWorld, card: bytes, extension: x509.ExtensionType
) -> None:
    world.put_crl(changed=lambda builder: builder.add_extension(extension, critical=True))
    assert world.code(card) is Code.REVOCATION_UNAVAILABLE


def test_a_list_in_parts_counts_where_the_card_names_its_part(
    world: TrustWorld, card: bytes
) -> None:
    for extension in (point(only_contains_user_certs=True), at_url(world.pki.naming.crl)):
        world.put_crl(
            changed=lambda builder, part=extension: builder.add_extension(part, critical=True)  # type: ignore[misc]
        )
        world.check(card)


def test_a_list_by_another_key_is_none(world: TrustWorld, card: bytes) -> None:
    world.put_crl(impostor=True)
    assert world.code(card) is Code.REVOCATION_UNAVAILABLE


def _renewed(pki: Pki, serial: int, start: datetime, end: datetime) -> bytes:
    """Return another certificate (PEM) of the intermediate, with its name and key."""
    former = pki.intermediate.certificate
    builder = x509.CertificateBuilder(
        former.issuer, former.subject, former.public_key(), serial, start, end
    )
    for extension in former.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(pki.root.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("file", ["aaa.pem", "zzz.pem"])
@pytest.mark.parametrize(("start", "end"), [(-900, -20), (-2, 900)])
def test_a_list_counts_for_every_certificate_of_the_authority(
    world: TrustWorld, card: bytes, file: str, start: int, end: int
) -> None:
    renewed = _renewed(world.pki, 98, NOW + start * DAY, NOW + end * DAY)
    (world.settings.intermediates / file).write_bytes(renewed)
    world.check(card)
    world.put_crl([serial_of(card)])
    assert world.code(card) is Code.CERTIFICATE_REVOKED
    assert world.with_(revocation="prefer").code(card) is Code.CERTIFICATE_REVOKED


def test_files_that_are_no_lists_harm_no_others(world: TrustWorld, card: bytes) -> None:
    folder = world.settings.crls
    (folder / "garbage.crl").write_bytes(b"\x30\x03abc")
    (folder / "empty.crl").write_bytes(b"")
    (folder / "folder.crl").mkdir()
    os.mkfifo(folder / "pipe.crl")
    world.check(card)
    lists = dict(TrustStore(world.settings).lists())
    assert {name for name, crl in lists.items() if isinstance(crl, Crl)} == {
        "cards.crl",
        "root.crl",
    }
    assert len(lists) == 6


def test_a_new_list_is_taken_without_a_restart_and_the_others_are_not_read_again(
    world: TrustWorld, card: bytes
) -> None:
    store = TrustStore(world.settings)
    store.check((card,), Usage.CONTACT_AUTHENTICATION, NOW.timestamp())
    before = dict(store.lists())
    world.put_crl([serial_of(card)])
    with pytest.raises(Refused) as caught:
        store.check((card,), Usage.CONTACT_AUTHENTICATION, NOW.timestamp())
    assert caught.value.code is Code.CERTIFICATE_REVOKED
    after = dict(store.lists())
    assert after["root.crl"] is before["root.crl"]
    assert after["cards.crl"] is not before["cards.crl"]


# The configuration


def test_without_a_root_nothing_can_be_verified(world: TrustWorld, card: bytes) -> None:
    (root,) = world.settings.roots.iterdir()
    root.unlink()
    assert world.code(card) is Code.TRUST_UNAVAILABLE
    root.parent.rmdir()
    assert world.code(card) is Code.TRUST_UNAVAILABLE


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAA\n", b"0" * 300_000]
)
def test_an_authority_that_cannot_be_read_is_told(
    world: TrustWorld, card: bytes, content: bytes
) -> None:
    (world.settings.roots / "another.pem").write_bytes(content)
    refusal = world.refused(card)
    assert refusal.code is Code.TRUST_UNAVAILABLE
    assert "another.pem" in str(refusal)


def test_a_card_or_an_intermediate_is_no_root(world: TrustWorld, card: bytes) -> None:
    for der in (card, world.pki.intermediate.der):
        (world.settings.roots / "another.der").write_bytes(der)
        assert world.code(card) is Code.TRUST_UNAVAILABLE


def test_a_pipe_among_the_roots_is_not_waited_for(world: TrustWorld, card: bytes) -> None:
    os.mkfifo(world.settings.roots / "pipe.pem")
    assert world.code(card) is Code.TRUST_UNAVAILABLE


def test_the_chain_of_a_proof_has_the_intermediate_and_no_root(
    world: TrustWorld, card: bytes
) -> None:
    chain = TrustStore(world.settings).chain(card, NOW.timestamp())
    assert chain == (card, world.pki.intermediate.der)


def test_many_threads_get_the_same_answer(world: TrustWorld, card: bytes) -> None:
    store = TrustStore(world.settings)
    world.put_crl([serial_of(card)])
    other = world.issue()
    answers: list[str] = []

    def check() -> None:
        for certificate in (card, other) * 5:
            try:
                store.check((certificate,), Usage.CONTACT_AUTHENTICATION, NOW.timestamp())
                answers.append("good")
            except Refused as refusal:
                answers.append(refusal.code)

    threads = [threading.Thread(target=check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == ["certificate_revoked"] * 40 + ["good"] * 40


PROBE = """
import sys
from pathlib import Path
from cardd import daemon
from cardd.config import Trust
from cardd.cps.trust import TrustStore, Usage
from cardd.cps.trust_update import update
assert daemon and update
def loaded(*names):
    return sorted(name for name in names if name in sys.modules)
roots, intermediates, crls, card = map(Path, sys.argv[1:5])
settings = Trust(roots=roots, intermediates=intermediates, crls=crls, allow_test_cards=True)
store = TrustStore(settings)
print(loaded("asn1crypto", "oscrypto", "pyhanko_certvalidator"))
store.check([card.read_bytes()], Usage.CONTACT_AUTHENTICATION, float(sys.argv[5]))
print(loaded("asn1crypto", "oscrypto", "pyhanko_certvalidator"))
"""


def test_the_validator_is_loaded_at_the_first_card_and_oscrypto_never(
    world: TrustWorld, card: bytes, tmp_path: Path
) -> None:
    (tmp_path / "card.der").write_bytes(card)
    trust = world.settings
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE, trust.roots, trust.intermediates, trust.crls,
         tmp_path / "card.der", str(NOW.timestamp())],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert shown.stdout.splitlines() == ["[]", "['asn1crypto', 'pyhanko_certvalidator']"]


def test_the_thumbprint_is_that_of_the_certificate(card: bytes) -> None:
    expected = x509.load_der_x509_certificate(card).fingerprint(hashes.SHA256())
    thumbprint = parse_certificate(card).x5t_s256
    assert base64.urlsafe_b64decode(thumbprint + "=") == expected


def test_a_store_with_the_default_configuration_says_what_is_missing(card: bytes) -> None:
    missing = Path("/nonexistent")
    store = TrustStore(Trust(roots=missing, intermediates=missing, crls=missing))
    with pytest.raises(Refused) as caught:
        store.chain(card, NOW.timestamp())
    assert caught.value.code is Code.TRUST_UNAVAILABLE
    assert "/nonexistent" in str(caught.value)


@pytest.mark.parametrize("name", ["README", "root.pem.bak", ".gitkeep"])
def test_a_file_that_is_not_read_is_no_root(tmp_path: Path, name: str) -> None:
    store = TrustStore(Trust(roots=tmp_path))
    assert "trust.roots" in (store.why_not() or "")
    (tmp_path / name).write_text("no certificate")
    assert "trust.roots" in (store.why_not() or "")
    (tmp_path / "root.PEM").write_text("judged at the first card")
    assert store.why_not() is None
