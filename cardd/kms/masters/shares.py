"""Recovery shares: a secret of which any `threshold` of several papers give all, and fewer nothing.

Shamir's scheme over 16 bytes. On paper a share is 8 groups of 6 characters of Crockford's base 32:
in each group 5 carry data and the last is a check over GF(32), which finds a wrong character, two
that changed places, and a group in the place of another. So a typing error is found, and in which
group it is. The 25 bytes of data are version and number of the share, the group of shares that it
belongs to, its value, and 3 bytes of a SHA-256 over all that.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from Crypto.Protocol.SecretSharing import Shamir

from cardd.errors import CeremonyCode, CeremonyError
from cardd.secret import Secret

SECRET_BYTES = 16
MINIMUM_THRESHOLD = 2
MAXIMUM_SHARES = 15
GROUPS = 8
GROUP_CHARACTERS = 6
SET_ID_BYTES = 4

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIASES = str.maketrans("OIL", "011", "- .")
_VERSION = 1
_DATA_PER_GROUP = GROUP_CHARACTERS - 1
_DATA_BYTES = 25
_CHECKSUM_BYTES = 3
_GF32 = 0b100101  # x^5 + x^2 + 1, of which x is a primitive element


@dataclass(frozen=True, slots=True)
class Share:
    """One custodian's share. `set_id` is that of the shares that were made with it."""

    set_id: str
    index: int
    threshold: int
    value: Secret

    def __str__(self) -> str:
        return f"share {self.index} of the set {self.set_id}"

    @property
    def fingerprint(self) -> bytes:
        """What tells this share from a forged one and says nothing of its value, 16 bytes."""
        said = bytes((self.threshold, self.index)) + bytes.fromhex(self.set_id)
        digest = hashlib.sha256(b"cardd recovery share v1\0" + said + self.value.reveal())
        return digest.digest()[:16]


def split(secret: Secret, threshold: int, count: int) -> tuple[Share, ...]:
    """Share a secret of 16 bytes out to `count` people, any `threshold` of whom give it back.

    Raises ValueError for numbers that make no sense: 2 <= threshold <= count <= 15.
    """
    if not MINIMUM_THRESHOLD <= threshold <= count <= MAXIMUM_SHARES:
        raise ValueError(
            f"{threshold} of {count} shares: 2 to {MAXIMUM_SHARES} are made, and at least 2 and at "
            "most all of them are needed together"
        )
    set_id = os.urandom(SET_ID_BYTES).hex()
    made = Shamir.split(threshold, count, secret.reveal(), ssss=False)
    return tuple(Share(set_id, index, threshold, Secret(value)) for index, value in made)


def combine(shares: Sequence[Share]) -> Secret:
    """Give the secret back.

    Raises CeremonyError: `share_twice`, `shares_mixed`, `shares_too_few`. Wrong values give a
    wrong secret: only what it opens tells.
    """
    for share in shares[1:]:
        require_together(shares[0], share)
    indices = [share.index for share in shares]
    for index in indices:
        if indices.count(index) > 1:
            raise twice(index)
    needed = shares[0].threshold if shares else MINIMUM_THRESHOLD
    if len(shares) < needed:
        raise CeremonyError(
            CeremonyCode.SHARES_TOO_FEW,
            f"{len(shares)} of {needed} shares are here: call another custodian",
        )
    parts = [(share.index, share.value.reveal()) for share in shares[:needed]]
    return Secret(Shamir.combine(parts, ssss=False))


def require_together(first: Share, other: Share) -> None:
    """Raise CeremonyError (`shares_mixed`) for two shares that were not made together."""
    if (first.set_id, first.threshold) != (other.set_id, other.threshold):
        raise CeremonyError(
            CeremonyCode.SHARES_MIXED,
            f"{other} was not made together with {first}: shares of two ceremonies do not mix; "
            "look for the paper of the same set",
        )


def twice(index: int) -> CeremonyError:
    """Return the error for a share that is there already."""
    return CeremonyError(
        CeremonyCode.SHARE_TWICE, f"share {index} was given already: another custodian is needed"
    )


def text(share: Share) -> tuple[str, ...]:
    """Return the 8 groups that a custodian writes down."""
    said = bytes((_VERSION, share.threshold << 4 | share.index)) + bytes.fromhex(share.set_id)
    data = said + share.value.reveal()
    number = int.from_bytes(data + _checksum(data), "big")
    digits = [number >> shift & 31 for shift in range(_DATA_BYTES * 8 - 5, -1, -5)]
    groups = [digits[i : i + _DATA_PER_GROUP] for i in range(0, len(digits), _DATA_PER_GROUP)]
    return tuple(
        "".join(_ALPHABET[digit] for digit in (*group, _check(position, group)))
        for position, group in enumerate(groups, 1)
    )


def parse_group(position: int, typed: str) -> str:
    """Return a group in its one form, from what a person typed; `position` counts from 1.

    Case does not count; O reads as 0, I and L as 1. Raises CeremonyError (`share_mistyped`).
    """
    group = typed.strip().upper().translate(_ALIASES)
    unknown = sorted(set(group) - set(_ALPHABET))
    if unknown:
        raise _mistyped(position, f"no share has the character {unknown[0]!r}")
    if len(group) != GROUP_CHARACTERS:
        raise _mistyped(position, f"a group has {GROUP_CHARACTERS} characters, not {len(group)}")
    *data, check = (_ALPHABET.index(character) for character in group)
    if _check(position, data) != check:
        raise _mistyped(position, "its last character does not match the others")
    return group


def parse(typed: str) -> Share:
    """Return the share that a person typed, groups apart by blanks; errors as `parse_group`."""
    groups = re.split(r"[\s:-]+", typed.strip())
    if len(groups) != GROUPS:
        raise CeremonyError(
            CeremonyCode.SHARE_MISTYPED, f"a share has {GROUPS} groups, not {len(groups)}"
        )
    number = 0
    for position, group in enumerate(groups, 1):
        for character in parse_group(position, group)[:_DATA_PER_GROUP]:
            number = number << 5 | _ALPHABET.index(character)
    data = number.to_bytes(_DATA_BYTES, "big")
    said, value, checksum = data[:6], data[6:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    threshold, index = said[1] >> 4, said[1] & 15
    if checksum != _checksum(said + value):
        raise CeremonyError(
            CeremonyCode.SHARE_MISTYPED,
            "each group is right by itself, but together they are no share: was a group taken from "
            "another paper?",
        )
    if said[0] != _VERSION or not index or threshold < MINIMUM_THRESHOLD:
        raise CeremonyError(
            CeremonyCode.SHARE_MISTYPED, "this share was made by another version of cardd"
        )
    return Share(said[2:].hex(), index, threshold, Secret(value))


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(b"cardd share text v1\0" + data).digest()[:_CHECKSUM_BYTES]


def _check(position: int, digits: Sequence[int]) -> int:
    """Return the check digit: each digit times its own power of x, and the group's place."""
    check = position
    for digit in digits:
        check = _times_x(check) ^ digit
    return _times_x(check)


def _times_x(element: int) -> int:
    shifted = element << 1
    return shifted ^ _GF32 if shifted & 32 else shifted


def _mistyped(position: int, reason: str) -> CeremonyError:
    return CeremonyError(
        CeremonyCode.SHARE_MISTYPED,
        f"group {position} has a typing error: {reason}; compare it with the paper",
        group=position,
    )
