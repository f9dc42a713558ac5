"""Revocation by OCSP: the key service asks a responder on loopback, honest or not."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardd.config import Trust
from cardd.cps.certificate import parse_certificate
from cardd.cps.trust import TrustStore, Usage
from cardd.cps.trust_authorities import Authority, read_authorities
from cardd.cps.trust_ocsp import OcspClient
from cardd.cps.trust_paths import OcspUnusable, Paths
from cardd.errors import Code, Refused
from simulators.pki import Pki, Profile
from simulators.pki.authorities import Authority as Signer
from simulators.pki.ocsp import Manner
from simulators.pki.responder import OcspResponder
from tests.cps.trust_world import DAY, NOW, TrustWorld, serial_of, trust_world

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def ocsp_pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Give a PKI of its own: its certificates name the responder of these tests."""
    return Pki.create(tmp_path_factory.mktemp("ocsp") / "pki")


@pytest.fixture(scope="module")
def running(ocsp_pki: Pki) -> Iterator[OcspResponder]:
    # By the clock of the checks, which stood still when these tests were loaded.
    with OcspResponder(ocsp_pki, clock=lambda: NOW) as responder:
        ocsp_pki.name_responder(responder.address)
        yield responder


@pytest.fixture
def responder(running: OcspResponder) -> Iterator[OcspResponder]:
    running.manner = Manner.HONEST
    running.asked = 0
    yield running
    running.manner = Manner.HONEST


@pytest.fixture
def world(ocsp_pki: Pki, responder: OcspResponder, tmp_path: Path) -> TrustWorld:
    """Give a world in which OCSP alone can say whether a card is revoked."""
    world = trust_world(ocsp_pki, tmp_path).with_(
        ocsp_responders=(responder.address,), ocsp_timeout_s=4.0
    )
    world.drop_crls()
    return world


@pytest.fixture
def card(ocsp_pki: Pki, responder: OcspResponder) -> bytes:
    return ocsp_pki.issue(Profile()).certificate


def test_a_good_answer_stands_for_a_list(
    world: TrustWorld, card: bytes, responder: OcspResponder
) -> None:
    world.check(card, online=True)
    assert responder.asked == 1


def test_a_card_that_the_responder_knows_as_revoked_is_refused(
    world: TrustWorld, card: bytes
) -> None:
    world.put_crl()
    world.check(card, online=True)
    world.pki.revoke(serial_of(card))
    assert world.code(card, online=True) is Code.CERTIFICATE_REVOKED
    assert world.with_(revocation="prefer").code(card, online=True) is Code.CERTIFICATE_REVOKED


def test_a_good_answer_does_not_undo_a_list(
    world: TrustWorld, card: bytes, responder: OcspResponder
) -> None:
    world.put_crl([serial_of(card)])
    assert world.code(card, online=True) is Code.CERTIFICATE_REVOKED
    assert responder.asked == 0


BAD = sorted(set(Manner) - {Manner.HONEST, Manner.SILENT})


@pytest.mark.parametrize("manner", BAD)
def test_an_answer_that_does_not_count_leaves_the_card_unverified(
    world: TrustWorld, card: bytes, responder: OcspResponder, manner: Manner
) -> None:
    responder.manner = manner
    refusal = world.refused(card, online=True)
    assert refusal.code is Code.REVOCATION_UNAVAILABLE
    assert responder.address in str(refusal)


def test_a_responder_that_says_nothing_is_left_after_its_time(
    world: TrustWorld, card: bytes, responder: OcspResponder
) -> None:
    responder.manner = Manner.SILENT
    hurried = world.with_(ocsp_timeout_s=0.2)
    assert hurried.code(card, online=True) is Code.REVOCATION_UNAVAILABLE


def test_a_responder_that_sends_a_byte_now_and_then_is_left_after_its_time(
    ocsp_pki: Pki, world: TrustWorld
) -> None:
    done = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while not done.wait(0.05):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        former = ocsp_pki.naming.ocsp
        ocsp_pki.name_responder(address)
        try:
            card = ocsp_pki.issue(Profile()).certificate
            slow = world.with_(ocsp_responders=(address,), ocsp_timeout_s=0.3)
            assert slow.code(card, online=True) is Code.REVOCATION_UNAVAILABLE
        finally:
            ocsp_pki.name_responder(former)
            done.set()
            thread.join(5)
    assert not thread.is_alive()


