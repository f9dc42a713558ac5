"""A channel to a DESFire: what is selected, who is authenticated, and how one command travels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cardd.desfire.applications import PICC_AID, encode_aid
from cardd.desfire.authentication import Handshake
from cardd.desfire.command import Command, Ins
from cardd.desfire.framing import (
    FRAME_BYTES,
    MOST_FRAME_BYTES,
    parse_frame,
    send,
    transceive,
    wrap,
)
from cardd.desfire.messaging import OVERHEAD_BYTES, SecureMessaging
from cardd.desfire.messaging.plain import PlainMessaging
from cardd.errors import CardProtocolError
from cardd.iso7816.exchange import Exchange

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Session:
    """An authentication that holds: with which key, and the secure messaging it gave."""

    key_number: int
    messaging: SecureMessaging


class Channel:
    """The state of one card in the field.

    `selected` is the AID selected, None where a failed selection left it unknown. `session` is
    None where nobody is authenticated: an error status, an answer that secure messaging refuses,
    and an exchange given up half-way end it. `frame_bytes` is what one command frame carries;
    `Version.frame_bytes` tells what a product takes.
    """

    def __init__(self, *, frame_bytes: int = FRAME_BYTES) -> None:
        self.selected: int | None = PICC_AID
        self.session: Session | None = None
        self.frame_bytes = frame_bytes

    @property
    def frame_bytes(self) -> int:
        """Return what one command frame carries."""
        return self._frame_bytes

    @frame_bytes.setter
    def frame_bytes(self, count: int) -> None:
        if not 1 <= count <= MOST_FRAME_BYTES:
            raise ValueError(f"a frame carries 1 to {MOST_FRAME_BYTES} bytes")
        self._frame_bytes = count

    def perform(self, command: Command) -> Exchange[bytes]:
        """Send a command under the session, if any, and return its checked data.

        Errors as `perform_by_frames`.
        """
        return b"".join((yield from self.perform_by_frames(command)))

    def perform_by_frames(self, command: Command) -> Exchange[tuple[bytes, ...]]:
        """As `perform`; return the data as the card cut it into frames.

        Raises CardStatusError for an error status, CardProtocolError for a malformed answer or one
        whose protection is wrong, RuntimeError for a FULL command without a session.
        """
        session, self.session = self.session, None
        messaging = session.messaging if session else PlainMessaging()
        frames = yield from transceive(
            command.ins,
            messaging.protect(command),
            answer_limit=command.answer_bytes[1] + OVERHEAD_BYTES,
            frame_bytes=self._frame_bytes,
        )
        answer = b"".join(frames)
        data = answer if command.ends_session else messaging.unprotect(command, answer)
        least, most = command.answer_bytes
        if not least <= len(data) <= most:
            raise CardProtocolError(
                f"the answer to {command.name} carries {len(data)} bytes, "
                f"expected {least} to {most}"
            )
        # The session is back only now: whatever went wrong above has ended it.
        self.session = None if command.ends_session else session
        return _cut(data, frames)

    def ask(self, command: Command, read: Callable[[bytes], Result]) -> Exchange[Result]:
        """Perform a command and read its data, which ends the session where it is malformed.

        `read` raises CardProtocolError for data that means nothing; the rest as `perform`.
        """
        return self.ask_by_frames(command, lambda frames: read(b"".join(frames)))

    def ask_by_frames(
        self, command: Command, read: Callable[[tuple[bytes, ...]], Result]
    ) -> Exchange[Result]:
        """As `ask`, for data of which it matters how the card cut it into frames."""
        frames = yield from self.perform_by_frames(command)
        session, self.session = self.session, None
        result = read(frames)
        self.session = session
        return result

    def select(self, aid: int, second_aid: int | None = None) -> Exchange[None]:
        """Select an application, or two at once, which ends the session."""
        (answer,) = yield from send(self._begin_selection(aid, second_aid))
        self._end_selection(aid, answer)

    def authenticate(self, handshake: Handshake) -> Exchange[None]:
        """Open a session by a handshake. RuntimeError after a failed selection."""
        if self.selected is None:
            raise RuntimeError("the last selection failed; select an application first")
        self.session = None
        (challenge,) = yield from send(wrap(handshake.ins, handshake.first()))
        yield from self._finish_authentication(handshake, challenge)

    def select_then_authenticate(self, aid: int, handshake: Handshake) -> Exchange[None]:
        """Do both, the selection and the first frame of the authentication in one step."""
        selection = self._begin_selection(aid)
        selected, challenge = yield from send(selection, wrap(handshake.ins, handshake.first()))
        self._end_selection(aid, selected)
        yield from self._finish_authentication(handshake, challenge)

    def current_session(self) -> Session:
        """Return the session; RuntimeError where there is none."""
        if self.session is None:
            raise RuntimeError("this needs an authenticated session")
        return self.session

    def _begin_selection(self, aid: int, second_aid: int | None = None) -> bytes:
        second = b"" if second_aid is None else encode_aid(second_aid)
        apdu = wrap(Ins.SELECT_APPLICATION, encode_aid(aid) + second)
        self.session, self.selected = None, None
        return apdu

    def _end_selection(self, aid: int, answer: bytes) -> None:
        frame = parse_frame(Ins.SELECT_APPLICATION, answer)
        if frame.more or frame.data:
            raise CardProtocolError("the card answered SELECT_APPLICATION with data")
        self.selected = aid

    def _finish_authentication(self, handshake: Handshake, answer: bytes) -> Exchange[None]:
        name = handshake.ins.name
        challenge = parse_frame(handshake.ins, answer)
        if not challenge.more:
            raise CardProtocolError(f"the card answered {name} without a challenge")
        response = handshake.respond(challenge.data)
        (answer,) = yield from send(wrap(Ins.ADDITIONAL_FRAME, response))
        proof = parse_frame(handshake.ins, answer)
        if proof.more:
            raise CardProtocolError(f"the card does not end {name}")
        self.session = Session(handshake.key_number, handshake.finish(proof.data))


def _cut(data: bytes, frames: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Cut data where its frames were cut. Protection is at the end: the last ones are shorter."""
    pieces = []
    for frame in frames:
        pieces.append(data[: len(frame)])
        data = data[len(frame) :]
    return tuple(pieces)
