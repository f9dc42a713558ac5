"""AES-CMAC (NIST SP 800-38B) out of AES-CBC, for modules that lack CKM_AES_CMAC.

The last block of CBC with a zero IV is the CMAC where the last block of the message has been
padded and masked with a subkey (section 6.2). The subkeys come from an encrypted zero block: they
let nobody find the key, but forge CMACs of their choice, and so never leave this process.
"""

from dataclasses import dataclass, field

BLOCK = 16
ZERO_BLOCK = bytes(BLOCK)
_R128 = 0x87  # 5.3


@dataclass(frozen=True, slots=True)
class Subkeys:
    """K1, for messages that end with their block, and K2."""

    k1: bytes = field(repr=False)
    k2: bytes = field(repr=False)

    @classmethod
    def derive(cls, encrypted_zero: bytes) -> "Subkeys":
        """Derive both from the encryption of 16 zero bytes (6.1)."""
        k1 = _doubled(encrypted_zero)
        return cls(k1, _doubled(k1))

    def cbc_input(self, message: bytes) -> bytes:
        """Return what CBC under a zero IV must encrypt: its last block will be the CMAC."""
        whole = len(message) > 0 and len(message) % BLOCK == 0
        if whole:
            head, last, mask = message[:-BLOCK], message[-BLOCK:], self.k1
        else:
            cut = len(message) - len(message) % BLOCK
            head, last, mask = message[:cut], _padded(message[cut:]), self.k2
        return head + bytes(a ^ b for a, b in zip(last, mask, strict=True))


def _padded(rest: bytes) -> bytes:
    return (rest + b"\x80").ljust(BLOCK, b"\0")


def _doubled(value: bytes) -> bytes:
    number = int.from_bytes(value, "big") << 1
    if number >> (8 * BLOCK):
        number ^= (1 << (8 * BLOCK)) | _R128
    return number.to_bytes(BLOCK, "big")
