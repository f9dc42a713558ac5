"""A PKCS #11 module in this process: loaded once, and called by one thread at a time.

C_Initialize is the process's, not a caller's, and python-pkcs11 initialises without locks
(PKCS #11 v2.40, 5.4): two threads inside a module at once crash the process, also with sessions of
their own. So whoever opens a token takes its turn at the one lock of its module. A lock and not a
thread: handing each MAC to another thread costs more than the MAC.
"""

import threading
import time
from pathlib import Path

import pkcs11
from pkcs11._pkcs11 import lib as Library  # noqa: N812 - a class, for its type

from cardd.errors import KmsUnavailable, StartCode, StartError

CALL_LIMIT_S = 2.0

_guard = threading.Lock()
_modules: dict[Path, "Module"] = {}  # as many as the process has: see above


class Module:
    """A module, shared by all in this process who use it.

    `epoch` counts its initialisations: a session of an older one is gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epoch = 0
        self.users = 0
        self._turn = threading.Lock()
        self._taken_at = 0.0
        self._library: Library | None = None

    def take_turn(self) -> None:
        """Wait until nobody is inside; raise KmsUnavailable where a call does not return."""
        if not self._turn.acquire(blocking=False):
            left_s = self._taken_at + CALL_LIMIT_S - time.monotonic()
            if left_s <= 0 or not self._turn.acquire(timeout=left_s):
                raise KmsUnavailable(f"the module {self.path} does not return from a call")
        self._taken_at = time.monotonic()

    def end_turn(self) -> None:
        """Let the next one in."""
        self._turn.release()

    def library(self) -> Library:
        """Return the loaded and initialised module; its own errors, and StartError. In turn."""
        if not self.path.is_file():
            raise StartError(
                StartCode.MASTERS_NOT_FOUND,
                f"there is no PKCS #11 module at {self.path}; correct module-path in kms.masters",
            )
        self._library = pkcs11.lib(str(self.path))
        return self._library

    def enter(self) -> None:
        """Count one more user; for the first one, initialise the module. In turn."""
        self.users += 1
        if self.users == 1:
            self.begin_again()

    def begin_again(self) -> None:
        """Initialise anew: that alone makes a module see a token that came back. In turn."""
        self.epoch += 1
        library = self.library()
        library.finalize()
        library.initialize()

    def leave(self) -> None:
        """Finalise the module when its last user leaves. In turn.

        Who leaves logs out, and that is of the process and not of a session: others log in again.
        """
        self.users -= 1
        self.epoch += 1
        if not self.users and self._library is not None:
            self._library.finalize()


def module_at(path: Path) -> Module:
    """Return this process's one `Module` of a path."""
    with _guard:
        return _modules.setdefault(path.resolve(), Module(path))
