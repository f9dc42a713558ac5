"""RSA as the chip computes it: raw, with PKCS#1 v1.5 and with PSS padding (RFC 8017)."""

from types import ModuleType

from Crypto.Hash import SHA1, SHA256
from Crypto.PublicKey.RSA import RsaKey
from Crypto.Signature import pkcs1_15, pss


class _GivenHash:
    """A hash that was computed elsewhere, as pycryptodome's signature schemes take one."""

    def __init__(self, algorithm: ModuleType, value: bytes) -> None:
        self._algorithm = algorithm
        self._value = value
        self.digest_size = len(value)
        self.oid = algorithm.new().oid

    def digest(self) -> bytes:
        """Return the given value."""
        return self._value

    def new(self, data: bytes = b"") -> object:
        """Start another hash of the same algorithm."""
        return self._algorithm.new(data)


ALGORITHMS = {
    0x0A: (SHA1, pkcs1_15),
    0x28: (SHA256, pkcs1_15),
    0x15: (SHA1, pss),
    0x2C: (SHA256, pss),
}
"""Hash and padding by the reference in a signature template; the salt is as long as the hash."""

PSS_ALGORITHMS = frozenset({0x15, 0x2C})


def sign(key: RsaKey, algorithm: int, value: bytes) -> bytes | None:
    """Return the signature over a hash; None where the hash has not the algorithm's length."""
    hash_algorithm, padding = ALGORITHMS[algorithm]
    if len(value) != hash_algorithm.digest_size:
        return None
    signature: bytes = padding.new(key).sign(_GivenHash(hash_algorithm, value))
    return signature


def raw(key: RsaKey, block: bytes) -> bytes | None:
    """Return `block` to the private exponent; None where it is not below the modulus."""
    number = int.from_bytes(block)
    if number >= key.n:
        return None
    # By the Chinese remainder theorem, four times as quick as one power.
    first = pow(number, key.d % (key.p - 1), key.p)
    second = pow(number, key.d % (key.q - 1), key.q)
    quotient = (first - second) * pow(key.q, -1, key.p) % key.p
    return (second + quotient * key.q).to_bytes(key.size_in_bytes())
