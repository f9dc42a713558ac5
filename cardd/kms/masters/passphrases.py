"""What trying one passphrase costs: Argon2id (RFC 9106)."""

from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Meta

from cardd.errors import StartCode, StartError
from cardd.secret import Secret


class Argon2idCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What trying one passphrase costs. Bounded, because an open reads it before it can trust it.

    The default is 0.14 s on an ordinary machine (memory in KiB: RFC 9106, 3.1).
    """

    memory_kib: Annotated[int, Meta(ge=1024, le=262_144)] = 65_536
    iterations: Annotated[int, Meta(ge=1, le=16)] = 3
    lanes: Annotated[int, Meta(ge=1, le=16)] = 4


DEFAULT_COST = Argon2idCost()


def derive(passphrase: Secret, salt: bytes, cost: Argon2idCost, length: int) -> Secret:
    """Return `length` bytes; StartError (`keystore_unavailable`) where the memory is not free."""
    derivation = Argon2id(
        salt=salt,
        length=length,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    try:
        return Secret(derivation.derive(passphrase.reveal()))
    except MemoryError:
        raise StartError(
            StartCode.KEYSTORE_UNAVAILABLE,
            f"trying a passphrase takes {cost.memory_kib} KiB of memory, which are not free",
        ) from None
