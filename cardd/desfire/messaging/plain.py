"""No session: nothing is protected."""

from cardd.desfire.command import Command, CommunicationMode


class PlainMessaging:
    """The messaging of a card that nobody has authenticated to."""

    __slots__ = ()

    def protect(self, command: Command) -> bytes:
        """Return the command's bytes; RuntimeError for what only a session can protect."""
        if command.mode not in {None, CommunicationMode.PLAIN}:
            raise RuntimeError(f"{command.name} needs an authenticated session")
        return command.header + command.data

    def unprotect(self, command: Command, answer: bytes) -> bytes:  # noqa: ARG002 - the interface
        """Return the answer as it is."""
        return answer
