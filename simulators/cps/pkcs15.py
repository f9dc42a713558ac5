"""PKCS #15 objects, written (PKCS #15 v1.1, 6; ISO/IEC 7816-15): a directory file is their series.

An access rule's modes above `execute` are those of ISO/IEC 7816-15.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from simulators import der
from simulators.der import context, integer, named_bits, octets, sequence, utf8

ENUMERATED = 0x0A
NULL = b"\x05\x00"

# Named bits of the standard.
PRIVATE, MODIFIABLE = 0, 1
UNBLOCK_DISABLED, INITIALIZED, UNBLOCKING_PIN = 3, 4, 6
ASCII_NUMERIC = 1
DECRYPT, SIGN, VERIFY, NON_REPUDIATION = 1, 2, 6, 9
SENSITIVE, ALWAYS_SENSITIVE, NEVER_EXTRACTABLE, LOCAL = 0, 2, 3, 4
COMPUTE_SIGNATURE, DECIPHER, INTERNAL_AUTHENTICATE = 5, 7, 9
OPERATION_SIGN, OPERATION_DECIPHER, OPERATION_HASH = 1, 5, 6
LOGIN_REQUIRED = 1


@dataclass(frozen=True, slots=True)
class Directory:
    """The five directory files of an application that has all of them, as `ODF` names them."""

    number: int
    path: bytes


PRKDF, PUKDF, CDF, DODF, AODF = 0, 1, 4, 7, 8


def object_directory(directories: Sequence[Directory]) -> bytes:
    """Return an EF.ODF."""
    return b"".join(context(one.number, path(one.path)) for one in directories)


def path(value: bytes) -> bytes:
    """Return a Path."""
    return sequence(octets(value))


def common(
    label: str, *flags: int, auth_id: bytes | None = None, rules: Sequence[int] = ()
) -> bytes:
    """Return CommonObjectAttributes; `rules` are access modes that `auth_id` opens."""
    parts = [utf8(label), named_bits(*flags)]
    if auth_id is not None:
        parts.append(octets(auth_id))
        if rules:
            parts.append(sequence(*(sequence(named_bits(one), octets(auth_id)) for one in rules)))
    return sequence(*parts)


@dataclass(frozen=True, slots=True)
class Pin:
    """A PIN's attributes; lengths in digits. `guard` is the authId of what unblocks it."""

    label: str
    auth_id: bytes
    reference: int
    flags: tuple[int, ...]
    lengths: tuple[int, int]
    guard: bytes | None = None


def pin(one: Pin, where: bytes) -> bytes:
    """Return an authentication object of the AODF; its codes are ASCII digits, not padded."""
    shortest, longest = one.lengths
    attributes = sequence(
        named_bits(*one.flags),
        der.tlv(ENUMERATED, bytes((ASCII_NUMERIC,))),
        integer(shortest),
        integer(longest),
        integer(longest),
        integer(one.reference, 0x80),
        path(where),
    )
    return sequence(
        common(one.label, PRIVATE, MODIFIABLE, auth_id=one.guard),
        sequence(octets(one.auth_id)),
        context(1, attributes),
    )


@dataclass(frozen=True, slots=True)
class Key:
    """A private RSA key's attributes; without `auth_id` it is usable without a code."""

    label: str
    identifier: bytes
    reference: int
    usages: tuple[int, ...]
    rules: tuple[int, ...]
    bits: int
    auth_id: bytes | None


def private_key(one: Key, where: bytes) -> bytes:
    """Return a private key of the PrKDF. Real cards name no algorithm here; so does this."""
    flags = () if one.auth_id is None else (PRIVATE,)
    attributes = sequence(
        octets(one.identifier),
        named_bits(*one.usages),
        named_bits(SENSITIVE, ALWAYS_SENSITIVE, NEVER_EXTRACTABLE, LOCAL),
        integer(one.reference),
    )
    return sequence(
        common(one.label, *flags, auth_id=one.auth_id, rules=one.rules),
        attributes,
        context(1, sequence(path(where), integer(one.bits))),
    )


def public_key(
    label: str,
    identifier: bytes,
    reference: int,
    modulus: int,
    exponent: int,
    *,
    usages: Sequence[int] = (VERIFY,),
) -> bytes:
    """Return a public key of the PuKDF, its value in place."""
    attributes = sequence(octets(identifier), named_bits(*usages), integer(reference))
    value = context(0, sequence(integer(modulus), integer(exponent)))
    bits = integer(modulus.bit_length())
    return sequence(common(label), attributes, context(1, sequence(value, bits)))


def certificate(label: str, identifier: bytes, where: bytes) -> bytes:
    """Return an X.509 certificate of the CDF."""
    return sequence(common(label), sequence(octets(identifier)), context(1, sequence(path(where))))


def data_object(
    label: str, application: str, where: bytes, *, auth_id: bytes | None, modifiable: bool = False
) -> bytes:
    """Return an opaque data object of the DODF; `auth_id` names the code that opens it."""
    flags = [PRIVATE] if auth_id else []
    flags += [MODIFIABLE] if modifiable else []
    return sequence(
        common(label, *flags, auth_id=auth_id), sequence(utf8(application)), context(1, path(where))
    )


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A line of the token's algorithms: PKCS #11 mechanism, operation, the card's reference."""

    mechanism: int
    operation: int
    reference: int


def token_info(
    serial: bytes, manufacturer: str, label: str, algorithms: Sequence[Algorithm], *flags: int
) -> bytes:
    """Return an EF.TokenInfo; algorithms are numbered from 1."""
    lines = [
        sequence(
            integer(number),
            integer(one.mechanism),
            NULL,
            named_bits(one.operation),
            integer(one.reference),
        )
        for number, one in enumerate(algorithms, 1)
    ]
    return sequence(
        integer(0),
        octets(serial),
        utf8(manufacturer),
        utf8(label, 0x80),
        named_bits(*flags),
        context(2, *lines),
    )
