"""MSE SET, INTERNAL AUTHENTICATE, PSO HASH, COMPUTE DIGITAL SIGNATURE, DECIPHER (facts, 1).

Algorithm references are those of IAS-ECC. Not confirmed on a card: the status words of misuse, and
that deciphering takes PKCS #1 v1.5 padding off under both its references.
"""

import secrets

from Crypto.Cipher import PKCS1_v1_5
from Crypto.Hash import SHA1, SHA256

from simulators import der
from simulators.cps.activation import Activation
from simulators.cps.apdu import Command
from simulators.cps.chip import PrivateKey
from simulators.cps.sha import BLOCK_BYTES, finish
from simulators.cps.status import Refusal, Status

AT, DST, HT, CT = 0xA4, 0xB6, 0xAA, 0xB8
ALGORITHM, KEY = 0x80, 0x84
HASH_BYTES = {0x10: 20, 0x40: 32}
SIGNATURE_HASHES = {0x12: SHA1, 0x42: SHA256}
ALGORITHMS = {AT: {0x02}, DST: set(SIGNATURE_HASHES), HT: set(HASH_BYTES), CT: {0x0A, 0x1A}}
SIGN_RULE, AUTHENTICATE_RULE, DECIPHER_RULE = 0, 1, 2
PADDING_INDICATOR = 0x81
PARTIAL, REMAINING = 0x90, 0x80
COUNTER_BYTES = 8


def mse_set(activation: Activation, command: Command) -> bytes:
    """Keep a control reference template for the operation it is of."""
    if command.p1 != 0x41 or command.p2 not in ALGORITHMS:
        raise Refusal(Status.WRONG_P1_P2)
    template = _template(command.data)
    if template.get(ALGORITHM) not in ALGORITHMS[command.p2]:
        raise Refusal(Status.WRONG_DATA)
    if command.p2 != HT:
        activation.key(template.get(KEY, 0))
    activation.environment[command.p2] = template
    activation.digest = None if command.p2 == HT else activation.digest
    return b""


def internal_authenticate(activation: Activation, command: Command) -> bytes:
    """Sign what is given, padded as block type 1: at most 40 % of the modulus."""
    key = _key(activation, AT, AUTHENTICATE_RULE)
    if command.p1 or command.p2:
        raise Refusal(Status.WRONG_P1_P2)
    if not command.data or len(command.data) * 10 > key.size_bytes * 4:
        raise Refusal(Status.WRONG_LENGTH)
    return _sign(key, command.data)


def perform_operation(activation: Activation, command: Command) -> bytes:
    """PERFORM SECURITY OPERATION: P1 and P2 name what comes out and what goes in."""
    operation = _OPERATIONS.get((command.p1, command.p2))
    if operation is None:
        raise Refusal(Status.WRONG_P1_P2)
    return operation(activation, command)


def _hash(activation: Activation, command: Command) -> bytes:
    digest_bytes = HASH_BYTES[_environment(activation, HT)[ALGORITHM]]
    partial, last = _hash_input(command.data)
    if len(partial) not in {0, digest_bytes + COUNTER_BYTES} or len(last) > BLOCK_BYTES:
        raise Refusal(Status.WRONG_DATA)
    hashed_bits = int.from_bytes(partial[digest_bytes:])
    if hashed_bits % (8 * BLOCK_BYTES) or hashed_bits >= 1 << 63:
        raise Refusal(Status.WRONG_DATA)
    activation.digest = finish(partial[:digest_bytes], hashed_bits, last, digest_bytes)
    return b""


def _compute_signature(activation: Activation, command: Command) -> bytes:
    key = _key(activation, DST, SIGN_RULE)
    algorithm = SIGNATURE_HASHES[activation.environment[DST][ALGORITHM]]
    if not command.data and command.length not in {None, key.size_bytes}:
        # T=0 tells the right length before anything is spent.
        raise Refusal(Status.EXACT_LENGTH | (key.size_bytes & 0xFF))
    digest = command.data or activation.digest
    activation.digest = None
    if digest is None:
        raise Refusal(Status.CONDITIONS)
    if len(digest) != algorithm.digest_size:
        raise Refusal(Status.WRONG_DATA)
    return _sign(key, _digest_info(algorithm.new().oid, digest))


def _decipher(activation: Activation, command: Command) -> bytes:
    key = _key(activation, CT, DECIPHER_RULE)
    if command.data[:1] != bytes((PADDING_INDICATOR,)):
        raise Refusal(Status.WRONG_DATA)
    cryptogram = command.data[1:]
    if len(cryptogram) != key.size_bytes or int.from_bytes(cryptogram) >= key.key.n:
        raise Refusal(Status.WRONG_DATA)
    sentinel = secrets.token_bytes(key.size_bytes)
    plain = PKCS1_v1_5.new(key.key).decrypt(cryptogram, sentinel)
    if plain == sentinel:
        raise Refusal(Status.WRONG_DATA)
    return plain


_OPERATIONS = {
    (0x90, 0xA0): _hash,
    (0x9E, 0x9A): _compute_signature,
    (0x80, 0x86): _decipher,
}


def _template(data: bytes) -> dict[int, int]:
    """Read one-byte values; raise Refusal for anything else."""
    fields = [data[at : at + 3] for at in range(0, len(data), 3)]
    if not fields or any(len(one) != 3 or one[1] != 1 for one in fields):
        raise Refusal(Status.WRONG_DATA)
    return {one[0]: one[2] for one in fields}


def _hash_input(data: bytes) -> tuple[bytes, bytes]:
    """Split `90 L state and counter, 80 L last block`."""
    if len(data) < 4 or data[0] != PARTIAL:
        raise Refusal(Status.WRONG_DATA)
    partial, rest = data[2 : 2 + data[1]], data[2 + data[1] :]
    if len(partial) != data[1] or len(rest) < 2 or rest[0] != REMAINING or rest[1] != len(rest) - 2:
        raise Refusal(Status.WRONG_DATA)
    return partial, rest[2:]


def _environment(activation: Activation, tag: int) -> dict[int, int]:
    template = activation.environment.get(tag)
    if template is None:
        raise Refusal(Status.CONDITIONS)
    return template


def _key(activation: Activation, tag: int, rule: int) -> PrivateKey:
    """Return the key an operation is set up with; raise Refusal unless its rule is met."""
    key = activation.key(_environment(activation, tag)[KEY])
    activation.require(key.rules[activation.face][rule])
    return key


def _sign(key: PrivateKey, data: bytes) -> bytes:
    """Return RSA of `00 01 FF .. 00 data` (PKCS #1 v1.5, block type 1)."""
    filler = b"\xff" * (key.size_bytes - 3 - len(data))
    block = int.from_bytes(b"\x00\x01" + filler + b"\x00" + data)
    rsa = key.key
    return pow(block, rsa.d, rsa.n).to_bytes(key.size_bytes)


def _digest_info(oid: str, digest: bytes) -> bytes:
    algorithm = der.sequence(der.oid(oid), der.tlv(0x05))
    return der.sequence(algorithm, der.octets(digest))