def test_nobody_at_the_address_leaves_the_card_unverified(ocsp_pki: Pki, world: TrustWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    former = ocsp_pki.naming.ocsp
    ocsp_pki.name_responder(address)
    try:
        card = ocsp_pki.issue(Profile()).certificate
    finally:
        ocsp_pki.name_responder(former)
    gone = world.with_(ocsp_responders=(address,))
    assert gone.code(card, online=True) is Code.REVOCATION_UNAVAILABLE


def test_a_fresh_list_stands_in_and_the_responder_rests(
    world: TrustWorld, card: bytes, responder: OcspResponder
) -> None:
    responder.manner = Manner.UNAVAILABLE
    world.put_crl()
    store = TrustStore(world.settings, online=True)
    for _ in range(3):
        store.check((card,), Usage.CONTACT_AUTHENTICATION, NOW.timestamp())
    assert responder.asked == 1


def test_prefer_takes_an_unreachable_responder(
    world: TrustWorld, card: bytes, responder: OcspResponder
) -> None:
    responder.manner = Manner.UNAVAILABLE
    world.with_(revocation="prefer").check(card, online=True)


def test_a_workstation_asks_nobody(
    world: TrustWorld, card: bytes, responder: OcspResponder
) -> None:
    world.check(card)
    assert world.with_(ocsp_responders=()).code(card) is Code.REVOCATION_UNAVAILABLE
    assert responder.asked == 0


def test_a_workstation_leaves_to_the_key_service_only_what_that_can_ask(
    world: TrustWorld, card: bytes
) -> None:
    elsewhere = world.with_(ocsp_responders=("http://127.0.0.1:9",))
    assert elsewhere.code(card) is Code.REVOCATION_UNAVAILABLE
    world.put_crl(at=NOW - 9 * DAY)
    assert elsewhere.code(card) is Code.CRL_EXPIRED
    world.check(card)
    world.put_crl(of_root=True, at=NOW - 9 * DAY)
    assert world.code(card) is Code.CRL_EXPIRED, "responders are not asked about authorities"
    world.put_crl(of_root=True)
    world.put_crl([serial_of(card)], at=NOW - 9 * DAY)
    assert world.code(card) is Code.CERTIFICATE_REVOKED


def test_a_responder_that_is_not_listed_is_not_asked(
    world: TrustWorld, card: bytes, responder: OcspResponder
) -> None:
    for listed in ((), ("http://127.0.0.1:9",), (responder.address + "/",)):
        elsewhere = world.with_(ocsp_responders=listed)
        assert elsewhere.code(card, online=True) is Code.REVOCATION_UNAVAILABLE
    world.with_(revocation="off").check(card, online=True)
    assert responder.asked == 0


def test_the_wrong_certificate_is_not_asked_about(
    world: TrustWorld, card: bytes, responder: OcspResponder
) -> None:
    assert world.with_(allow_test_cards=False).code(card, online=True) is Code.TEST_CARD_REFUSED
    assert world.matching(types=("cpe",)).code(card, online=True) is Code.CERTIFICATE_USAGE
    assert responder.asked == 0


@pytest.fixture
def authorities(ocsp_pki: Pki) -> tuple[Authority, ...]:
    return read_authorities(Trust(roots=ocsp_pki.roots, intermediates=ocsp_pki.intermediates))


@pytest.fixture
def answer(authorities: tuple[Authority, ...], responder: OcspResponder, card: bytes) -> bytes:
    client = OcspClient(Trust(ocsp_responders=(responder.address,)))
    return client.ask(responder.address, parse_certificate(card), authorities[1])


def test_a_revocation_counts_whatever_its_date(
    authorities: tuple[Authority, ...], card: bytes, responder: OcspResponder, ocsp_pki: Pki
) -> None:
    ocsp_pki.revoke(serial_of(card), NOW + timedelta(minutes=30))
    client = OcspClient(Trust(ocsp_responders=(responder.address,)))
    answer = client.ask(responder.address, parse_certificate(card), authorities[1])
    with pytest.raises(Refused) as caught:
        Paths(authorities, 60).check_ocsp(card, answer, NOW)
    assert caught.value.code is Code.CERTIFICATE_REVOKED


def _signed_answer(
    card: bytes, pki: Pki, signer: Signer, certificates: list[x509.Certificate]
) -> bytes:
    """Return an answer that says good of a card, with any certificates in it."""
    leaf, issuer = x509.load_der_x509_certificate(card), pki.intermediate.certificate
    start, end = NOW - timedelta(minutes=1), NOW + timedelta(hours=1)
    good = ocsp.OCSPCertStatus.GOOD
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(leaf, issuer, hashes.SHA256(), good, start, end, None, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
    )
    if certificates:
        builder = builder.certificates(certificates)
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _look_alike(
    of: x509.Certificate, *, serial: int | None = None, signature: bytes | None = None
) -> Signer:
    """Return a certificate with an own key that has another's issuer, and what else is wanted."""
    key = rsa.generate_private_key(65537, 2048)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    own = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "responder")]))
        .issuer_name(of.issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(usage, critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .sign(key, hashes.SHA256())
    )
    parsed = asn1_x509.Certificate.load(own.public_bytes(Encoding.DER))
    parsed["signature_value"] = signature or own.signature
    return Signer(x509.load_der_x509_certificate(parsed.dump(force=True)), key)


@pytest.mark.parametrize("genuine", ["absent", "after", "before"])
@pytest.mark.parametrize("same", ["serial", "signature", "both"])
@pytest.mark.parametrize("whose", ["intermediate", "root", "card"])
def test_a_certificate_that_looks_like_a_known_one_signs_no_answer(
    authorities: tuple[Authority, ...],
    card: bytes,
    ocsp_pki: Pki,
    whose: str,
    same: str,
    genuine: str,
) -> None:
    of = {
        "intermediate": ocsp_pki.intermediate.certificate,
        "root": ocsp_pki.root.certificate,
        "card": x509.load_der_x509_certificate(card),
    }[whose]
    forged = _look_alike(
        of,
        serial=None if same == "signature" else of.serial_number,
        signature=None if same == "serial" else of.signature,
    )
    certificates = {
        "absent": [forged.certificate],
        "after": [forged.certificate, of],
        "before": [of, forged.certificate],
    }[genuine]
    answer = _signed_answer(card, ocsp_pki, forged, certificates)
    with pytest.raises(OcspUnusable):
        Paths(authorities, 60).check_ocsp(card, answer, NOW)


def test_two_certificates_of_an_answer_with_one_signature_are_not_told_apart(
    authorities: tuple[Authority, ...], card: bytes, ocsp_pki: Pki
) -> None:
    first = _look_alike(ocsp_pki.intermediate.certificate)
    second = _look_alike(ocsp_pki.intermediate.certificate, signature=first.certificate.signature)
    answer = _signed_answer(
        card,
        ocsp_pki,
        Signer(ocsp_pki.intermediate.certificate, ocsp_pki.intermediate.key),
        [ocsp_pki.intermediate.certificate, first.certificate, second.certificate],
    )
    with pytest.raises(OcspUnusable):
        Paths(authorities, 60).check_ocsp(card, answer, NOW)


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_the_issuer_itself_may_answer_with_its_own_certificate(
    authorities: tuple[Authority, ...], card: bytes, ocsp_pki: Pki, copies: int
) -> None:
    issuer = Signer(ocsp_pki.intermediate.certificate, ocsp_pki.intermediate.key)
    answer = _signed_answer(card, ocsp_pki, issuer, [issuer.certificate] * copies)
    Paths(authorities, 60).check_ocsp(card, answer, NOW)


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(st.data())
def test_an_answer_whose_signed_part_was_changed_is_never_good(
    authorities: tuple[Authority, ...], card: bytes, answer: bytes, data: st.DataObject
) -> None:
    paths = Paths(authorities, 60)
    changed = bytearray(answer)
    position = data.draw(st.integers(0, len(answer) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    try:
        paths.check_ocsp(card, bytes(changed), NOW)
    except OcspUnusable:
        return
    # Around the signed part, two encodings mean the same.
    assert ocsp.load_der_ocsp_response(answer).tbs_response_bytes in changed


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_documented_error(
    authorities: tuple[Authority, ...], card: bytes, content: bytes
) -> None:
    with pytest.raises(OcspUnusable):
        Paths(authorities, 60).check_ocsp(card, content, NOW)
