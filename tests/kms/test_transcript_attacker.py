"""Whoever recorded all that a workstation saw: which keys does that give?"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardd.badges.states import RevocationReason
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    NONCE,
    MovedClock,
    configuration,
    holder,
    key_service,
    new_generation,
)
from tests.kms.transcript_attacker import Attacker, Session, open_aes, open_ev2, open_iso

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("either_mode")]

PRODUCTS = ("ev1", "ev2")
SITE = bytes.fromhex("4E585020416275")
AIDS = (bytes(3), bytes.fromhex("F5CA4D"))
PROTECTED = ("encode", "tap", "inspect", "rekey", "wipe")


@dataclass
class Workstation:
    """Relays, and keeps all of it: what went to the card, and what went to the key service."""

    service: KeyService
    badge: VirtualDesfire
    transcript: list[tuple[bytes, bytes]] = field(default_factory=list)
    memory: list[bytes] = field(default_factory=list)
    keys: set[bytes] = field(default_factory=set)
    before: set[bytes] = field(default_factory=set)

    def run(self, procedure: m.Procedure) -> m.Outcome:
        self.badge.reset()
        self.before = keys_on(self.badge)
        self.keys |= self.before
        self.memory.append(msgspec.msgpack.encode(procedure))
        step = self.service.begin(procedure)
        while isinstance(step, m.Step):
            self.memory.append(msgspec.msgpack.encode(step))
            answers = tuple(map(self.badge.transmit, step.commands))
            self.transcript += zip(step.commands, answers, strict=True)
            self.keys |= keys_on(self.badge)
            step = self.service.next(step.handle, answers)
        self.memory.append(msgspec.msgpack.encode(step))
        return step

    def attacked(self) -> Attacker:
        """Read it with nothing but what this workstation has, and what everybody knows."""
        dump = b"".join(self.memory) + b"".join(c + a for c, a in self.transcript)
        attacker = Attacker.with_public_keys(dump)
        attacker.derive(self.badge.uid, AIDS, SITE)
        attacker.read(self.transcript)
        return attacker

    def read_with(self, *keys: bytes) -> Attacker:
        """Read it with keys that were learnt elsewhere."""
        attacker = Attacker(set(keys))
        attacker.read(self.transcript)
        return attacker


def keys_on(badge: VirtualDesfire) -> set[bytes]:
    """Return the keys that a badge has and that no data sheet tells."""
    state: dict[str, Any] = badge.to_json()
    values = [state["master"]["value"], state["default_key"]]
    values += [key["value"] for each in state["applications"] for key in each["keys"]]
    return {bytes.fromhex(value)[:16] for value in values if set(value) != {"0"}}


def recorded(folder: Path, product: str, blanks: str) -> dict[str, Workstation]:
    """Let a badge live its whole life; return the record of each procedure of it."""
    folder.mkdir(exist_ok=True)
    config = configuration(folder, blanks)
    badge = VirtualDesfire.factory(product)
    records: dict[str, Workstation] = {}

    def run(service: KeyService, procedure: m.Procedure) -> m.Outcome:
        record = records[type(procedure).__name__.lower()] = Workstation(service, badge)
        return record.run(procedure)

    with key_service(config, MovedClock()) as service:
        if blanks == "transport":
            run(service, m.Prepare(badge.uid))
        receipt = run(service, m.Encode(badge.uid, holder(service).id))
        assert isinstance(receipt, m.Encoded)
        request = m.AssertionRequest(audience="a", nonce=NONCE)
        run(service, m.Tap(badge.uid, (request,)))
        run(service, m.Inspect(badge.uid))
    new_generation(config)
    with key_service(config, MovedClock()) as service:
        run(service, m.Rekey(badge.uid))
        service.revoke_badge(receipt.number, RevocationReason.LOST.value)
        run(service, m.Wipe(badge.uid))
    return records


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_record_but_that_of_the_preparation_gives_a_key_or_a_session(
    tmp_path: Path, product: str
) -> None:
    records = recorded(tmp_path, product, "transport")
    assert set(records) == {*PROTECTED, "prepare"}
    for name in PROTECTED:
        record = records[name]
        attacker = record.attacked()
        assert attacker.attempts > 0
        assert record.keys
        assert attacker.sessions == [], name
        assert not attacker.known & record.keys, name


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_same_attacker_reads_each_of_them_to_the_end_with_the_keys_it_began_with(
    tmp_path: Path, product: str
) -> None:
    """So what the test above finds is secrecy, and not an attacker that reads nothing."""
    records = recorded(tmp_path, product, "transport")
    for name in PROTECTED:
        record = records[name]
        attacker = record.read_with(*record.before)
        assert record.before, name
        assert len(attacker.sessions) == attacker.attempts > 0, name
        assert record.keys <= attacker.known, name


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_record_of_the_encoding_of_a_factory_blank_gives_every_key_of_that_badge(
    tmp_path: Path, product: str
) -> None:
    """And with the records of what was done with it later, those that it got then."""
    records = recorded(tmp_path, product, "factory")
    attacker = records["encode"].attacked()
    assert len(attacker.sessions) == attacker.attempts > 5
    assert len(records["encode"].keys) == 5  # transport, default, PICC, master, authenticate
    assert records["encode"].keys <= attacker.known
    other = recorded(tmp_path / "other", product, "factory")["tap"]
    assert not other.read_with(*attacker.known).sessions  # no other badge's
    learnt = attacker.known
    for name in ("tap", "inspect", "rekey", "wipe"):
        attacker = records[name].read_with(*learnt)
        assert len(attacker.sessions) == attacker.attempts > 0 or name == "wipe", name
        learnt = attacker.known


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_record_of_a_preparation_gives_the_transport_key_and_with_it_the_encoding(
    tmp_path: Path, product: str
) -> None:
    """Why blanks are prepared in a trusted room."""
    records = recorded(tmp_path, product, "transport")
    attacker = records["prepare"].attacked()
    assert len(records["prepare"].keys) == 1
    assert records["prepare"].keys <= attacker.known
    assert records["encode"].keys <= records["encode"].read_with(*attacker.known).known


OPENERS: list[tuple[Callable[..., Session | None], list[str], str]] = [
    (
        open_aes,
        [
            "00" * 16,
            "C5537C8EFFFCC7E152C27831AFD383BA",
            "1EF512D957973AED7E6E13991EB0FB431B373EA23400A3AC0B7749CD6FB1C328",
            "FFC212245F03DB0EA0645A495190952A",
        ],
        "2347C1551EA0353A9D965CA7B52FCA84",
    ),
    (
        open_ev2,
        [
            "00" * 16,
            "24677DDBD46349E623798FD729006E79",
            "3B50445F21D21D77D500794DEB245E5A754F5F901844259F4C9B31A5C7335ACD",
            "04C6DBD67417ED0D31DDDE4D2E3FFAC2B4B074F638EEF7FFF9254963B65C7759",
        ],
        "63DC07286289A7A6C0334CA31C314A04",
    ),
    (
        open_iso,
        [
            "00" * 16,
            "5D994CE085F24089",
            "21D0AD5F2FD97454A746CC80567F1B1C",
            "913C6DED84221C41",
        ],
        "849B36C54FD1B759",
    ),
]


@pytest.mark.parametrize(("opener", "values", "session_key"), OPENERS)
def test_the_attacker_opens_published_exchanges(
    opener: Callable[..., Session | None], values: list[str], session_key: str
) -> None:
    """AN0945 table 22, AN12343 table 16; a real EV1 (Elmü's traces)."""
    key, challenge, token, proof = map(bytes.fromhex, values)
    session = opener(key, challenge, token, proof)
    assert session is not None
    assert session.key.hex().upper() == session_key
    assert opener(b"\x02" * 16, challenge, token, proof) is None
