"""Somebody who has all that a workstation ever saw, and wants the keys.

Written from the published exchanges (AN0945, AN12757, AN12343, AN12196) with pycryptodome: it
shares no line with cardd and none with the virtual cards.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from Crypto.Cipher import AES, DES
from Crypto.Hash import CMAC

AUTHENTICATE_ISO, AUTHENTICATE_AES, AUTHENTICATE_EV2 = 0x1A, 0xAA, 0x71
AUTHENTICATIONS = {AUTHENTICATE_ISO, AUTHENTICATE_AES, AUTHENTICATE_EV2}
SELECT, MORE, CHANGE_KEY, SET_CONFIGURATION = 0x5A, 0xAF, 0xC4, 0x5C
# How many bytes of the command's body are not enciphered, for those that encipher the rest.
ENCIPHERED = {CHANGE_KEY: 1, SET_CONFIGURATION: 1, 0x54: 0, 0x3D: 7, 0x8D: 7}
ENCIPHERED_ANSWERS = {0x51, 0xBD, 0xAD}

PUBLIC_KEYS = (
    bytes(16),
    b"\xff" * 16,
    bytes.fromhex("00112233445566778899AABBCCDDEEFF"),
    bytes(range(16)),
    bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"),
)


@dataclass(frozen=True)
class Exchange:
    """One command with all its frames, and the whole of its answer."""

    ins: int
    body: bytes
    answer: bytes
    status: int
    frames: tuple[tuple[bytes, bytes], ...]


@dataclass
class Session:
    """What an opened session gives. `iv` is that of EV1 messaging; `ti` is None there."""

    kind: int
    key: bytes
    mac: bytes = b""
    ti: bytes | None = None
    iv: bytes = b""
    counter: int = 0


@dataclass
class Attacker:
    """Reads a transcript with the keys it knows, and learns the keys that it finds in it.

    `attempts` counts the authentications that the card took, `sessions` are those of them that
    were opened.
    """

    known: set[bytes]
    sessions: list[Session] = field(default_factory=list)
    attempts: int = 0
    _tried: dict[tuple[bytes, ...], set[bytes]] = field(default_factory=dict)

    @classmethod
    def with_public_keys(cls, *memory: bytes) -> "Attacker":
        """Know what everybody knows, and try each 16 bytes of the workstation's memory."""
        seen = {each[at : at + 16] for each in memory for at in range(len(each) - 15)}
        return cls(known={*PUBLIC_KEYS, *seen})

    def derive(self, uid: bytes, aids: Iterable[bytes], site: bytes) -> None:
        """Try the keys that known ones give as masters (AN10922), for what is no secret."""
        messages = [uid + aid + site for aid in (*aids, *(aid[::-1] for aid in aids))]
        self.known |= {
            CMAC.new(master, b"\x01" + message, ciphermod=AES).digest()
            for master in PUBLIC_KEYS
            for message in messages
        }

    def read(self, transcript: list[tuple[bytes, bytes]]) -> None:
        """Go through a transcript again and again, until it teaches nothing more."""
        exchanges = parsed(transcript)
        before = -1
        while len(self.known) != before:
            before = len(self.known)
            self.sessions, self.attempts = [], 0
            self._read_once(exchanges)

    def _read_once(self, exchanges: list[Exchange]) -> None:
        session = None
        for exchange in exchanges:
            if exchange.ins in AUTHENTICATIONS:
                session = None
                if exchange.status == 0:
                    self.attempts += 1
                    session = self._opened(exchange)
                if session:
                    self.sessions.append(session)
            elif exchange.ins == SELECT or exchange.status != 0:
                session = None
            elif session:
                self._follow(session, exchange)

    def _opened(self, exchange: Exchange) -> Session | None:
        first, second = exchange.frames
        challenge, token, proof = first[1], second[0], second[1]
        open_with = {
            AUTHENTICATE_ISO: open_iso,
            AUTHENTICATE_AES: open_aes,
            AUTHENTICATE_EV2: open_ev2,
        }[exchange.ins]
        parts = (challenge, token, proof)
        tried = self._tried.setdefault(parts, set())
        for key in self.known - tried:
            session = open_with(key, *parts)
            if session:
                return session
            tried.add(key)
        return None

    def _follow(self, session: Session, exchange: Exchange) -> None:
        plain = _ev2_plain(session, exchange) if session.ti else _ev1_plain(session, exchange)
        if plain is None:
            return
        if exchange.ins == SET_CONFIGURATION:
            self.known.add(plain[:16])
        if exchange.ins == CHANGE_KEY:
            self.known |= self._new_keys(session, exchange.body[:1], plain)

    def _new_keys(self, session: Session, number: bytes, plain: bytes) -> set[bytes]:
        """Return the new key: sent as it is, or exclusive-or'd with the old one and a checksum."""
        if session.ti:
            checksum = plain[17:21]
        else:
            assert plain[17:21] == crc32(bytes((CHANGE_KEY,)) + number + plain[:17])
            checksum = plain[21:25]
        unmasked = {xor(plain[:16], old) for old in self.known}
        found = {new for new in unmasked if crc32(new) == checksum}
        return found or {plain[:16]}


