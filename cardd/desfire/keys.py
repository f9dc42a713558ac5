"""Keys as a DESFire knows them, and the session keys that an authentication derives from them."""

from dataclasses import dataclass
from enum import IntEnum

from cardd.desfire.cipher import BlockCipher, xor
from cardd.secret import Secret

KEY_NUMBERS = range(14)


class KeyType(IntEnum):
    """The cryptographic method of a key, as the two high bits of CreateApplication's byte 2."""

    TDEA2 = 0x00
    TDEA3 = 0x40
    AES = 0x80

    @property
    def key_bytes(self) -> int:
        """Return how long a key of this type is."""
        return 24 if self is KeyType.TDEA3 else 16

    @property
    def challenge_bytes(self) -> int:
        """Return how long RndA and RndB are."""
        return 8 if self is KeyType.TDEA2 else 16


@dataclass(frozen=True, slots=True)
class DesfireKey:
    """A key, its type and its version (0 to 255). Its repr gives nothing of the value away.

    A DES key is a TDEA2 one whose halves match, as on the card. In TDEA keys the low bit of each
    byte is no part of the key; on the card those of the first 8 bytes hold the version.
    """

    type: KeyType
    value: Secret
    version: int = 0

    def __post_init__(self) -> None:
        """Refuse a value of another length, or a version that is no byte."""
        if len(self.value) != self.type.key_bytes:
            raise ValueError(f"a {self.type.name} key has {self.type.key_bytes} bytes")
        if not 0 <= self.version <= 0xFF:
            raise ValueError("a key version is one byte")

    @classmethod
    def zero(cls, key_type: KeyType) -> "DesfireKey":
        """Return the key that applications start with; for TDEA2, a factory PICC's DES key."""
        return cls(key_type, Secret(bytes(key_type.key_bytes)))

    def cipher(self) -> BlockCipher:
        """Return the block cipher under this key."""
        make = BlockCipher.aes if self.type is KeyType.AES else BlockCipher.tdea
        return make(self.value)

    def stored(self) -> Secret:
        """Return the value as a card stores it: TDEA keys carry their version in low bits.

        Bit 7 of the version is the low bit of byte 0 (Elmue's traces of a real card). Both halves
        of a DES key carry it: a card takes equal halves for DES only where the low bits are equal
        too (libfreefare, which cites the functional specification; not confirmed on a card).
        """
        if self.type is KeyType.AES:
            return self.value
        value = bytearray(byte & 0xFE for byte in self.value.reveal())
        for index in range(16 if self.is_single_des() else 8):
            value[index] |= self.version >> (7 - index % 8) & 1
        return Secret(bytes(value))

    def is_single_des(self) -> bool:
        """Tell whether this is a DES key: TDEA2 with equal halves, parity bits aside."""
        bare = bytes(byte & 0xFE for byte in self.value.reveal())
        return self.type is KeyType.TDEA2 and bare[:8] == bare[8:]


def encode_key_number(number: int) -> bytes:
    """Return a key number, 0 to 13, as its byte."""
    if number not in KEY_NUMBERS:
        raise ValueError(f"a key number is 0 to 13, not {number}")
    return bytes((number,))


@dataclass(frozen=True, slots=True)
class Ev2SessionKeys:
    """The two AES session keys of EV2 secure messaging."""

    encryption: Secret
    mac: Secret


def ev1_session_key(key: DesfireKey, rnd_a: bytes, rnd_b: bytes) -> DesfireKey:
    """Derive the session key of AuthenticateISO and AuthenticateAES (AN12757; AN0945, table 22)."""
    a, b = rnd_a, rnd_b
    if key.is_single_des():
        value = (a[:4] + b[:4]) * 2
    elif key.type is KeyType.TDEA2:
        value = a[:4] + b[:4] + a[4:8] + b[4:8]
    elif key.type is KeyType.TDEA3:
        value = a[:4] + b[:4] + a[6:10] + b[6:10] + a[12:16] + b[12:16]
    else:
        value = a[:4] + b[:4] + a[12:16] + b[12:16]
    if key.type is not KeyType.AES:
        value = bytes(byte & 0xFE for byte in value)
    return DesfireKey(key.type, Secret(value))


def ev2_session_keys(key: DesfireKey, rnd_a: bytes, rnd_b: bytes) -> Ev2SessionKeys:
    """Derive the session keys of AuthenticateEV2First and NonFirst from SV1 and SV2 (AN12196)."""
    context = rnd_a[:2] + xor(rnd_a[2:8], rnd_b[:6]) + rnd_b[6:] + rnd_a[8:]
    cipher = key.cipher()
    return Ev2SessionKeys(
        encryption=Secret(cipher.mac(bytes.fromhex("A55A00010080") + context)),
        mac=Secret(cipher.mac(bytes.fromhex("5AA500010080") + context)),
    )
