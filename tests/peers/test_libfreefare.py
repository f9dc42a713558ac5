"""libfreefare, which nobody here wrote, personalises virtual badges in a real pcscd with vpcd.

Its library is Debian's own, on Debian's libnfc built with its PC/SC driver (scripts/libnfc-pcsc).
It speaks D40 and all of EV1's mechanisms, and checks the MACs and CRCs of what it gets.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.private_pcscd import PrivatePcscd
from simulators.desfire import VirtualDesfire
from simulators.link import insert
from tests.peers.libfreefare_scenario import AID, MECHANISMS
from tests.peers.libfreefare_side import require_libnfc
from tests.simulators.pcsc_side import PcscCard

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]
WIRE_AID = AID.to_bytes(3, "little")
NDEF_AID = bytes.fromhex("010000")
LIMIT_SECONDS = 30
LIBNFC_FRAME_BYTES = 64
FILE_BYTES = 150  # three frames


@contextmanager
def inserted(card: VirtualDesfire, pcscd: PrivatePcscd) -> Iterator[str]:
    """Hold a card in a reader, and give the reader's name."""
    card.reader_frame_bytes = LIBNFC_FRAME_BYTES
    with insert(card, pcscd.addresses[0]) as insertion:
        watch = PcscCard(pcscd.readers[0])
        yield pcscd.readers[0]
    watch.leave()
    assert insertion.error is None


def run(reader: str, *command: str | Path, code: int = 0) -> str:
    """Run a program of libfreefare's, which must end with `code`; return what it printed."""
    ran = subprocess.run(
        [*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS,
        stdin=subprocess.DEVNULL, check=False,
        env={
            **os.environ, "LD_LIBRARY_PATH": str(require_libnfc()),
            "LIBNFC_DEVICE": f"pcsc:{reader}", "LIBNFC_AUTO_SCAN": "false",
        },
    )  # fmt: skip
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("product", ["ev1", "ev2", "ev3"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_it_personalises_an_application_and_works_with_every_type_of_file(
    pcscd: PrivatePcscd, product: str, mechanism: str
) -> None:
    card = VirtualDesfire.factory(product)
    with inserted(card, pcscd) as reader:
        scenario = "tests.peers.libfreefare_scenario"
        seen = json.loads(
            run(reader, sys.executable, "-m", scenario, reader, mechanism, str(FILE_BYTES))
        )
    assert seen == {
        "uid": card.uid.hex() if MECHANISMS[mechanism].how else "",
        "versions": [0x41, 0x42, 0],
        "files": sorted((*MECHANISMS[mechanism].modes, 4, 5, 6)),
        "old_key": 0xAE,
        "no_records": 0xBE,
    }
    application = card.chip.applications[WIRE_AID]
    assert [key.version for key in application.keys] == seen["versions"]
    assert sorted(application.files) == seen["files"]


@pytest.mark.parametrize(("product", "version"), [("ev1", "1.0"), ("ev2", "18.0"), ("ev3", "51.0")])
def test_its_tool_reads_what_a_card_says_of_itself(
    pcscd: PrivatePcscd, product: str, version: str
) -> None:
    card = VirtualDesfire.factory(product)
    with inserted(card, pcscd) as reader:
        text = run(reader, "mifare-desfire-info")
    for line in (
        f"UID:                      0x{card.uid.hex()}",
        f"Batch number:             0x{card.chip.batch.hex()}",
        f"    Version:              {version}",
        "    Storage size:         0x18 (=4096 bytes)",
        "Master Key settings (0x0f):",
        f"Free memory: {card.chip.free_bytes} bytes",
        "Use random UID: no",
    ):
        assert line in text, line


def test_its_tools_make_a_badge_a_tag_write_a_message_and_read_it_back(
    pcscd: PrivatePcscd, tmp_path: Path
) -> None:
    card = VirtualDesfire.factory("ev1")
    message, read = tmp_path / "message", tmp_path / "read"
    # A text of 300 bytes: more than one frame in both directions.
    message.write_bytes(bytes.fromhex("C101000000013054") + b"\x02fr" + b"A" * 301)
    with inserted(card, pcscd) as reader:
        run(reader, "mifare-desfire-create-ndef", "-y")
        run(reader, "mifare-desfire-write-ndef", "-y", "-i", message)
        run(reader, "mifare-desfire-read-ndef", "-y", "-o", read)
        assert read.read_bytes() == message.read_bytes()
        assert card.chip.applications[NDEF_AID].df_name == bytes.fromhex("D2760000850101")
        run(reader, "mifare-desfire-format", "-y")
    assert not card.chip.applications
    assert card.chip.free_bytes == card.chip.capacity_bytes


def test_its_example_of_an_enciphered_file_works(pcscd: PrivatePcscd) -> None:
    card = VirtualDesfire.factory("ev2")
    with inserted(card, pcscd) as reader:
        run(reader, "mifare-desfire-access")
    seen = [command[1] for command in card.commands if command[0] == 0x90]
    assert [ins for ins in seen if ins in {0xCD, 0x3D, 0xBD, 0xFC}] == [0xCD, 0x3D, 0xBD, 0xFC]


def test_its_tools_set_the_default_key_the_ats_and_a_random_uid(pcscd: PrivatePcscd) -> None:
    # Another ATS than the one that the tool sets.
    chip = replace(VirtualDesfire.factory("ev1").chip, ats=bytes.fromhex("067577810281"))
    card = VirtualDesfire(chip)
    with inserted(card, pcscd) as reader:
        # It checks the version of a new application's keys itself, and puts zeros back.
        run(reader, "mifare-desfire-ev1-configure-default-key", "-y")
        assert card.chip.default_key == bytes(24)
        run(reader, "mifare-desfire-ev1-configure-ats", "-y")
        assert card.chip.ats == bytes.fromhex("067577810280")
        run(reader, "mifare-desfire-ev1-configure-random-uid", "-y")
        assert card.chip.random_uid
        assert "Use random UID: yes" in run(reader, "mifare-desfire-info")
