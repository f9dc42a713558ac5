"""Sessions of every mechanism between the driver and a virtual card, and a wire that can lie."""

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cardd.desfire.applications import ApplicationSettings, KeySettings
from cardd.desfire.authentication import AuthenticationScheme, handshake
from cardd.desfire.card import DesfireCard
from cardd.desfire.command import CommunicationMode
from cardd.desfire.file_settings import (
    AccessRights,
    DataFileSettings,
    FileSettings,
    RecordFileSettings,
    ValueFileSettings,
)
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import CardProtocolError, CardStatusError
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret
from simulators.desfire.chip import Chip
from simulators.desfire.picc import VirtualDesfire
from tests.desfire.recorded_card import play

AID = 0xF51234
USER, OTHER = 1, 2
PLAIN, MAC, FULL = CommunicationMode.PLAIN, CommunicationMode.MAC, CommunicationMode.FULL
MODES = {1: PLAIN, 2: MAC, 3: FULL}
FILE_BYTES = 70
BACKUP, VALUE, RECORDS = 4, 5, 6
RIGHTS = AccessRights(read=USER, write=USER, read_write=USER, change=0)
FILES: dict[int, FileSettings] = {
    **{number: DataFileSettings(mode, RIGHTS, FILE_BYTES) for number, mode in MODES.items()},
    BACKUP: DataFileSettings(FULL, RIGHTS, 8, backup=True),
    VALUE: ValueFileSettings(FULL, RIGHTS, -100, 100, 50, limited_credit=True),
    RECORDS: RecordFileSettings(MAC, RIGHTS, 8, 4),
}

REFUSALS = (CardStatusError, CardProtocolError)
Run = Callable[[DesfireCard], Exchange[Any]]


