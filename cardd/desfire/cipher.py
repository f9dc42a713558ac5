"""The block ciphers of a DESFire: CBC, and CMAC that starts from any initialisation vector."""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from cardd.secret import Secret

# The constants R_b of NIST SP 800-38B, 5.3, by block size in bytes.
_RB = {8: 0x1B, 16: 0x87}


class BlockCipher:
    """AES-128, or DES with two (16 bytes) or three (24 bytes) keys, under one key."""

    __slots__ = ("_algorithm", "_k1", "_k2", "block_bytes")

    def __init__(self, algorithm: BlockCipherAlgorithm, block_bytes: int) -> None:
        self._algorithm = algorithm
        self.block_bytes = block_bytes
        zero = bytes(block_bytes)
        self._k1 = self._doubled(self.encrypt(zero, iv=zero))
        self._k2 = self._doubled(self._k1)

    @classmethod
    def aes(cls, key: Secret) -> "BlockCipher":
        """Return AES-128 under a 16-byte key."""
        return cls(AES(key.reveal()), 16)

    @classmethod
    def tdea(cls, key: Secret) -> "BlockCipher":
        """Return TDEA under 16 bytes (K1 K2 K1; DES where the halves match) or 24."""
        value = key.reveal()
        return cls(TripleDES((value + value[:8])[:24]), 8)

    def encrypt(self, plaintext: bytes, *, iv: bytes) -> bytes:
        """Encrypt whole blocks in CBC mode."""
        encryptor = Cipher(self._algorithm, modes.CBC(iv)).encryptor()
        return encryptor.update(plaintext) + encryptor.finalize()

    def decrypt(self, ciphertext: bytes, *, iv: bytes) -> bytes:
        """Decrypt whole blocks in CBC mode."""
        decryptor = Cipher(self._algorithm, modes.CBC(iv)).decryptor()
        return decryptor.update(ciphertext) + decryptor.finalize()

    def send_by_decryption(self, plaintext: bytes) -> bytes:
        """Return whole blocks as D40 sends them, where the card only ever encrypts.

        C_i = D(P_i xor C_(i-1)), from a zero vector: the card recovers P_i by encryption (AN12757,
        tables 30 and 34).
        """
        size, previous, sent = self.block_bytes, bytes(self.block_bytes), b""
        for at in range(0, len(plaintext), size):
            block = xor(plaintext[at : at + size], previous)
            previous = self.decrypt(block, iv=bytes(size))
            sent += previous
        return sent

    def mac(self, message: bytes, *, iv: bytes | None = None) -> bytes:
        """Return the CMAC of a message, one block long (NIST SP 800-38B, 6.2).

        EV1 secure messaging starts each CMAC from the last cryptogram instead of zero, which no
        library offers; hence the mode is spelt out here, over the library's CBC.
        """
        size = self.block_bytes
        if message and len(message) % size == 0:
            padded, subkey = message, self._k1
        else:
            padded, subkey = pad_80(message, size), self._k2
        last = xor(padded[-size:], subkey)
        return self.encrypt(padded[:-size] + last, iv=iv or bytes(size))[-size:]

    def _doubled(self, block: bytes) -> bytes:
        number = int.from_bytes(block) << 1
        if number >> (8 * self.block_bytes):
            number ^= (1 << (8 * self.block_bytes)) | _RB[self.block_bytes]
        return number.to_bytes(self.block_bytes)


def xor(left: bytes, right: bytes) -> bytes:
    """Return the exclusive or of two strings of one length."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def pad_80(message: bytes, block_bytes: int) -> bytes:
    """Append 80h and zeros up to a whole block, always at least 80h (ISO/IEC 9797-1, method 2)."""
    marked = message + b"\x80"
    return marked + bytes(-len(marked) % block_bytes)


def pad_zero(message: bytes, block_bytes: int) -> bytes:
    """Append zeros up to a whole block, none where it is one (ISO/IEC 9797-1, method 1)."""
    return message + bytes(-len(message) % block_bytes)
