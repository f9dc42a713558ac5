"""What a CPS3 keeps without power: files, codes with their counters, keys.

Every value is frozen: a command that changes the chip puts a new one in place in one assignment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from Crypto.PublicKey.RSA import RsaKey


class Face(StrEnum):
    """The interface a card is used through."""

    CONTACT = "contact"
    CONTACTLESS = "contactless"


@dataclass(frozen=True, slots=True)
class ElementaryFile:
    """A transparent file. `rules` gives each face its six security condition bytes.

    They are, in the order of access mode 7B: delete, terminate, activate, deactivate, update, read.
    """

    content: bytes
    rules: Mapping[Face, bytes]

    def update_rule(self, face: Face) -> int:
        """Return the condition of UPDATE BINARY on a face."""
        return self.rules[face][-2]

    def read_rule(self, face: Face) -> int:
        """Return the condition of READ BINARY on a face."""
        return self.rules[face][-1]


@dataclass(frozen=True, slots=True)
class Code:
    """A PIN or PUK (an SDO of class CHV). `uses_left` counts the PUK's whole life; None: no count.

    `rules` are its conditions in the order of access mode F3: change, verify, reset, put, get.
    """

    value: bytes = field(repr=False)
    tries: int
    tries_left: int
    rules: bytes
    uses_left: int | None = None

    @property
    def blocked(self) -> bool:
        """Whether no try, or no use, is left."""
        return not self.tries_left or self.uses_left == 0


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """An RSA key (an SDO of class 10) of one folder.

    `rules` gives each face its conditions in the order of access mode 7B: compute signature,
    internal authenticate, decipher, generate, put, get.
    """

    key: RsaKey = field(repr=False)
    rules: Mapping[Face, bytes]

    @property
    def size_bytes(self) -> int:
        """The length of the modulus, and so of every signature."""
        return self.key.size_in_bytes()


@dataclass(frozen=True, slots=True)
class Chip:
    """The whole chip. Files and keys are named by their folder's path and FID or reference."""

    number: str
    files: Mapping[bytes, ElementaryFile]
    codes: Mapping[int, Code]
    keys: Mapping[tuple[bytes, int], PrivateKey]

    def with_code(self, reference: int, code: Code) -> "Chip":
        """Return the chip with a code replaced."""
        return replace(self, codes={**self.codes, reference: code})

    def with_content(self, path: bytes, content: bytes) -> "Chip":
        """Return the chip with another content in a file."""
        file = replace(self.files[path], content=content)
        return replace(self, files={**self.files, path: file})
