"""The addresses of a host, looked up within a time limit: resolving has none of its own."""

import socket
import threading
from typing import Any

LOOK_UP_S = 1.0

Address = tuple[socket.AddressFamily, Any]
"""A family, and what `socket.connect` takes in it."""


class Addresses:
    """Looks one host up, in a thread that may take its time. Thread-safe.

    Where it takes too long or fails, what was found last still serves.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._found: tuple[Address, ...] = ()
        self._looking: threading.Event | None = None
        self._failure: OSError | None = None

    def find(self) -> tuple[Address, ...]:
        """Return the addresses, the preferred one first; raise OSError where none was found."""
        with self._lock:
            done = self._looking
            if done is None:
                done = self._looking = threading.Event()
                name = f"look up {self._host}"
                threading.Thread(target=self._look, args=(done,), name=name, daemon=True).start()
        in_time = done.wait(LOOK_UP_S)
        with self._lock:
            if self._found:
                return self._found
            if in_time and self._failure is not None:
                raise self._failure
        raise TimeoutError(f"the name {self._host} was not resolved within {LOOK_UP_S:.0f} s")

    def _look(self, done: threading.Event) -> None:
        found: tuple[Address, ...] = ()
        failure = None
        try:
            answers = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            found = tuple((family, address) for family, _, _, _, address in answers)
        except OSError as error:
            failure = error
        except UnicodeError:  # a label that is no label
            failure = OSError(f"{self._host} is no host name")
        with self._lock:
            self._found = found or self._found
            self._failure = failure
            self._looking = None
        done.set()
