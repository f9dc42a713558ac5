"""Secure messaging: what protects a command and checks its answer. One interface, no products."""

from typing import Protocol

from cardd.desfire.command import Command

MAC_BYTES = 8

OVERHEAD_BYTES = 24
"""The most that any mechanism adds to an answer's data: 16 of padding and 8 of MAC."""


class SecureMessaging(Protocol):
    """A session's secure messaging. `protect` and `unprotect` alternate, one pair per command."""

    def protect(self, command: Command) -> bytes:
        """Return what follows the instruction code on the wire, before chaining."""

    def unprotect(self, command: Command, answer: bytes) -> bytes:
        """Return the data of a successful answer, all its frames in one.

        Raises CardProtocolError where its length, MAC, CRC or padding is wrong.
        """
