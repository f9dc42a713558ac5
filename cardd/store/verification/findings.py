"""What a verification of the registry can find."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What is wrong with a row; stable names, for scripts."""

    ALTERED = "altered"
    HOLDER_SWAPPED = "holder-swapped"
    STATE_CHANGED = "state-changed"
    REVOCATION_UNDONE = "revocation-undone"
    VERSION_CHANGED = "version-changed"
    COPIED = "copied"
    OLD_ROW = "old-row"
    MISSING = "missing"
    REFERENCE = "reference"
    DUPLICATE = "duplicate"
    INDEX = "index"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of one row. `text` says what was done and what to do; it names no person."""

    fault: Fault
    table: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.fault} {self.table} {self.key}: {self.text}"


def shown(key: object) -> str:
    """Return a key as a message has it."""
    if isinstance(key, tuple):
        return "/".join(map(shown, key))
    return key.hex() if isinstance(key, bytes) else ascii(key).strip("'")