class Numbers:
    """Gives random bytes that are the same for the same seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._given = 0

    def __call__(self, size: int) -> bytes:
        self._given += 1
        return hashlib.shake_128(f"{self._seed} {self._given}".encode()).digest(size)


@dataclass(frozen=True)
class Mechanism:
    """An authentication with a type of key, and the product that speaks it."""

    name: str
    product: str
    scheme: AuthenticationScheme
    key_type: KeyType
    des: bool = False

    def key(self, number: int) -> DesfireKey:
        value = Numbers(f"{self.name} key {number}")(self.key_type.key_bytes)
        return DesfireKey(self.key_type, Secret(value[:8] * 2 if self.des else value), number)

    def authenticate(self, number: int, key: DesfireKey, seed: str) -> Run:
        rnd_a = Numbers(f"reader {seed}")(self.key_type.challenge_bytes)
        return lambda card: card.authenticate(handshake(self.scheme, number, key, rnd_a=rnd_a))


MECHANISMS = {
    each.name: each
    for each in (
        Mechanism("D40 DES", "ev1", AuthenticationScheme.LEGACY, KeyType.TDEA2, des=True),
        Mechanism("D40 2TDEA", "ev2", AuthenticationScheme.LEGACY, KeyType.TDEA2),
        Mechanism("EV1 2TDEA", "ev1", AuthenticationScheme.ISO, KeyType.TDEA2),
        Mechanism("EV1 3TDEA", "ev1", AuthenticationScheme.ISO, KeyType.TDEA3),
        Mechanism("EV1 AES", "ev2", AuthenticationScheme.AES, KeyType.AES),
        Mechanism("EV2", "ev2", AuthenticationScheme.EV2_FIRST, KeyType.AES),
    )
}


def content(number: int) -> bytes:
    return Numbers(f"file {number}")(FILE_BYTES)


@cache
def personalised(mechanism: Mechanism) -> Chip:
    """Return a chip with an application of three keys and a file of each mode and type."""
    virtual = VirtualDesfire.factory(mechanism.product, rng=Numbers("factory"))
    card = DesfireCard()
    zero = DesfireKey.zero(mechanism.key_type)
    settings = ApplicationSettings(KeySettings(free_directory=True), 3, mechanism.key_type)
    steps: list[Run] = [
        lambda card: card.create_application(AID, settings),
        lambda card: card.select_application(AID),
        mechanism.authenticate(0, zero, "personalise"),
        lambda card: card.change_key(USER, mechanism.key(USER), old_key=zero),
        lambda card: card.change_key(OTHER, mechanism.key(OTHER), old_key=zero),
        *(
            lambda card, number=number, settings=settings: card.create_file(number, settings)
            for number, settings in FILES.items()
        ),
        lambda card: card.change_key(0, mechanism.key(0)),
        mechanism.authenticate(USER, mechanism.key(USER), "write"),
        *(
            lambda card, number=number, mode=mode: card.write_data(number, 0, content(number), mode)
            for number, mode in MODES.items()
        ),
    ]
    for step in steps:
        play(step(card), virtual.transmit)
    return virtual.chip


@dataclass(frozen=True)
class Step:
    """One call of the driver in a session."""

    name: str
    run: Run


def session_of(mechanism: Mechanism, seed: str) -> list[Step]:
    """Return a session that uses every form of protection, longer and shorter than a frame."""
    user, master = mechanism.key(USER), mechanism.key(0)
    renewed = DesfireKey(mechanism.key_type, mechanism.key(9).value, 7)
    steps = [
        Step("select", lambda card: card.select_application(AID)),
        Step("authenticate", mechanism.authenticate(USER, user, seed)),
        Step("key version", lambda card: card.get_key_version(0)),
        Step("key settings", lambda card: card.get_key_settings()),
        Step("file ids", lambda card: card.get_file_ids()),
        Step("file settings", lambda card: card.get_file_settings(3)),
        Step("read plain", lambda card: card.read_data(1, 2, 5, PLAIN)),
        Step("read MAC", lambda card: card.read_data(2, 2, 5, MAC)),
        Step("read full", lambda card: card.read_data(3, 2, 5, FULL)),
        Step("read full, two frames", lambda card: card.read_data(3, 0, FILE_BYTES, FULL)),
        Step("write plain", lambda card: card.write_data(1, 0, b"plain", PLAIN)),
        Step("write MAC", lambda card: card.write_data(2, 0, bytes(60), MAC)),
        Step("write full", lambda card: card.write_data(3, 0, b"full", FULL)),
        Step("read MAC again", lambda card: card.read_data(2, 2, 5, MAC)),
        Step("get value", lambda card: card.get_value(VALUE, FULL)),
        Step("credit", lambda card: card.credit(VALUE, 7, FULL)),
        Step("debit", lambda card: card.debit(VALUE, 1, FULL)),
        Step("write backup", lambda card: card.write_data(BACKUP, 0, b"backup", FULL)),
        Step("write record", lambda card: card.write_record(RECORDS, 0, b"a record", MAC)),
        Step("commit", lambda card: card.commit_transaction()),
        Step("read records", lambda card: card.read_records(RECORDS, 0, 1, 8, MAC)),
        Step("authenticate as master", mechanism.authenticate(0, master, f"{seed} again")),
        Step(
            "change another key",
            lambda card: card.change_key(OTHER, renewed, old_key=mechanism.key(OTHER)),
        ),
        Step("change settings", lambda card: card.change_key_settings(KeySettings.parse(0x0F))),
        Step("change own key", lambda card: card.change_key(0, renewed)),
    ]
    if mechanism.scheme is not AuthenticationScheme.LEGACY:
        steps.insert(3, Step("card UID", lambda card: card.get_card_uid()))
    return steps


@dataclass(frozen=True)
class Moment:
    """Driver and card between two steps."""

    card: DesfireCard
    virtual: VirtualDesfire

    @property
    def stored(self) -> tuple[Chip, dict[int, Any]]:
        """What the card holds: for good, and until its transaction ends."""
        activation = self.virtual._activation
        return activation.chip, dict(activation.transaction)

    def copy(self) -> "Moment":
        # The chip is a value that commands replace: both copies begin with the same one.
        memo = {id(self.virtual.chip): self.virtual.chip}
        return Moment(copy.deepcopy(self.card), copy.deepcopy(self.virtual, memo))


def begin(mechanism: Mechanism, seed: str) -> Moment:
    return Moment(DesfireCard(), VirtualDesfire(personalised(mechanism), Numbers(f"card {seed}")))


@dataclass(frozen=True)
class Done:
    """One step as it goes without an attacker: before it, its frames, and what came of it."""

    step: Step
    before: Moment
    frames: tuple[tuple[bytes, bytes], ...]
    result: Any
    stored_after: tuple[Chip, dict[int, Any]]


@cache
def honest(mechanism: Mechanism, seed: str = "one") -> tuple[Done, ...]:
    """Return a session without an attacker."""
    moment, done = begin(mechanism, seed), []
    for step in session_of(mechanism, seed):
        moment.virtual.commands.clear()
        before, wire = moment.copy(), Wire(moment.virtual)
        result = play(step.run(moment.card), wire.transmit)
        done.append(Done(step, before, tuple(wire.frames), result, moment.stored))
    return tuple(done)


Attack = Callable[["Wire", int, bytes], bytes | None]
"""Gets wire, number of the frame and command; returns the answer, None to pass the command on."""


@dataclass
class Wire:
    """Carries frames between driver and card, and lets the attacker have each first."""

    virtual: VirtualDesfire
    attack: Attack | None = None
    frames: list[tuple[bytes, bytes]] = field(default_factory=list)

    def transmit(self, command: bytes) -> bytes:
        answer = self.attack(self, len(self.frames), command) if self.attack else None
        if answer is None:
            answer = self.virtual.transmit(command)
        self.frames.append((command, answer))
        return answer


def attacked(done: Done, attack: Attack) -> tuple[str, Any, Moment]:
    """Run one step again under attack: "refused" with the error or "accepted" with the result."""
    moment = done.before.copy()
    wire = Wire(moment.virtual, attack)
    try:
        result = play(done.step.run(moment.card), wire.transmit)
    except REFUSALS as error:
        assert moment.card.session is None, "the session outlived an error"
        return "refused", error, moment
    return "accepted", result, moment


def bit_flips(answer: bytes) -> Iterator[bytes]:
    number = int.from_bytes(answer)
    for bit in range(8 * len(answer)):
        yield (number ^ 1 << bit).to_bytes(len(answer))


def truncations(answer: bytes) -> Iterator[bytes]:
    """Yield the answer cut, with and without its status."""
    yield from (answer[:length] for length in range(len(answer)))
    yield from (answer[:length] + answer[-2:] for length in range(len(answer) - 2))


def extensions(answer: bytes) -> Iterator[bytes]:
    for length in (1, 4, 8, 16, 32, 256 - len(answer)):
        for byte in (b"\x00", b"\x80", answer[:1]):
            yield answer[:-2] + byte * length + answer[-2:]
            yield byte * length + answer


def instead(frame: int, answer: bytes) -> Attack:
    """Return the attack that passes the command on, and gives the driver another answer."""

    def attack(wire: Wire, number: int, command: bytes) -> bytes | None:
        if number != frame:
            return None
        wire.virtual.transmit(command)
        return answer

    return attack


def swallow(frame: int, answer: bytes) -> Attack:
    """Return the attack that keeps a command from the card, and answers in its place."""
    return lambda _wire, number, _command: answer if number == frame else None


def altered(frame: int, command: bytes) -> Attack:
    """Return the attack that gives the card another command."""
    return lambda wire, number, _: wire.virtual.transmit(command) if number == frame else None


def twice(frame: int) -> Attack:
    """Return the attack that gives the card a command twice, and the driver the second answer."""

    def attack(wire: Wire, number: int, command: bytes) -> bytes | None:
        if number == frame:
            wire.virtual.transmit(command)
        return None

    return attack
