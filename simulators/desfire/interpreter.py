"""The command interpreter: frames in, frames out, one command or handshake at a time."""

from collections.abc import Callable
from dataclasses import dataclass

from simulators.desfire.activation import Activation
from simulators.desfire.authentication import (
    Ev1Handshake,
    Ev2Handshake,
    Handshake,
    LegacyHandshake,
    require_type,
)
from simulators.desfire.commands import (
    applications,
    configuration,
    creation,
    data,
    files,
    keys,
    picc,
    records,
    transactions,
    values,
)
from simulators.desfire.commands.table import Command, Table
from simulators.desfire.crypto import KeyType
from simulators.desfire.framing import CONTINUE, LONG_FRAME_BYTES, cut
from simulators.desfire.keys import Key
from simulators.desfire.messaging import Ev2Session, Protection
from simulators.desfire.status import Refusal, Status

COMMANDS: Table = {
    **picc.COMMANDS,
    **configuration.COMMANDS,
    **applications.COMMANDS,
    **keys.COMMANDS,
    **files.COMMANDS,
    **creation.COMMANDS,
    **data.COMMANDS,
    **values.COMMANDS,
    **records.COMMANDS,
    **transactions.COMMANDS,
}

PCD_CAPABILITY_BYTES = 6

# What ends a D40 session too.
BROKEN = frozenset({Status.INTEGRITY})

Answer = tuple[bytes, Status]


@dataclass(slots=True)
class _Gathering:
    """A command of which the reader has not sent everything yet."""

    ins: int
    command: Command
    protection: Protection
    expected: int
    parameters: bytes


@dataclass(frozen=True, slots=True)
class _Sending:
    """An answer of which the reader has not fetched everything yet."""

    frames: list[bytes]
    success: Status


class Interpreter:
    """Runs commands on one activation. It keeps what an AF frame continues."""

    def __init__(self, activation: Activation) -> None:
        self.activation = activation
        self._pending: Handshake | _Gathering | _Sending | None = None

    def run(self, ins: int, data: bytes) -> Answer:
        """Answer one frame. An error status ends whatever was under way, an open transaction too.

        It ends the session too, unless that is a D40 session and the error not about its
        cryptography.
        """
        try:
            return self._continue(data) if ins == CONTINUE else self._start(ins, data)
        except Refusal as refusal:
            self._pending, self.activation.transaction = None, {}
            if refusal.status in BROKEN or not self.activation.messaging.survives_errors:
                self.activation.session = None
            return b"", refusal.status

    @property
    def waiting(self) -> bool:
        """Whether a frame of the reader's is missing, or one of the card's not fetched."""
        return self._pending is not None

    def forget(self) -> None:
        """End the session, the open transaction and whatever is under way."""
        self._pending, self.activation.transaction = None, {}
        self.activation.session = None

    def _start(self, ins: int, data: bytes) -> Answer:
        if self._pending is not None:
            raise Refusal(Status.ABORTED)
        begin = _AUTHENTICATIONS.get(ins)
        if begin is not None:
            handshake = begin(self.activation, data)
            self._pending = handshake
            return handshake.challenge, Status.MORE
        command = COMMANDS.get(ins)
        if command is None or self.activation.chip.product not in command.products:
            raise Refusal(Status.ILLEGAL_COMMAND)
        protection = command.plan(self.activation, data)
        expected = self.activation.messaging.request_bytes(protection)
        if expected is None:
            expected = len(data)
        return self._gather(_Gathering(ins, command, protection, expected, b""), data)

    def _continue(self, data: bytes) -> Answer:
        pending, self._pending = self._pending, None
        if pending is None:
            raise Refusal(Status.ILLEGAL_COMMAND)
        if isinstance(pending, _Gathering):
            if not data:
                raise Refusal(Status.LENGTH)
            return self._gather(pending, data)
        if isinstance(pending, _Sending):
            if data:
                raise Refusal(Status.LENGTH)
            return self._send(pending)
        answer, self.activation.session = pending.finish(data)
        return answer, Status.OK

    def _gather(self, gathering: _Gathering, data: bytes) -> Answer:
        long = gathering.command.long_frames
        limit = LONG_FRAME_BYTES if long else self.activation.request_frame_bytes
        gathering.parameters += data
        missing = gathering.expected - len(gathering.parameters)
        if len(data) > limit or missing < 0 or (missing and not gathering.protection.carries_data):
            raise Refusal(Status.LENGTH)
        if missing:
            self._pending = gathering
            return b"", Status.MORE
        return self._execute(gathering)

    def _execute(self, gathering: _Gathering) -> Answer:
        command, protection = gathering.command, gathering.protection
        session = self.activation.session
        messaging = self.activation.messaging
        bare = messaging.open(gathering.ins, gathering.parameters, protection)
        answer = command.handler(self.activation, bare)
        # A command that ended the session (a change of its own key, a selection) answers bare.
        if self.activation.session is session or command.sealed_end:
            answer = messaging.seal(answer, protection)
        short = command.first_frames(self.activation)
        size = LONG_FRAME_BYTES if command.long_frames else self.activation.answer_frame_bytes
        return self._send(_Sending(cut(answer, short, size), protection.success))

    def _send(self, sending: _Sending) -> Answer:
        if len(sending.frames) == 1:
            return sending.frames[0], sending.success
        self._pending = _Sending(sending.frames[1:], sending.success)
        return sending.frames[0], Status.MORE