def parsed(transcript: list[tuple[bytes, bytes]]) -> list[Exchange]:
    """Join the frames of each command."""
    exchanges: list[Exchange] = []
    for command, answer in transcript:
        assert command[0] == 0x90
        ins, body, data, status = command[1], command[5:-1], answer[:-2], answer[-1]
        frames: tuple[tuple[bytes, bytes], ...] = ((body, data),)
        if ins == MORE:
            before = exchanges.pop()
            ins, frames = before.ins, (*before.frames, *frames)
            body, data = before.body + body, before.answer + data
        exchanges.append(Exchange(ins, body, data, status, frames))
    return exchanges


def open_iso(key: bytes, challenge: bytes, token: bytes, _: bytes) -> Session | None:
    if key[:8] != key[8:]:
        return None
    single = key[:8]
    b = DES.new(single, DES.MODE_CBC, iv=bytes(8)).decrypt(challenge)  # noqa: S304 - so is the card
    plain = DES.new(single, DES.MODE_CBC, iv=challenge).decrypt(token)  # noqa: S304
    if plain[8:] != b[1:] + b[:1]:
        return None
    return Session(AUTHENTICATE_ISO, plain[:4] + b[:4], iv=bytes(8))


def open_aes(key: bytes, challenge: bytes, token: bytes, _: bytes) -> Session | None:
    decrypted = AES.new(key, AES.MODE_ECB).decrypt(challenge + token)
    b, plain = decrypted[:16], xor(decrypted[16:], challenge + token[:16])
    if plain[16:] != b[1:] + b[:1]:
        return None
    session_key = plain[:4] + b[:4] + plain[12:16] + b[12:16]
    return Session(AUTHENTICATE_AES, session_key, iv=bytes(16))


def open_ev2(key: bytes, challenge: bytes, token: bytes, proof: bytes) -> Session | None:
    decrypted = AES.new(key, AES.MODE_ECB).decrypt(challenge + token)
    b, plain = decrypted[:16], xor(decrypted[16:], bytes(16) + token[:16])
    if plain[16:] != b[1:] + b[:1]:
        return None
    a = plain[:16]
    context = b"\x00\x01\x00\x80" + a[:2] + xor(a[2:8], b[:6]) + b[6:] + a[8:]
    ti = AES.new(key, AES.MODE_CBC, iv=bytes(16)).decrypt(proof)[:4]
    encryption = CMAC.new(key, b"\xa5\x5a" + context, ciphermod=AES).digest()
    mac = CMAC.new(key, b"\x5a\xa5" + context, ciphermod=AES).digest()
    return Session(AUTHENTICATE_EV2, encryption, mac=mac, ti=ti)


def _ev2_plain(session: Session, exchange: Exchange) -> bytes | None:
    """Decrypt a command; its counter is what its MAC says, so no answer is needed to follow."""
    counter = session.counter
    session.counter += 1
    if exchange.ins not in ENCIPHERED:
        return None
    assert session.ti is not None
    header = exchange.body[: ENCIPHERED[exchange.ins]]
    cipher, mac = exchange.body[len(header) : -8], exchange.body[-8:]
    count = counter.to_bytes(2, "little")
    covered = bytes((exchange.ins,)) + count + session.ti + header + cipher
    assert CMAC.new(session.mac, covered, ciphermod=AES).digest()[1::2] == mac
    iv = AES.new(session.key, AES.MODE_ECB).encrypt(b"\xa5\x5a" + session.ti + count + bytes(8))
    return AES.new(session.key, AES.MODE_CBC, iv=iv).decrypt(cipher)


def _ev1_plain(session: Session, exchange: Exchange) -> bytes | None:
    """Decrypt a command, and follow the IV through command and answer."""
    plain = None
    if exchange.ins in ENCIPHERED:
        cipher = exchange.body[ENCIPHERED[exchange.ins] :]
        plain = _block_cipher(session).decrypt(cipher)
        session.iv = cipher[-len(session.iv) :]
    else:
        session.iv = _chained_mac(session, bytes((exchange.ins,)) + exchange.body)
    if exchange.ins in ENCIPHERED_ANSWERS:
        session.iv = exchange.answer[-len(session.iv) :]
    elif exchange.answer:
        mac = _chained_mac(session, exchange.answer[:-8] + b"\x00")
        assert mac[:8] == exchange.answer[-8:]
        session.iv = mac
    return plain


def _block_cipher(session: Session) -> "AES.CbcMode":
    module = DES if session.kind == AUTHENTICATE_ISO else AES
    return module.new(session.key, module.MODE_CBC, iv=session.iv)  # type: ignore[no-any-return]


def _chained_mac(session: Session, message: bytes) -> bytes:
    """CMAC that begins with the IV (NIST SP 800-38B otherwise)."""
    block = len(session.iv)
    module = DES if block == 8 else AES
    poly = 0x1B if block == 8 else 0x87
    subkey = int.from_bytes(module.new(session.key, module.MODE_ECB).encrypt(bytes(block)))
    bits = 8 * block

    def doubled(value: int) -> int:
        return (value << 1 & (1 << bits) - 1) ^ (poly if value >> bits - 1 else 0)

    subkey = doubled(subkey)
    if not message or len(message) % block:
        subkey = doubled(subkey)
        message += b"\x80" + bytes(-(len(message) + 1) % block)
    last = xor(message[-block:], subkey.to_bytes(block))
    encrypted = _block_cipher(session).encrypt(message[:-block] + last)
    return bytes(encrypted[-block:])


def crc32(data: bytes) -> bytes:
    """Return the card's CRC32: the usual one without its last inversion, low byte first."""
    return (zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


def xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
