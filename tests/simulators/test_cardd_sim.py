"""`cardd-sim`, as people and scripts run it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulators import card as card_files
from simulators.desfire import originality
from tests.simulators.reader_side import make_application
from tests.simulators.virtual_reader import VirtualReader

pytestmark = pytest.mark.unit

GET_UID = bytes.fromhex("FFCA000000")


def start(*arguments: str | Path, reader: str | None = None) -> "subprocess.Popen[str]":
    environment = {**os.environ, **({"CARDD_SIM_READER": reader} if reader else {})}
    return subprocess.Popen(
        [sys.executable, "-m", "simulators.cli", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path) -> tuple[int, str]:
    program = start(*arguments)
    out, error = program.communicate(timeout=30)
    return program.returncode, out + error


@pytest.fixture
def badge(tmp_path: Path) -> Path:
    path = tmp_path / "badge.json"
    assert run("new", "desfire-ev1", "--out", path, "--uid", "04AABBCCDDEEFF")[0] == 0
    return path


def test_new_makes_a_factory_card_with_the_uid_asked_for(badge: Path) -> None:
    card = card_files.load(badge)
    assert card.uid == bytes.fromhex("04AABBCCDDEEFF")
    assert (card.chip.product, card.chip.settings) == ("ev1", 0x0F)


def test_a_seed_makes_the_same_card_each_time(tmp_path: Path) -> None:
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert run("new", "desfire-ev2", "--out", tmp_path / name, "--seed", seed)[0] == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("arguments", "storage_kib", "uid_bytes"),
    [([], 4, 7), (["--uid", "04112233445566778899", "--storage", "16k"], 16, 10)],
)
def test_new_makes_an_ev3_of_a_storage_and_a_uid(
    tmp_path: Path, arguments: list[str], storage_kib: int, uid_bytes: int
) -> None:
    assert run("new", "desfire-ev3", "--out", tmp_path / "a", *arguments)[0] == 0
    chip = card_files.load(tmp_path / "a").chip
    assert (chip.product, chip.storage_kib, len(chip.uid)) == ("ev3", storage_kib, uid_bytes)


def test_show_prints_the_test_key_that_verifies_the_signature(badge: Path) -> None:
    card = card_files.load(badge)
    public_key = originality.public_key(card.chip.originality_key).hex().upper()
    code, text = run("show", badge)
    assert code == 0
    assert f"originality  test key, secp224r1, {public_key}" in text
    assert card.chip.originality_key.hex().upper() not in text


def test_show_describes_names_and_identifiers(badge: Path) -> None:
    with card_files.hold(badge) as held:
        assert (
            held.transmit(bytes.fromhex("90CA00000C 563412 0F A1 1011 6361726464 00")) == b"\x91\0"
        )
    _, text = run("show", badge)
    assert re.search(
        r"application 123456 .* ISO 1110  DF name 6361726464  files have ISO identifiers", text
    )


def test_show_prints_check_values_and_no_key(badge: Path) -> None:
    with card_files.hold(badge) as held:
        make_application(held.card)
        held.transmit(GET_UID)
    code, text = run("show", badge)
    assert code == 0
    assert "UID 04AABBCCDDEEFF" in text
    assert re.search(r"application 123456\s+settings 0F", text)
    # The CMAC of a block of zeros under an AES key of zeros, cut to 3 bytes.
    assert "KCV 763CBC" in text
    assert "00" * 8 not in text


def test_a_tap_is_served_and_ends_by_itself(badge: Path) -> None:
    with VirtualReader() as reader:
        program = start("tap", badge, reader=reader.address)
        reader.accept()
        reader.send(b"\x01")
        assert reader.transmit(GET_UID) == bytes.fromhex("04AABBCCDDEEFF9000")
        assert reader.card_is_gone()
        out, _ = program.communicate(timeout=30)
    assert program.returncode == 0
    assert "answered 1 commands" in out


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_insertion_leaves_the_reader_in_order(badge: Path, stop: signal.Signals) -> None:
    with VirtualReader() as reader:
        program = start("insert", badge, "--reader", reader.address)
        reader.accept()
        reader.send(b"\x01")
        reader.transmit(GET_UID)
        program.send_signal(stop)
        assert reader.card_is_gone()
        out, error = program.communicate(timeout=30)
    assert (program.returncode, error) == (0, "")
    assert "answered 1 commands" in out


def test_a_fault_of_insert_and_tap_strikes_the_answer_it_names(badge: Path) -> None:
    for verb in ("insert", "tap"):
        with VirtualReader() as reader:
            faults = ("--fault", "corrupt:2", "--fault-seed", "5")
            program = start(verb, badge, *faults, reader=reader.address)
            reader.accept()
            reader.send(b"\x01")
            whole = bytes.fromhex("04AABBCCDDEEFF9000")
            assert reader.transmit(GET_UID) == whole
            assert reader.transmit(GET_UID) != whole
            assert reader.transmit(GET_UID) == whole
            program.send_signal(signal.SIGINT)
            program.communicate(timeout=30)
        assert program.returncode == 0


def test_the_readers_frames_are_told_to_the_card(tmp_path: Path) -> None:
    path = tmp_path / "badge.json"
    run("new", "desfire-ev3", "--out", path)
    with card_files.hold(path) as held:
        make_application(held.card)
        held.transmit(bytes.fromhex("90CD0000070100EEEE2C010000"))
    with VirtualReader() as reader:
        program = start("tap", path, "--reader-frame", "64", reader=reader.address)
        reader.accept()
        reader.send(b"\x01")
        assert reader.transmit(bytes.fromhex("905A00000356341200")) == b"\x91\x00"
        answer = reader.transmit(bytes.fromhex("90BD000007010000002C010000"))
        assert answer == bytes(59) + b"\x91\xaf"
        assert reader.card_is_gone()
        program.communicate(timeout=30)


def test_insert_tears_and_ends_in_time(badge: Path) -> None:
    with VirtualReader() as reader:
        program = start(
            "insert", badge, "--reader", reader.address, "--tear-after", "2", "--tear", "after"
        )
        reader.accept()
        reader.send(b"\x01")
        reader.transmit(GET_UID)
        reader.send(bytes.fromhex("90CA0000055634120F8200"))
        assert reader.card_is_gone()
        program.communicate(timeout=30)
    assert len(card_files.load(badge).chip.applications) == 1


def test_a_reader_that_takes_no_notice_is_told(badge: Path) -> None:
    with VirtualReader() as reader:
        code, text = run("insert", badge, "--reader", reader.address, "--for", "0.1")
    assert code == 5
    assert "took no notice" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "none.json"], 3, "make a card with cardd-sim new"),
        (["tap", "none.json"], 3, "make a card with cardd-sim new"),
        (["tap", "{badge}", "--reader", "nowhere"], 2, "write tcp:HOST:PORT or unix:PATH"),
        (["tap", "{badge}", "--reader", "unix:/nonexistent/reader"], 4, "start cardd or pcscd"),
        (["new", "desfire-ev1", "--out", "{badge}"], 3, "exists"),
        (["new", "desfire-ev9", "--out", "x.json"], 2, "desfire-ev1"),
        (["new", "desfire-ev1", "--out", "x.json", "--uid", "04"], 2, "14 hexadecimal digits"),
        (["new", "desfire-ev2", "--out", "x.json", "--uid", "04"], 2, "8 or 14 or 20"),
        (["new", "desfire-ev1", "--out", "x.json", "--storage", "16k"], 2, "2k, 4k, 8k"),
        (["tap", "{badge}", "--fault", "lose"], 2, "corrupt, truncate"),
        (["insert", "{badge}", "--tear-after", "0"], 2, "--tear-after"),
        (["insert", "{badge}", "--for", "0"], 2, "--for"),
    ],
)
def test_an_error_is_one_line_with_what_to_do(
    badge: Path, arguments: list[str], code: int, words: str
) -> None:
    got, text = run(*(argument.format(badge=badge) for argument in arguments))
    assert got == code
    assert words in text
    assert "Traceback" not in text
