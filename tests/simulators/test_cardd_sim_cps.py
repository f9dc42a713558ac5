"""`cardd-sim` with CPS cards and the PKI that issues them."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from simulators import card as card_files
from simulators.cps import VirtualCps
from simulators.cps.chipdoc import VirtualCps4
from simulators.pki import Pki
from tests.simulators.test_cardd_sim import run, start
from tests.simulators.virtual_reader import VirtualReader

pytestmark = pytest.mark.unit


def certificate(path: Path) -> x509.Certificate:
    card = card_files.load(path)
    assert isinstance(card, VirtualCps)
    return x509.load_der_x509_certificate(card.chip.files[bytes.fromhex("3F000001A002")].content)


def named(certificate: x509.Certificate, name: x509.ObjectIdentifier) -> list[str | bytes]:
    return [one.value for one in certificate.subject.get_attributes_for_oid(name)]


def test_a_pki_and_a_card_of_it_are_two_commands(tmp_path: Path) -> None:
    code, text = run("pki", tmp_path / "igc")
    assert code == 0
    assert "TEST AC RACINE IGC-SANTE FORT" in text
    path = tmp_path / "cps.json"
    code, text = run("new", "cps", "--out", path, "--pki", tmp_path / "igc", "--holder", "Jo Doe")
    assert (code, text) == (0, f"{path}: cps, issued by {tmp_path / 'igc'}\n")
    made = certificate(path)
    assert named(made, NameOID.GIVEN_NAME) == ["JO"]
    assert named(made, NameOID.SURNAME) == ["DOE"]
    made.verify_directly_issued_by(Pki.load(tmp_path / "igc").intermediate.certificate)


@pytest.mark.parametrize(
    ("kind", "card_type", "names"), [("cps", 0, 1), ("cpf", 1, 1), ("cpe", 2, 0)]
)
def test_each_kind_of_card_says_what_it_is(
    pki: Pki, tmp_path: Path, kind: str, card_type: int, names: int
) -> None:
    path = tmp_path / "card.json"
    assert run("new", kind, "--out", path, "--pki", pki.folder)[0] == 0
    made = certificate(path)
    oid = x509.ObjectIdentifier("1.2.250.1.71.1.2.2")
    extension = made.extensions.get_extension_for_oid(oid).value
    assert isinstance(extension, x509.UnrecognizedExtension)
    assert extension.value == bytes((2, 1, card_type))
    assert len(named(made, NameOID.SURNAME)) == names


def test_without_a_folder_the_pki_is_made_beside_the_card_and_used_again(tmp_path: Path) -> None:
    assert run("new", "cps", "--out", tmp_path / "a.json")[0] == 0
    issuer = Pki.load(tmp_path / "pki").intermediate.certificate
    assert run("new", "cps4", "--out", tmp_path / "b.json")[0] == 0
    assert Pki.load(tmp_path / "pki").intermediate.certificate == issuer
    assert isinstance(card_files.load(tmp_path / "b.json"), VirtualCps4)


def test_a_seed_makes_the_same_card_of_one_pki_each_time(pki: Pki, tmp_path: Path) -> None:
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        made = run("new", "cpe", "--out", tmp_path / name, "--seed", seed, "--pki", pki.folder)
        assert made[0] == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_show_prints_counters_and_no_code_and_no_key(pki: Pki, tmp_path: Path) -> None:
    path = tmp_path / "cps.json"
    run("new", "cps", "--out", path, "--pki", pki.folder)
    code, text = run("show", path)
    assert code == 0
    assert "PIN  3 of 3 tries left" in text
    assert "12345678" not in text
    card = card_files.load(path)
    assert isinstance(card, VirtualCps)
    key = card.chip.keys[bytes.fromhex("3F000001"), 2].key
    assert f"{key.d:X}"[:16] not in text.upper()


@pytest.mark.parametrize(
    ("options", "atr"),
    [
        ([], "3BAC00402A001225006480000310009000"),
        (["--face", "contact"], "3BAC00402A001225006480000310009000"),
        (["--face", "contactless"], "3B8F80010031B86404B0ECC1739401808290000E"),
    ],
)
def test_a_face_is_chosen_at_the_reader(
    pki: Pki, tmp_path: Path, options: list[str], atr: str
) -> None:
    path = tmp_path / "cps.json"
    run("new", "cps", "--out", path, "--pki", pki.folder)
    with VirtualReader() as reader:
        program = start("insert", path, "--reader", reader.address, "--for", "20", *options)
        reader.accept()
        assert reader.transmit(b"\x04") == bytes.fromhex(atr)
        program.terminate()
        program.communicate(timeout=30)


def test_what_cannot_be_done_is_one_line_with_what_to_do(pki: Pki, tmp_path: Path) -> None:
    badge = tmp_path / "badge.json"
    run("new", "desfire-ev1", "--out", badge)
    damaged = tmp_path / "damaged"
    subprocess.run(["cp", "-r", str(pki.folder), str(damaged)], check=True)
    (damaged / "pki.json").write_text("{")
    for arguments, code, words in (
        (["insert", badge, "--face", "contact"], 3, "no second face"),
        (["pki", pki.folder], 6, "holds a PKI already"),
        (["new", "cps", "--out", tmp_path / "x.json", "--pki", damaged], 6, "make a new PKI"),
        (["new", "cps", "--out", badge, "--pki", pki.folder], 3, "exists"),
        (["pki", "/proc/nowhere"], 6, "cannot be written"),
        (["insert", badge, "--face", "both"], 2, "contactless"),
    ):
        got, text = run(*arguments)
        assert got == code, text
        assert words in text
        assert "Traceback" not in text
