"""Debian's OpenSC, which nobody here wrote, on a virtual CPS3 in a real pcscd with vpcd.

PINs reach its programs through the environment or a terminal of theirs, as people would do it.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from scripts.private_pcscd import PrivatePcscd
from simulators.cps import Face, VirtualCps, personalise
from simulators.link import Insertion, insert
from simulators.pki import Pki, Profile
from tests.simulators.pcsc_side import PcscCard

pytestmark = pytest.mark.peers

SIGNATURE_ID, AUTHENTICATION_ID, TECHNICAL_ID = (
    f"e828bd080f8025000001ff00100{number}" for number in (1, 2, 3)
)
DIGEST_INFO = bytes.fromhex("3031300D060960864801650304020105000420")
LIMIT_SECONDS = 30


@dataclass(frozen=True)
class Desk:
    """A card in the reader of a private pcscd."""

    card: VirtualCps
    insertion: Insertion
    folder: Path

    def run(self, *command: str | Path, pin: str | None = None, code: int = 0) -> str:
        """Run a program, which must end with `code`; return what it printed."""
        environment = {**os.environ, **({"CARD_PIN": pin} if pin else {})}
        # No cache: what is read is on the card now.
        environment["OPENSC_CONF"] = str(self.folder / "opensc.conf")
        ran = subprocess.run(
            [*map(str, command)],
            env=environment,
            capture_output=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        text = (ran.stdout + ran.stderr).decode(errors="replace")
        assert ran.returncode == code, text
        return text


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(tmp_path_factory.mktemp("igc") / "pki")


@pytest.fixture(scope="session")
def issued(pki: Pki) -> VirtualCps:
    return personalise(pki, Profile())


@pytest.fixture
def desk(pcscd: PrivatePcscd, issued: VirtualCps, tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "opensc.conf").write_text("app default { framework pkcs15 { use_caching = no } }\n")
    card = VirtualCps(issued.chip)
    with insert(card, pcscd.addresses[0]) as insertion:
        watch = PcscCard(pcscd.readers[0], protocol=PcscCard.T0)
        yield Desk(card, insertion, tmp_path)
    watch.leave()
    assert insertion.error is None


def public_key(desk: Desk, identifier: str) -> Path:
    path = desk.folder / f"{identifier}.pem"
    desk.run("pkcs15-tool", "--read-public-key", identifier, "--output", path)
    return path


def test_it_recognises_the_card(desk: Desk) -> None:
    assert "IAS-ECC" in desk.run("opensc-tool", "--name").splitlines()
    shown = desk.run("opensc-tool", "--atr").replace(":", "")
    assert desk.card.atr.hex() in shown


def test_it_lists_what_the_card_has(desk: Desk) -> None:
    text = desk.run(
        "pkcs15-tool", "--list-certificates", "--list-keys", "--list-pins", "--list-data-objects"
    )
    for line in (
        "Private RSA Key [CPS_PRIV_SIG]",
        "Private RSA Key [CPS_PRIV_AUT]",
        "Access Rules   : pso_cds:01;",
        "Access Rules   : pso_decrypt:01; int_auth:01;",
        "Key ref        : 129 (0x81)",
        "Key ref        : 130 (0x82)",
        f"ID             : {SIGNATURE_ID}",
        f"ID             : {AUTHENTICATION_ID}",
        "X.509 Certificate [Certificat de Signature CPS]",
        "X.509 Certificate [Certificat d'Authentification CPS]",
        "PIN [Code porteur]",
        "PIN [Code de deblocage]",
        "Type           : ascii-numeric",
        "Data object 'CPS_NAME_PS'",
        "Data object 'CPS_ACTIVITY_01_PS'",
    ):
        assert line in text
    assert "CPS_PRIV_TECH_AUT" not in text


def test_both_applications_are_in_the_directory(desk: Desk) -> None:
    text = desk.run("pkcs15-tool", "--list-applications")
    assert "AID: E828BD080F8025000001FF0010" in text
    assert "AID: E828BD080F8025000001FF0020" in text
    assert "serial num         : 2600855206" in desk.run("pkcs11-tool", "--list-slots")


@pytest.mark.parametrize(
    ("identifier", "file"),
    [(SIGNATURE_ID, "3F000001A001"), (AUTHENTICATION_ID, "3F000001A002")],
)
def test_it_reads_the_bytes_of_the_certificates_and_openssl_accepts_the_chain(
    desk: Desk, pki: Pki, identifier: str, file: str
) -> None:
    pem, read = desk.folder / "read.pem", desk.folder / "read.der"
    desk.run("pkcs15-tool", "--read-certificate", identifier, "--output", pem)
    desk.run("openssl", "x509", "-in", pem, "-outform", "der", "-out", read)
    assert read.read_bytes() == desk.card.chip.files[bytes.fromhex(file)].content
    (root,), (intermediate,) = pki.roots.iterdir(), pki.intermediates.iterdir()
    desk.run("openssl", "verify", "-CAfile", root, "-untrusted", intermediate, pem)


def test_it_reads_free_data_and_reads_guarded_data_with_the_pin(desk: Desk) -> None:
    text = desk.run("pkcs15-tool", "--raw", "--read-data-object", "CPS_NAME_PS")
    assert "CLAIRE TESTEUSE" in text
    refused = desk.run("pkcs11-tool", "--read-object", "--type", "data", "--label",
                       "CPS_ACTIVITY_01_PS", code=1)  # fmt: skip
    assert "CABINET" not in refused
    path = desk.folder / "activity"
    desk.run(
        "pkcs11-tool", "--login", "--pin", "env:CARD_PIN", "--read-object", "--type", "data",
        "--label", "CPS_ACTIVITY_01_PS", "--output-file", path, pin="1234",
    )  # fmt: skip
    assert b"CABINET 1" in path.read_bytes()


def sign(desk: Desk, data: bytes, pin: str, code: int = 0) -> Path:
    given, signature = desk.folder / "data", desk.folder / "signature"
    given.write_bytes(data)
    desk.run(
        "pkcs11-tool", "--login", "--pin", "env:CARD_PIN", "--sign", "--mechanism", "RSA-PKCS",
        "--id", AUTHENTICATION_ID, "--input-file", given, "--output-file", signature,
        pin=pin, code=code,
    )  # fmt: skip
    return signature


def test_its_signature_is_one_that_openssl_verifies(desk: Desk) -> None:
    message = desk.folder / "message"
    message.write_bytes(os.urandom(1000))
    digest = desk.run("openssl", "dgst", "-sha256", "-r", message).split()[0]
    signature = sign(desk, DIGEST_INFO + bytes.fromhex(digest), "1234")
    key = public_key(desk, AUTHENTICATION_ID)
    text = desk.run("openssl", "dgst", "-sha256", "-verify", key, "-signature", signature, message)
    assert "Verified OK" in text
    assert any(command[1] == 0x88 for command in desk.card.commands)


def test_its_wrong_pin_costs_a_try_and_its_right_one_gives_it_back(desk: Desk) -> None:
    sign(desk, b"x", "9999", code=1)
    assert desk.card.chip.codes[1].tries_left == 2
    sign(desk, b"x", "0000", code=1)
    assert desk.card.chip.codes[1].tries_left == 1
    text = desk.run("pkcs11-tool", "--list-token-slots")
    assert "final user PIN try" in text
    sign(desk, b"x", "1234")
    assert desk.card.chip.codes[1].tries_left == 3


def test_it_finds_a_blocked_pin_blocked(desk: Desk) -> None:
    for pin in ("9999", "9999", "9999", "1234"):
        sign(desk, b"x", pin, code=1)
    assert desk.card.chip.codes[1].tries_left == 0
    assert "user PIN locked" in desk.run("pkcs11-tool", "--list-token-slots")


def on_a_terminal(desk: Desk, command: list[str], *answers: str) -> None:
    """Run a program on a terminal and answer each of its questions."""
    program = pexpect.spawn(
        command[0],
        command[1:],
        timeout=LIMIT_SECONDS,
        env={**os.environ, "OPENSC_CONF": str(desk.folder / "opensc.conf")},
        encoding="utf-8",
    )
    for answer in answers:
        program.expect(r"[:\]] *$")
        program.sendline(answer)
    program.expect(pexpect.EOF)
    program.close()
    assert program.exitstatus == 0, program.before


def test_it_changes_the_pin(desk: Desk) -> None:
    on_a_terminal(
        desk, ["pkcs15-tool", "--change-pin", "--auth-id", "01"], "1234", "567890", "567890"
    )
    assert desk.card.chip.codes[1].value == b"567890"
    sign(desk, b"x", "567890")


def test_it_unblocks_the_pin(desk: Desk) -> None:
    for _ in range(3):
        sign(desk, b"x", "9999", code=1)
    on_a_terminal(
        desk, ["pkcs15-tool", "--unblock-pin", "--auth-id", "01"], "12345678", "4321", "4321"
    )
    assert (desk.card.chip.codes[1].value, desk.card.chip.codes[1].tries_left) == (b"4321", 3)
    assert desk.card.chip.codes[2].uses_left == 99


def test_it_deciphers_with_the_authentication_key(desk: Desk) -> None:
    secret, sealed, opened = (desk.folder / name for name in ("secret", "sealed", "opened"))
    secret.write_bytes(os.urandom(32))
    key = public_key(desk, AUTHENTICATION_ID)
    desk.run(
        "openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", key, "-in", secret, "-out", sealed
    )
    desk.run(
        "pkcs11-tool", "--login", "--pin", "env:CARD_PIN", "--decrypt", "--mechanism", "RSA-PKCS",
        "--id", AUTHENTICATION_ID, "--input-file", sealed, "--output-file", opened, pin="1234",
    )  # fmt: skip
    assert opened.read_bytes() == secret.read_bytes()


def test_a_card_that_was_reset_has_forgotten_the_pin(pcscd: PrivatePcscd, desk: Desk) -> None:
    sign(desk, b"x", "1234")
    desk.run("opensc-tool", "--reset")
    text = desk.run("opensc-tool", "--send-apdu", "00:20:00:01:00")
    assert "SW1=0x63, SW2=0xC3" in text


def test_the_contactless_face_answers_plain_apdus_through_pcscd(
    pcscd: PrivatePcscd, issued: VirtualCps
) -> None:
    # OpenSC's own ATR of this face cannot match: it is driven by hand.
    card = VirtualCps(issued.chip, Face.CONTACTLESS)
    with insert(card, pcscd.addresses[0]):
        reader = PcscCard(pcscd.readers[0])
        assert reader.transmit(bytes.fromhex("00A4040C0DE828BD080F8025000001FF0020")) == b"\x90\x00"
        assert reader.transmit(bytes.fromhex("00A40204025032 00"))[-2:] == b"\x90\x00"
        assert b"CPS3-2600855206" in reader.transmit(bytes.fromhex("00B0000000"))
        assert reader.transmit(bytes.fromhex("002000010431323334")) == b"\x6a\x88"
    reader.leave()
