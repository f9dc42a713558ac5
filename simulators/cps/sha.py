"""SHA-1 and SHA-256 finished from an intermediate state (FIPS 180-4, 6.1.2 and 6.2.2).

PSO HASH hands the card the state after the whole blocks and lets it hash the last one; no library
takes a state, so the compression functions are here.
"""

from math import isqrt

BLOCK_BYTES = 64
MASK = 0xFFFFFFFF


def _icbrt(value: int) -> int:
    root: int = round(value ** (1 / 3))
    while root**3 > value:
        root -= 1
    while (root + 1) ** 3 <= value:
        root += 1
    return root


PRIMES = tuple(n for n in range(2, 312) if all(n % d for d in range(2, isqrt(n) + 1)))
# The first 32 bits of the fractional parts of square and cube roots of primes (4.2.2, 5.3.3).
INITIAL_SHA256 = tuple(isqrt(prime << 64) & MASK for prime in PRIMES[:8])
CONSTANTS = tuple(_icbrt(prime << 96) & MASK for prime in PRIMES)
INITIAL_SHA1 = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
CONSTANTS_SHA1 = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)


def finish(state: bytes, hashed_bits: int, last: bytes, digest_bytes: int) -> bytes:
    """Return the digest of a message of which `hashed_bits` are in `state` and `last` is left.

    `state` is empty where nothing was hashed. `last` is shorter than a block, or exactly one.
    """
    initial, compress = (
        (INITIAL_SHA1, _compress_sha1) if digest_bytes == 20 else (INITIAL_SHA256, _compress_sha256)
    )
    words = _words(state) if state else initial
    total_bits = hashed_bits + 8 * len(last)
    padded = last + b"\x80" + bytes(-(len(last) + 9) % BLOCK_BYTES) + total_bits.to_bytes(8)
    for start in range(0, len(padded), BLOCK_BYTES):
        words = compress(words, _words(padded[start : start + BLOCK_BYTES]))
    return b"".join(word.to_bytes(4) for word in words)


def _words(data: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4))


def _rotate_right(word: int, count: int) -> int:
    return (word >> count | word << (32 - count)) & MASK


def _compress_sha1(state: tuple[int, ...], block: tuple[int, ...]) -> tuple[int, ...]:
    schedule = list(block)
    for t in range(16, 80):
        mixed = schedule[t - 3] ^ schedule[t - 8] ^ schedule[t - 14] ^ schedule[t - 16]
        schedule.append(_rotate_right(mixed, 31))
    a, b, c, d, e = state
    for t, word in enumerate(schedule):
        choice = (b & c ^ ~b & d, b ^ c ^ d, b & c ^ b & d ^ c & d, b ^ c ^ d)[t // 20]
        total = _rotate_right(a, 27) + (choice & MASK) + e + CONSTANTS_SHA1[t // 20] + word
        a, b, c, d, e = total & MASK, a, _rotate_right(b, 2), c, d
    return tuple((old + new) & MASK for old, new in zip(state, (a, b, c, d, e), strict=True))


def _compress_sha256(state: tuple[int, ...], block: tuple[int, ...]) -> tuple[int, ...]:
    schedule = list(block)
    for t in range(16, 64):
        early, late = schedule[t - 15], schedule[t - 2]
        small0 = _rotate_right(early, 7) ^ _rotate_right(early, 18) ^ early >> 3
        small1 = _rotate_right(late, 17) ^ _rotate_right(late, 19) ^ late >> 10
        schedule.append((schedule[t - 16] + small0 + schedule[t - 7] + small1) & MASK)
    a, b, c, d, e, f, g, h = state
    for constant, word in zip(CONSTANTS, schedule, strict=True):
        big1 = _rotate_right(e, 6) ^ _rotate_right(e, 11) ^ _rotate_right(e, 25)
        first = h + big1 + (e & f ^ ~e & g) + constant + word
        big0 = _rotate_right(a, 2) ^ _rotate_right(a, 13) ^ _rotate_right(a, 22)
        second = big0 + (a & b ^ a & c ^ b & c)
        h, g, f, e, d, c, b, a = g, f, e, (d + first) & MASK, c, b, a, (first + second) & MASK
    new_state = (a, b, c, d, e, f, g, h)
    return tuple((old + new) & MASK for old, new in zip(state, new_state, strict=True))
