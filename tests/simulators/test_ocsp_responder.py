"""The OCSP responder, asked by OpenSSL's client and by hand."""

import base64
import http.client
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.pki import Issued, Pki, Profile
from simulators.pki.authorities import INTERMEDIATE_FILE, ROOT_FILE
from simulators.pki.ocsp import Manner, OcspSigner
from simulators.pki.responder import LONGEST_REQUEST, REQUEST_TYPE, OcspResponder

pytestmark = pytest.mark.unit

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def signer(pki: Pki) -> OcspSigner:
    return OcspSigner.of(pki)


@pytest.fixture
def responder(pki: Pki) -> Iterator[OcspResponder]:
    with OcspResponder(pki) as responder:
        yield responder


@pytest.fixture(scope="module")
def issued(pki: Pki) -> Issued:
    return pki.issue(Profile())


def request_for(pki: Pki, certificate: bytes, nonce: bytes | None = None) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(certificate), pki.intermediate.certificate, hashes.SHA256()
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def post(
    responder: OcspResponder, body: bytes, content_type: str = REQUEST_TYPE
) -> tuple[int, bytes]:
    place = responder.address.removeprefix("http://")
    connection = http.client.HTTPConnection(place, timeout=5)
    try:
        connection.request("POST", "/", body, {"Content-Type": content_type})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def openssl(pki: Pki, responder: OcspResponder, issued: Issued, folder: Path) -> tuple[int, str]:
    """Ask as OpenSSL's own client does, which verifies the answer and its signer's chain."""
    leaf = folder / "leaf.pem"
    certificate = x509.load_der_x509_certificate(issued.certificate)
    leaf.write_bytes(certificate.public_bytes(Encoding.PEM))
    intermediate = pki.folder / INTERMEDIATE_FILE
    ended = subprocess.run(
        ["openssl", "ocsp", "-issuer", intermediate, "-cert", leaf, "-url", responder.address,
         "-CAfile", pki.folder / ROOT_FILE, "-verify_other", intermediate],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("manner", "code", "said"),
    [
        (Manner.HONEST, 0, "leaf.pem: good"),
        (Manner.UNKNOWN, 0, "leaf.pem: unknown"),
        (Manner.STALE, 0, "status expired"),
        (Manner.EARLY, 0, "status not yet valid"),
        (Manner.IMPOSTOR, 1, "certificate signature failure"),
        (Manner.OTHER, 1, "No Status found"),
        (Manner.REFUSE, 1, "trylater"),
        (Manner.UNAVAILABLE, 1, "code=503"),
        (Manner.GARBAGE, 1, "error"),
    ],
)
def test_openssl_sees_each_manner(
    pki: Pki,
    responder: OcspResponder,
    issued: Issued,
    tmp_path: Path,
    manner: Manner,
    code: int,
    said: str,
) -> None:
    responder.manner = manner
    got, text = openssl(pki, responder, issued, tmp_path)
    assert (got, said in text) == (code, True), text
    assert responder.asked == 1


def test_openssl_sees_a_revocation_with_its_time_and_reason(
    pki: Pki, responder: OcspResponder, tmp_path: Path
) -> None:
    issued = pki.issue(Profile())
    assert "good" in openssl(pki, responder, issued, tmp_path)[1]
    pki.revoke(issued.serial, datetime(2026, 11, 20, 8, tzinfo=UTC))
    code, text = openssl(pki, responder, issued, tmp_path)
    assert (code, "Response verify OK" in text, "leaf.pem: revoked" in text) == (0, True, True)
    assert "Nov 20 08:00:00 2026" in text
    assert "keyCompromise" in text


def test_what_another_process_revokes_counts_at_once(pki: Pki, responder: OcspResponder) -> None:
    issued = pki.issue(Profile())
    Pki.load(pki.folder).revoke(issued.serial)
    _, body = post(responder, request_for(pki, issued.certificate))
    assert ocsp.load_der_ocsp_response(body).certificate_status is OCSPCertStatus.REVOKED


def test_certificates_name_the_responder_once_it_is_told(tmp_path: Path, pki: Pki) -> None:
    other = Pki.load(pki.folder)
    other.folder = tmp_path
    other.name_responder("http://127.0.0.1:9/ocsp")
    certificate = x509.load_der_x509_certificate(other.issue(Profile()).certificate)
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert access[0].access_location.value == "http://127.0.0.1:9/ocsp"


