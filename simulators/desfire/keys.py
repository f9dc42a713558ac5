"""The keys of a chip, and the session keys that come out of an authentication."""

from dataclasses import dataclass

from simulators.desfire.crypto import Cipher, KeyType, cmac, without_parity, xor


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A key on the chip. A DES key carries its version in the lowest bits of its first 8 bytes."""

    type: KeyType
    value: bytes
    aes_version: int = 0

    @property
    def version(self) -> int:
        """The version byte that GetKeyVersion answers."""
        if self.type is KeyType.AES:
            return self.aes_version
        return sum((byte & 1) << (7 - place) for place, byte in enumerate(self.value[:8]))

    @property
    def cipher(self) -> Cipher:
        """The cipher under this key."""
        return Cipher(self.type, self.value)


def zero_key(key_type: KeyType) -> Key:
    """Return the factory key of a type."""
    return Key(key_type, bytes(key_type.key_bytes))


def key_from_default(key_type: KeyType, field: bytes, version: int) -> Key:
    """Return the key that a new application gets from the 24-byte default key field.

    That a TDEA key then has its version in its first 8 bytes alone is not confirmed on a card.
    """
    value = field[: key_type.key_bytes]
    if key_type is KeyType.AES:
        return Key(key_type, value, version)
    bare = without_parity(value)
    stamped = bytes(byte | (version >> (7 - place)) & 1 for place, byte in enumerate(bare[:8]))
    return Key(key_type, stamped + bare[8:])


def ev1_session_cipher(key: Key, rnd_a: bytes, rnd_b: bytes) -> Cipher:
    """Mix RndA and RndB into the session key of AuthenticateISO and AuthenticateAES."""
    if key.type is KeyType.AES:
        return Cipher(key.type, rnd_a[:4] + rnd_b[:4] + rnd_a[12:] + rnd_b[12:])
    if key.type is KeyType.TRIPLE_DES:
        middle = rnd_a[6:10] + rnd_b[6:10]
        return Cipher(key.type, rnd_a[:4] + rnd_b[:4] + middle + rnd_a[12:] + rnd_b[12:])
    if without_parity(key.value[:8]) == without_parity(key.value[8:]):
        return Cipher(key.type, (rnd_a[:4] + rnd_b[:4]) * 2)
    return Cipher(key.type, rnd_a[:4] + rnd_b[:4] + rnd_a[4:] + rnd_b[4:])


def ev2_session_ciphers(key: Key, rnd_a: bytes, rnd_b: bytes) -> tuple[Cipher, Cipher]:
    """Derive the enciphering and the MAC key of an EV2 session (AN12343: SV1 and SV2)."""
    mixed = rnd_a[:2] + xor(rnd_a[2:8], rnd_b[:6]) + rnd_b[6:] + rnd_a[8:]
    encipher = cmac(key.cipher, bytes.fromhex("A55A00010080") + mixed)
    authenticate = cmac(key.cipher, bytes.fromhex("5AA500010080") + mixed)
    return Cipher(KeyType.AES, encipher), Cipher(KeyType.AES, authenticate)