def _begin_legacy(activation: Activation, data: bytes) -> LegacyHandshake:
    key = _key_to_authenticate(activation, data)
    require_type(key, KeyType.DES)
    return LegacyHandshake(data[0], key, activation.rng(key.type.nonce_bytes))


def _key_to_authenticate(activation: Activation, data: bytes) -> Key:
    """End the session, whatever comes of the new one, and return the key that is asked for."""
    activation.session = None
    if len(data) != 1:
        raise Refusal(Status.LENGTH)
    return activation.key(data[0])


def _begin_ev1(*types: KeyType) -> Callable[[Activation, bytes], Ev1Handshake]:
    def begin(activation: Activation, data: bytes) -> Ev1Handshake:
        key = _key_to_authenticate(activation, data)
        require_type(key, *types)
        return Ev1Handshake(data[0], key, activation.rng(key.type.nonce_bytes))

    return begin


def _begin_ev2_first(activation: Activation, data: bytes) -> Ev2Handshake:
    _require_ev2(activation)
    activation.session, activation.transaction = None, {}
    if len(data) < 2 or len(data) != 2 + data[1] or data[1] > PCD_CAPABILITY_BYTES:
        raise Refusal(Status.LENGTH)
    key = activation.key(data[0])
    require_type(key, KeyType.AES)
    capabilities = data[2:].ljust(PCD_CAPABILITY_BYTES, b"\0")
    rnd_b, ti = activation.rng(16), activation.rng(4)
    return Ev2Handshake(data[0], key, rnd_b, ti, 0, capabilities)


def _begin_ev2_non_first(activation: Activation, data: bytes) -> Ev2Handshake:
    _require_ev2(activation)
    session = activation.session
    key = _key_to_authenticate(activation, data)
    if not isinstance(session, Ev2Session):
        raise Refusal(Status.AUTHENTICATION)
    require_type(key, KeyType.AES)
    return Ev2Handshake(data[0], key, activation.rng(16), session.ti, session.counter, None)


def _require_ev2(activation: Activation) -> None:
    if not activation.chip.product.evolved:
        raise Refusal(Status.ILLEGAL_COMMAND)


_AUTHENTICATIONS: dict[int, Callable[[Activation, bytes], Handshake]] = {
    0x0A: _begin_legacy,
    0x1A: _begin_ev1(KeyType.DES, KeyType.TRIPLE_DES),
    0x71: _begin_ev2_first,
    0x77: _begin_ev2_non_first,
    0xAA: _begin_ev1(KeyType.AES),
}
