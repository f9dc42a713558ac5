"""A master in parts: each custodian has one, and all of them, combined by XOR, are the key.

Whoever lacks one part knows nothing of the key. On paper a part is 8 groups of 4 hexadecimal
digits and its check value, the form that the tools of hardware modules take.
"""

import os
import re
from collections.abc import Sequence

from cardd.errors import CeremonyCode, CeremonyError
from cardd.secret import Secret

GROUPS = 8
GROUP_DIGITS = 4
PARTS = (2, 3)
_BYTES = 16
_KCV = re.compile(r"[0-9A-F]{6}")


def random_component() -> Secret:
    """Return a new part of a new key, 16 bytes."""
    return Secret(os.urandom(_BYTES))


def combine(components: Sequence[Secret]) -> Secret:
    """Return the key of which these are the parts.

    Raises CeremonyError (`component_wrong`) for a number of parts that nobody hands out, and for
    parts that would leave the key to fewer people: one of zeros, or two that are the same.
    """
    if len(components) not in PARTS:
        raise _wrong(f"a key has 2 or 3 parts, not {len(components)}")
    combined = bytes(_BYTES)
    for number, component in enumerate(components, 1):
        value = component.reveal()
        if not any(value):
            raise _wrong(f"part {number} is all zeros: it adds nothing to the others")
        if any(component == other for other in components[number:]):
            raise _wrong(f"part {number} is there twice: the two take each other away")
        combined = bytes(one ^ other for one, other in zip(combined, value, strict=True))
    return Secret(combined)


def text(component: Secret) -> tuple[str, ...]:
    """Return the 8 groups that a custodian writes down."""
    digits = component.reveal().hex().upper()
    return tuple(digits[i : i + GROUP_DIGITS] for i in range(0, len(digits), GROUP_DIGITS))


def parse_group(position: int, typed: str) -> str:
    """Return a group in its one form; CeremonyError (`component_wrong`) for what is none."""
    group = typed.strip().upper()
    if not re.fullmatch(r"[0-9A-F]{4}", group):
        raise CeremonyError(
            CeremonyCode.COMPONENT_WRONG,
            f"group {position} has a typing error: it has 4 digits of 0-9 and A-F",
            group=position,
        )
    return group


def parse(groups: Sequence[str]) -> Secret:
    """Return the part that 8 parsed groups are."""
    return Secret(bytes.fromhex("".join(groups)))


def parse_kcv(typed: str) -> bytes:
    """Return a check value, 3 bytes; CeremonyError (`component_wrong`) for what is none."""
    given = typed.replace(" ", "").upper()
    if not _KCV.fullmatch(given):
        raise _wrong("a check value (KCV) has 6 digits of 0-9 and A-F")
    return bytes.fromhex(given)


def _wrong(reason: str) -> CeremonyError:
    return CeremonyError(CeremonyCode.COMPONENT_WRONG, reason)
