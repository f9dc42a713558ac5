"""nfc-pcsc, which nobody here wrote, reads a virtual badge with D40 in a real pcscd with vpcd.

Installed by scripts/node-modules, which also compiles its native part (make test).
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.private_pcscd import PrivatePcscd
from simulators.desfire import VirtualDesfire
from simulators.desfire.crypto import KeyType
from simulators.desfire.keys import Key
from simulators.link import insert
from tests.simulators.pcsc_side import PcscCard

pytestmark = pytest.mark.peers

FOLDER = Path(__file__).parent / "node"
AID = bytes.fromhex("665544")  # wire order
CONTENT = bytes(range(0x30, 0x3E))
FILE, SIZE = 2, len(CONTENT)
ZEROS, DES_KEY, TDEA_KEY = bytes(16), bytes(range(2, 18, 2)) * 2, bytes(range(0x40, 0x60, 2))


def plain(card: VirtualDesfire, instruction: int, parameters: bytes) -> None:
    command = bytes((0x90, instruction, 0, 0, len(parameters))) + parameters + b"\0"
    assert card.transmit(command) == b"\x91\x00", command.hex()


def prepared(product: str) -> VirtualDesfire:
    """Return a badge with an application of one DES key, and a file that this key reads."""
    card = VirtualDesfire.factory(product)
    plain(card, 0xCA, AID + bytes.fromhex("0F01"))
    plain(card, 0x5A, AID)
    plain(card, 0xCD, bytes((FILE, 0)) + bytes.fromhex("F00E") + SIZE.to_bytes(3, "little"))
    plain(card, 0x3D, bytes((FILE, 0, 0, 0)) + SIZE.to_bytes(3, "little") + CONTENT)
    return VirtualDesfire(card.chip)


@contextmanager
def inserted(card: VirtualDesfire, pcscd: PrivatePcscd) -> Iterator[str]:
    """Hold a card in a reader, and give the reader's name."""
    with insert(card, pcscd.addresses[0]) as insertion:
        watch = PcscCard(pcscd.readers[0])
        yield pcscd.readers[0]
    watch.leave()
    assert insertion.error is None


def rekey(card: VirtualDesfire, key: bytes) -> VirtualDesfire:
    """Return the card with another key in its application."""
    application = card.chip.applications[AID]
    keys = (Key(KeyType.DES, key),)
    return VirtualDesfire(card.chip.with_application(replace(application, keys=keys)))


def node(reader: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    given = {
        "reader": reader, "aid": AID.hex(), "key": ZEROS.hex(), "keyNumber": 0,
        "file": FILE, "length": SIZE,
    }  # fmt: skip
    return subprocess.run(
        ["node", "read_desfire.mjs"], cwd=FOLDER, input=json.dumps({**given, **changes}),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("product", ["ev1", "ev2"])
def test_it_authenticates_with_the_key_of_its_example_and_reads_a_file(
    pcscd: PrivatePcscd, product: str
) -> None:
    card = prepared(product)
    with inserted(card, pcscd) as reader:
        ended = node(reader)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout) == {"atr": card.atr.hex(), "data": CONTENT.hex()}
        assert [command[1] for command in card.commands] == [0x5A, 0x0A, 0xAF, 0xBD]


@pytest.mark.parametrize("key", [DES_KEY, TDEA_KEY], ids=["des", "2k3des"])
def test_it_knows_a_changed_key_and_the_card_knows_it(pcscd: PrivatePcscd, key: bytes) -> None:
    card = rekey(prepared("ev1"), key)
    with inserted(card, pcscd) as reader:
        ended = node(reader, key=key.hex())
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["data"] == CONTENT.hex()


def test_it_is_refused_with_the_status_of_its_mistake(pcscd: PrivatePcscd) -> None:
    with inserted(prepared("ev2"), pcscd) as reader:
        for changes, step in (
            ({"key": TDEA_KEY.hex()}, "prove: 91ae"),
            ({"keyNumber": 1}, "authenticate: 9140"),
            ({"file": 3}, "read: 91f0"),
            ({"length": SIZE + 1}, "read: 91be"),
            ({"aid": "010203"}, "select: 91a0"),
        ):
            ended = node(reader, **changes)
            assert (ended.returncode, ended.stderr.strip()) == (1, step)
