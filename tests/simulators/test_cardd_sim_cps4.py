"""`cardd-sim` for a CPS4 and around it: its making, its authority, its pinpad."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cardd.readers import pinpad
from cardd.readers.pinpad import Feature, PinEntry
from cardd.readers.ports import CardInserted
from cardd.readers.virtual import VirtualSource
from simulators import card as card_files
from simulators.cps.chipdoc import VirtualCps4
from simulators.pki import Pki
from simulators.pki.authorities import INTERMEDIATE_FILE, ROOT_FILE
from tests.readers.reader_world import Events
from tests.simulators.cps4_side import SELECT_CHIPDOC

pytestmark = pytest.mark.unit


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "simulators.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path) -> tuple[int, str]:
    program = start(*arguments)
    out, error = program.communicate(timeout=40)
    return program.returncode, out + error


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cps4")
    code, text = run("new", "cps4", "--out", folder / "cps4.json", "--holder", "Maud Curie")
    assert (code, "issued by" in text) == (0, True), text
    return folder


def stored(path: Path) -> VirtualCps4:
    card = card_files.load(path)
    assert isinstance(card, VirtualCps4)
    return card


def certificates(path: Path) -> list[x509.Certificate]:
    contents = [file.content for file in stored(path).chip.files.values()]
    return [
        x509.load_der_x509_certificate(content)
        for content in contents
        if content.startswith(b"\x30\x82") and len(content) > 1000
    ]


def test_a_new_cps4_has_two_certificates_of_its_authority_for_its_holder(made: Path) -> None:
    both = certificates(made / "cps4.json")
    assert len(both) == 2
    keys = [key.public_key().n for key in stored(made / "cps4.json").chip.keys.values()]
    for certificate in both:
        assert "SN=CURIE" in certificate.subject.rfc4514_string().replace("2.5.4.4=", "SN=")
        assert certificate.public_key().public_numbers().n in keys  # type: ignore[union-attr]


def test_openssl_accepts_the_chain_of_a_new_cps4(made: Path, tmp_path: Path) -> None:
    for number, certificate in enumerate(certificates(made / "cps4.json")):
        leaf = tmp_path / f"{number}.pem"
        leaf.write_bytes(certificate.public_bytes(Encoding.PEM))
        ended = subprocess.run(
            ["openssl", "verify", "-CAfile", made / "pki" / ROOT_FILE,
             "-untrusted", made / "pki" / INTERMEDIATE_FILE, leaf],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr


def test_show_tells_the_tries_and_no_code(made: Path) -> None:
    code, text = run("show", made / "cps4.json")
    assert code == 0
    assert "PIN  3 of 3 tries left" in text
    assert "3B9B188001001225006480040100009044" in text
    assert not re.search(r"\b(1234|12345678)\b", text)


def test_the_responder_answers_and_hears_of_a_revocation(made: Path, tmp_path: Path) -> None:
    run("new", "cps4", "--out", tmp_path / "lost.json", "--pki", made / "pki")
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(certificates(tmp_path / "lost.json")[0].public_bytes(Encoding.PEM))
    program = start("ocsp", made / "pki")
    try:
        assert program.stdout is not None
        address = program.stdout.readline().split(": ")[0]

        def ask() -> str:
            ended = subprocess.run(
                ["openssl", "ocsp", "-issuer", made / "pki" / INTERMEDIATE_FILE, "-cert", leaf,
                 "-url", address, "-CAfile", made / "pki" / ROOT_FILE,
                 "-verify_other", made / "pki" / INTERMEDIATE_FILE],
                capture_output=True, text=True, timeout=20, check=False,
            )  # fmt: skip
            return ended.stdout

        assert "leaf.pem: good" in ask()
        code, text = run("revoke", made / "pki", tmp_path / "lost.json")
        assert (code, "2 certificates revoked" in text) == (0, True)
        assert "leaf.pem: revoked" in ask()
    finally:
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=20)
    assert program.returncode == 0
    listed = x509.load_der_x509_crl((made / "pki/crls/ACI-FO-PP-TEST.crl").read_bytes())
    serials = {each.serial_number for each in certificates(tmp_path / "lost.json")}
    assert serials == {each.serial_number for each in listed}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[VirtualSource]:
    source = VirtualSource("desk", f"unix:{tmp_path}/desk", has_pinpad=True)
    yield source
    source.stop()


def test_keys_types_a_pin_that_the_card_then_judges(made: Path, reader: VirtualSource) -> None:
    events = Events()
    reader.start(events)
    inserted = start("insert", made / "cps4.json", "--reader", reader.address)
    try:
        events.until(CardInserted, 20)
        connection = reader.connect("desk")
        connection.transmit(bytes.fromhex(SELECT_CHIPDOC))
        control = pinpad.features(connection)[Feature.VERIFY_PIN_DIRECT]
        entry = PinEntry(bytes.fromhex("01200001"), 4, 8)
        asking = threading.Thread(target=pinpad.verify, args=(connection, control, entry))
        typing = start("keys", "9999", "--reader", reader.address)
        asking.start()
        out, _ = typing.communicate(timeout=30)
        asking.join(10)
        connection.close()
    finally:
        inserted.send_signal(signal.SIGINT)
        inserted.communicate(timeout=20)
    assert (typing.returncode, "ended with 63C2" in out) == (0, True)
    assert stored(made / "cps4.json").chip.codes[1].tries_left == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["keys", "1234", "--reader", "tcp:127.0.0.1:9"], 7, "has no pinpad"),
        (["keys", "1234", "--reader", "unix:/nonexistent/reader"], 7, "no pinpad at"),
        (["keys", "12a4", "--reader", "unix:/nonexistent/reader"], 7, "digits 0 to 9"),
        (["ocsp", "{folder}/none"], 6, "cardd-sim pki"),
        (["ocsp", "{folder}/pki", "--listen", "nowhere"], 2, "HOST:PORT"),
        (["ocsp", "{folder}/pki", "--listen", "192.0.2.1:1"], 6, "cannot be listened on"),
        (["revoke", "{folder}/pki", "{folder}/none.json"], 3, "does not exist"),
        (["insert", "{folder}/cps4.json", "--face", "contactless"], 3, "no second face"),
    ],
)
def test_an_error_is_one_line_with_what_to_do(
    made: Path, arguments: list[str], code: int, words: str
) -> None:
    got, text = run(*(argument.format(folder=made) for argument in arguments))
    assert (got, words in text, "Traceback" in text) == (code, True, False), text


def test_what_another_authority_issued_is_not_revoked(made: Path, tmp_path: Path) -> None:
    Pki.create(tmp_path / "other", production=True)
    code, text = run("revoke", tmp_path / "other", made / "cps4.json")
    assert (code, "has issued nothing" in text) == (6, True)
