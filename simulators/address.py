"""Where a virtual reader listens: `tcp:HOST:PORT` or `unix:PATH`."""

import socket
from dataclasses import dataclass

DEFAULT_READER = "tcp:127.0.0.1:35963"


class AddressError(ValueError):
    """The text is no reader address."""


@dataclass(frozen=True, slots=True)
class ReaderAddress:
    """The address of a virtual reader, as people write it in `text`."""

    text: str
    family: socket.AddressFamily
    target: str | tuple[str, int]

    @classmethod
    def parse(cls, text: str) -> "ReaderAddress":
        """Read an address; raise AddressError that says what one looks like."""
        kind, _, rest = text.partition(":")
        if kind == "unix" and rest:
            return cls(text, socket.AF_UNIX, rest)
        host, _, port = rest.rpartition(":")
        if kind == "tcp" and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
            return cls(text, socket.AF_INET, (host, int(port)))
        raise AddressError(
            f"{text!r} is no reader address: write tcp:HOST:PORT or unix:PATH, "
            f"for example {DEFAULT_READER}"
        )
