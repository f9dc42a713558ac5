"""A card file: a virtual card that keeps its state between insertions.

The file is JSON: what it is, the card's content, and a checksum over the content, so that a
damaged file is told from a card. The content's "kind" says which card it is; without one it is a
DESFire. The file holds the keys and codes of the simulated chip in clear.
"""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from simulators.cps import Face, VirtualCps
from simulators.cps.chipdoc import VirtualCps4
from simulators.desfire import VirtualDesfire
from simulators.link import VirtualCard

FORMAT = "cardd-sim card 1"
MAX_FILE_BYTES = 1 << 20
OPEN_ATTEMPTS = 10


class CardFileError(Exception):
    """A card file cannot be used; the message says why and what to do."""


class StoredCard(VirtualCard, Protocol):
    """A card that can be kept in a file."""

    @property
    def chip(self) -> object:
        """What it keeps without power: another object once that has changed."""

    def to_json(self) -> dict[str, Any]:
        """Return the chip as JSON-ready values."""

    def describe(self) -> Iterator[str]:
        """Yield what is on the card, as lines for people."""


LOADERS: dict[str, Callable[[object], StoredCard]] = {
    "desfire": VirtualDesfire.from_json,
    VirtualCps.kind: VirtualCps.from_json,
    VirtualCps4.kind: VirtualCps4.from_json,
}


class CardFile:
    """An open card file: the card in it, and the way it is kept. Held by one insertion at a time.

    It is itself a card for `simulators.link.insert`: an answer leaves only after what the command
    changed is on the disk.
    """

    def __init__(self, path: Path, handle: BinaryIO, card: StoredCard) -> None:
        self.path = path
        self.card = card
        self._handle = handle
        self._saved = card.chip

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self.card.atr

    def turn(self, face: Face) -> None:
        """Show the reader a face; raise CardFileError where the card has one face alone."""
        if not isinstance(self.card, VirtualCps):
            raise CardFileError(f"{self.path} has no second face: leave --face out")
        self.card.turn(face)

    def meet_reader(self, frame_bytes: int) -> None:
        """Be read by one that takes frames of that size; raise CardFileError but for a DESFire."""
        if not isinstance(self.card, VirtualDesfire):
            raise CardFileError(f"{self.path} does not cut its answers: leave --reader-frame out")
        self.card.reader_frame_bytes = frame_bytes

    def power_on(self) -> None:
        """Get power from the reader."""
        self.card.power_on()

    def power_off(self) -> None:
        """Lose power."""
        self.card.power_off()

    def reset(self) -> None:
        """Be reset."""
        self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        """Answer a command; raise CardFileError where its effect could not be kept."""
        answer = self.card.transmit(command)
        if self.card.chip is not self._saved:
            self._save()
        return answer

    def _save(self) -> None:
        replacement = _replace(self.path, self.card)
        self._handle.close()
        self._handle = replacement
        self._saved = self.card.chip

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        self._handle.close()


def create(path: Path, card: StoredCard) -> None:
    """Write a new card file; raise CardFileError when there is one already."""
    if path.exists():
        raise CardFileError(f"{path} exists: name another file, or remove it first")
    _replace(path, card).close()


@contextmanager
def hold(path: Path) -> Iterator[CardFile]:
    """Open a card file for an insertion; raise CardFileError when it is damaged or inserted."""
    handle = _lock(path)
    try:
        file = CardFile(path, handle, _read(path, handle))
    except BaseException:
        handle.close()
        raise
    try:
        yield file
    finally:
        file.close()


def load(path: Path) -> StoredCard:
    """Return the card of a file without holding it; raise CardFileError."""
    with _open(path) as handle:
        return _read(path, handle)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise CardFileError(f"{path} does not exist: make a card with cardd-sim new") from None
    except OSError as error:
        raise CardFileError(f"{path} cannot be read: {error.strerror}") from error


def _lock(path: Path) -> BinaryIO:
    """Open and lock the file that the path names now; its inode changes with every save."""
    for _ in range(OPEN_ATTEMPTS):
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                return handle
        except (BlockingIOError, FileNotFoundError):
            handle.close()
            break
        handle.close()
    raise CardFileError(f"{path} is in a reader already: pull that card first")


def _read(path: Path, handle: BinaryIO) -> StoredCard:
    text = handle.read(MAX_FILE_BYTES + 1)
    try:
        if len(text) > MAX_FILE_BYTES:
            raise ValueError("it is too long")  # noqa: TRY301 - one place says what is damaged
        return _card(_content(json.loads(text)))
    except (ValueError, RecursionError) as error:
        raise CardFileError(
            f"{path} is damaged or no card file ({error}): restore it, or make a new card"
        ) from error


def _content(document: Any) -> Any:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f'its "format" is not "{FORMAT}"')
    content = document.get("card")
    if document.get("sha256") != _checksum(content):
        raise ValueError("its checksum is wrong")
    return content


def _card(content: Any) -> StoredCard:
    kind = content.get("kind", "desfire") if isinstance(content, dict) else "desfire"
    load_card = LOADERS.get(kind) if isinstance(kind, str) else None
    if load_card is None:
        raise ValueError(f'its "kind" is none of {", ".join(LOADERS)}')
    return load_card(content)


def _checksum(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _replace(path: Path, card: StoredCard) -> BinaryIO:
    """Write the card in one step and return the new file, locked; raise CardFileError.

    The new file is locked before it takes the name, so that no insertion can slip in between.
    """
    content = card.to_json()
    document = {"format": FORMAT, "sha256": _checksum(content), "card": content}
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise CardFileError(f"{path} cannot be written: {error.strerror}") from error
    handle = os.fdopen(descriptor, "w+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        handle.write(json.dumps(document, indent=1).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
        Path(temporary).replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            handle.close()
        Path(temporary).unlink(missing_ok=True)
        raise CardFileError(f"{path} cannot be written: {error.strerror}") from error
    return handle


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
