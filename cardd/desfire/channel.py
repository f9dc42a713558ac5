"""A channel to a DESFire: what is selected, who is authenticated, and how one command travels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cardd.desfire.applications import PICC_AID, encode_aid
from cardd.desfire.authentication import Handshake
from cardd.desfire.command import Command, Ins
from cardd.desfire.framing import FRAME_BYTES, parse_frame, send, transceive, wrap
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
    and an exchange given up half-way end it.
    """

    def __init__(self, *, frame_bytes: int = FRAME_BYTES) -> None:
        self.selected: int | None = PICC_AID
        self.session: Session | None = None
        self._frame_bytes = frame_bytes

    def perform(self, command: Command) -> Exchange[bytes]:
        """Send a command under the session, if any, and return its checked data.

        Raises CardStatusError for an error status, CardProtocolError for a malformed answer or one
        whose protection is wrong, RuntimeError for a FULL command without a session.
        """
        session, self.session = self.session, None
        messaging = session.messaging if session else PlainMessaging()
        answer = yield from transceive(
            command.ins,
            messaging.protect(command),
            answer_limit=command.answer_bytes[1] + OVERHEAD_BYTES,
            frame_bytes=self._frame_bytes,
        )
        data = answer if command.ends_session else messaging.unprotect(command, answer)
        least, most = command.answer_bytes
        if not least <= len(data) <= most:
            raise CardProtocolError(
                f"the answer to {command.name} carries {len(data)} bytes, "
                f"expected {least} to {most}"
            )
        # The session is back only now: whatever went wrong above has ended it.
        self.session = None if command.ends_session else session
        return data

    def ask(self, command: Command, read: Callable[[bytes], Result]) -> Exchange[Result]:
        """Perform a command and read its data, which ends the session where it is malformed.

        `read` raises CardProtocolError for data that means nothing; the rest as `perform`.
        """
        data = yield from self.perform(command)
        session, self.session = self.session, None
        result = read(data)
        self.session = session
        return result

    def select(self, aid: int) -> Exchange[None]:
        """Select an application, which ends the session."""
        (answer,) = yield from send(self._begin_selection(aid))
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

    def _begin_selection(self, aid: int) -> bytes:
        apdu = wrap(Ins.SELECT_APPLICATION, encode_aid(aid))
        self.session, self.selected = None, None
        return apdu

    def _end_selection(self, aid: int, answer: bytes) -> None:
        frame = parse_frame(Ins.SELECT_APPLICATION.name, answer)
        if frame.more or frame.data:
            raise CardProtocolError("the card answered SELECT_APPLICATION with data")
        self.selected = aid

    def _finish_authentication(self, handshake: Handshake, answer: bytes) -> Exchange[None]:
        name = handshake.ins.name
        challenge = parse_frame(name, answer)
        if not challenge.more:
            raise CardProtocolError(f"the card answered {name} without a challenge")
        response = handshake.respond(challenge.data)
        (answer,) = yield from send(wrap(Ins.ADDITIONAL_FRAME, response))
        proof = parse_frame(name, answer)
        if proof.more:
            raise CardProtocolError(f"the card does not end {name}")
        self.session = Session(handshake.key_number, handshake.finish(proof.data))