def test_the_signer_is_certified_to_sign_answers_and_nothing_else(
    pki: Pki, signer: OcspSigner
) -> None:
    certificate = signer.own.certificate
    certificate.verify_directly_issued_by(pki.intermediate.certificate)
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [each.dotted_string for each in purposes] == ["1.3.6.1.5.5.7.3.9"]
    assert certificate.extensions.get_extension_for_class(x509.OCSPNoCheck)


def test_a_nonce_comes_back_and_a_giant_one_does_not(
    pki: Pki, signer: OcspSigner, issued: Issued
) -> None:
    for nonce, expected in ((b"n" * 16, b"n" * 16), (b"n" * 129, None)):
        request = request_for(pki, issued.certificate, nonce)
        answer = ocsp.load_der_ocsp_response(signer.answer(request, {}, Manner.HONEST, NOW))
        got = [each.value.nonce for each in answer.extensions]  # type: ignore[attr-defined]
        assert got == ([expected] if expected else [])


def test_an_answer_lives_for_an_hour_of_the_responders_clock(
    pki: Pki, signer: OcspSigner, issued: Issued
) -> None:
    request = request_for(pki, issued.certificate)
    answer = ocsp.load_der_ocsp_response(signer.answer(request, {}, Manner.HONEST, NOW))
    assert answer.this_update_utc == NOW.replace(microsecond=0)
    assert answer.next_update_utc == answer.this_update_utc + timedelta(hours=1)


def test_another_authoritys_certificate_is_not_ours_to_judge(
    pki: Pki, signer: OcspSigner, issued: Issued
) -> None:
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(issued.certificate), pki.root.certificate, hashes.SHA256()
    )
    request = builder.build().public_bytes(Encoding.DER)
    answer = ocsp.load_der_ocsp_response(signer.answer(request, {}, Manner.HONEST, NOW))
    assert answer.response_status is OCSPResponseStatus.UNAUTHORIZED


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.integers(0, 200), st.integers(1, 255))
def test_any_bytes_get_an_answer(
    pki: Pki, signer: OcspSigner, issued: Issued, noise: bytes, place: int, flip: int
) -> None:
    damaged = bytearray(request_for(pki, issued.certificate, b"nonce" * 4))
    damaged[place % len(damaged)] ^= flip
    for request in (noise, bytes(damaged)):
        answer = signer.answer(request, {}, Manner.HONEST, NOW)
        assert ocsp.load_der_ocsp_response(answer).response_status in OCSPResponseStatus


def test_a_request_may_be_in_the_path(pki: Pki, responder: OcspResponder, issued: Issued) -> None:
    place = responder.address.removeprefix("http://")
    connection = http.client.HTTPConnection(place, timeout=5)
    encoded = base64.b64encode(request_for(pki, issued.certificate)).decode()
    connection.request("GET", "/" + encoded.replace("+", "%2B").replace("/", "%2F"))
    answer = ocsp.load_der_ocsp_response(connection.getresponse().read())
    connection.close()
    assert answer.certificate_status is OCSPCertStatus.GOOD


def test_what_is_no_request_gets_an_http_status(responder: OcspResponder) -> None:
    assert post(responder, b"x" * (LONGEST_REQUEST + 1))[0] == 413
    assert post(responder, b"x", "text/plain")[0] == 415
    status, body = post(responder, b"x")
    answer = ocsp.load_der_ocsp_response(body)
    assert (status, answer.response_status) == (200, OCSPResponseStatus.MALFORMED_REQUEST)


def test_silence_lasts_until_the_responder_ends(pki: Pki, issued: Issued) -> None:
    with OcspResponder(pki, manner=Manner.SILENT) as responder:
        host, _, port = responder.address.removeprefix("http://").partition(":")
        connection = socket.create_connection((host, int(port)), timeout=0.5)
        body = request_for(pki, issued.certificate)
        head = f"POST / HTTP/1.0\r\nContent-Type: {REQUEST_TYPE}\r\nContent-Length: {len(body)}"
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(5)
    assert connection.recv(1) == b""
    connection.close()


def test_its_port_is_free_again_at_the_end(pki: Pki) -> None:
    with OcspResponder(pki) as responder:
        port = int(responder.address.rpartition(":")[2])
    with OcspResponder(pki, port=port) as again:
        assert again.address == responder.address
