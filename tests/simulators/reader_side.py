"""The reader's side of a DESFire, enough of it to drive the virtual cards in tests.

It shares the primitives with the cards (the published vectors hold those), not the protocol.
"""

from dataclasses import dataclass, field

from simulators.desfire import VirtualDesfire
from simulators.desfire.crypto import (
    Cipher,
    KeyType,
    cmac,
    crc16,
    crc32,
    pad_00,
    pad_80,
    rotate_left,
    xor,
)
from simulators.desfire.keys import Key, ev1_session_cipher, ev2_session_ciphers

APP = bytes.fromhex("563412")
ZEROS = bytes(16)
RND_A = bytes(range(16))


def native(card: VirtualDesfire, frame: bytes) -> bytes:
    """Wrap a native frame, send it, and return status and data."""
    body = bytes((len(frame) - 1,)) + frame[1:] if len(frame) > 1 else b""
    answer = card.transmit(b"\x90" + frame[:1] + b"\0\0" + body + b"\0")
    assert answer[-2] == 0x91, answer.hex()
    return answer[-1:] + answer[:-2]


def status(card: VirtualDesfire, frame: str) -> int:
    """Send a frame written in hex and return its status alone."""
    return native(card, bytes.fromhex(frame))[0]


class Rejected(Exception):
    """The card answered with an error status."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code:02X}")
        self.code = code


def exchange(card: VirtualDesfire, frame: bytes) -> bytes:
    """Send a frame, fetch all of its answer, and raise Rejected for an error."""
    data = b""
    while True:
        answer = native(card, frame)
        data += answer[1:]
        if answer[0] == 0:
            return data
        if answer[0] != 0xAF:
            raise Rejected(answer[0])
        frame = b"\xaf"


def make_application(card: VirtualDesfire, *, keys: int = 3, settings: int = 0x0F) -> None:
    """Create the AES application APP without a session, and select it."""
    exchange(card, b"\xca" + APP + bytes((settings, 0x80 | keys)))
    exchange(card, b"\x5a" + APP)


@dataclass
class D40Reader:
    """A D40 session, reader's side: it deciphers whatever it sends."""

    card: VirtualDesfire
    cipher: Cipher

    @classmethod
    def authenticate(
        cls, card: VirtualDesfire, number: int = 0, key: Key | None = None
    ) -> "D40Reader":
        key = key or Key(KeyType.DES, ZEROS)
        challenge = native(card, bytes((0x0A, number)))
        if challenge[0] != 0xAF:
            raise Rejected(challenge[0])
        rnd_b, rnd_a = key.cipher.decrypt(challenge[1:], bytes(8)), RND_A[:8]
        answer = exchange(card, b"\xaf" + _sent(key.cipher, rnd_a + rotate_left(rnd_b)))
        assert key.cipher.decrypt(answer, bytes(8)) == rotate_left(rnd_a)
        return cls(card, ev1_session_cipher(key, rnd_a, rnd_b))

    def mac(self, data: bytes) -> bytes:
        return self.cipher.encrypt(pad_00(data, 8), bytes(8))[-8:-4]

    def send_full(self, frame: bytes, data: bytes, trailer: bytes = b"") -> bytes:
        """Send a command whose data is enciphered after the bytes of `frame`."""
        plain = pad_00(data + crc16(data) + trailer, 8)
        return exchange(self.card, frame + _sent(self.cipher, plain))

    def read_full(self, frame: bytes, length: int) -> bytes:
        """Send a command whose answer is enciphered."""
        plain = self.cipher.decrypt(exchange(self.card, frame), bytes(8))
        assert plain[length : length + 2] == crc16(plain[:length])
        return plain[:length]

    def change_key(self, number: int, new: bytes, old: bytes | None = None) -> None:
        """Change a DES key; `old` is given when it is not the session's own."""
        trailer = b"" if old is None else crc16(new)
        self.send_full(bytes((0xC4, number)), new if old is None else xor(new, old), trailer)


def _sent(cipher: Cipher, plain: bytes) -> bytes:
    sent, before = b"", bytes(8)
    for start in range(0, len(plain), 8):
        before = cipher.decrypt(xor(plain[start : start + 8], before), bytes(8))
        sent += before
    return sent


@dataclass
class Ev1Reader:
    """An EV1 session, reader's side."""

    card: VirtualDesfire
    cipher: Cipher
    iv: bytes = b""

    @classmethod
    def authenticate(
        cls, card: VirtualDesfire, number: int = 0, key: Key | None = None
    ) -> "Ev1Reader":
        key = key or Key(KeyType.AES, ZEROS)
        command = 0xAA if key.type is KeyType.AES else 0x1A
        challenge = native(card, bytes((command, number)))
        if challenge[0] != 0xAF:
            raise Rejected(challenge[0])
        block = key.cipher.block_bytes
        rnd_b = key.cipher.decrypt(challenge[1:], bytes(block))
        rnd_a = RND_A[: len(rnd_b)]
        token = key.cipher.encrypt(rnd_a + rotate_left(rnd_b), challenge[-block:])
        answer = exchange(card, b"\xaf" + token)
        assert key.cipher.decrypt(answer, token[-block:]) == rotate_left(rnd_a)
        return cls(card, ev1_session_cipher(key, rnd_a, rnd_b), bytes(block))

    def send(self, frame: bytes, *, mac: bool = False) -> bytes:
        """Send a command that is not enciphered, and check the CMAC of its answer."""
        token = self._mac(frame)
        answer = exchange(self.card, frame + (token if mac else b""))
        data, received = answer[:-8], answer[-8:]
        assert received == self._mac(data + b"\0")
        return data

    def send_full(
        self, frame: bytes, data: bytes, trailer: bytes = b"", *, bare: bool = False
    ) -> bytes:
        """Send a command whose data is enciphered after the bytes of `frame`."""
        plain = data + crc32(frame + data) + trailer
        cryptogram = self.cipher.encrypt(pad_00(plain, self.cipher.block_bytes), self.iv)
        self.iv = cryptogram[-self.cipher.block_bytes :]
        answer = exchange(self.card, frame + cryptogram)
        if bare:
            return answer
        assert answer[-8:] == self._mac(answer[:-8] + b"\0")
        return answer[:-8]

    def read_full(self, frame: bytes, length: int) -> bytes:
        """Send a command whose answer is enciphered."""
        self._mac(frame)
        answer = exchange(self.card, frame)
        plain = self.cipher.decrypt(answer, self.iv)
        self.iv = answer[-self.cipher.block_bytes :]
        assert plain[length : length + 4] == crc32(plain[:length] + b"\0")
        return plain[:length]

    def change_key(self, number: int, new: bytes, version: int, old: bytes | None = None) -> None:
        """Change an AES key; `old` is given when it is not the session's own."""
        field_ = new if old is None else xor(new, old)
        trailer = b"" if old is None else crc32(new)
        body = field_ + bytes((version,))
        self.send_full(bytes((0xC4, number)), body, trailer, bare=old is None)

    def _mac(self, message: bytes) -> bytes:
        self.iv = cmac(self.cipher, message, self.iv)
        return self.iv[:8]


@dataclass
class Ev2Reader:
    """An EV2 session, reader's side."""

    card: VirtualDesfire
    ciphers: tuple[Cipher, Cipher]
    ti: bytes
    counter: int = field(default=0)

    @classmethod
    def authenticate(cls, card: VirtualDesfire, number: int = 0, key: bytes = ZEROS) -> "Ev2Reader":
        cipher = Cipher(KeyType.AES, key)
        challenge = native(card, bytes((0x71, number, 0)))
        if challenge[0] != 0xAF:
            raise Rejected(challenge[0])
        rnd_b = cipher.decrypt(challenge[1:], ZEROS)
        token = cipher.encrypt(RND_A + rotate_left(rnd_b), ZEROS)
        plain = cipher.decrypt(exchange(card, b"\xaf" + token), ZEROS)
        assert plain[4:20] == rotate_left(RND_A)
        return cls(card, ev2_session_ciphers(Key(KeyType.AES, key), RND_A, rnd_b), plain[:4])

    def send(self, frame: bytes, data: bytes | None = None, *, full: bool = False) -> bytes:
        """Send a command with MAC; `data` is enciphered, `full` says that the answer is."""
        if data is not None:
            frame += self.ciphers[0].encrypt(pad_80(data, 16), self._iv("A55A"))
        answer = exchange(self.card, frame + self._mac(frame[:1], frame[1:]))
        self.counter += 1
        if not answer:
            return b""  # the session has ended with a change of its own key
        body, token = answer[:-8], answer[-8:]
        assert token == self._mac(b"\0", body)
        if not full:
            return body
        plain = self.ciphers[0].decrypt(body, self._iv("5AA5"))
        return plain[: plain.rindex(b"\x80")]

    def change_key(self, number: int, new: bytes, version: int, old: bytes | None = None) -> None:
        """Change a key; `old` is given when it is not the session's own."""
        body = (new if old is None else xor(new, old)) + bytes((version,))
        self.send(bytes((0xC4, number)), body + (b"" if old is None else crc32(new)))

    def _iv(self, label: str) -> bytes:
        seed = bytes.fromhex(label) + self.ti + self.counter.to_bytes(2, "little") + bytes(8)
        return self.ciphers[0].encrypt(seed, ZEROS)

    def _mac(self, first: bytes, body: bytes) -> bytes:
        counter = self.counter.to_bytes(2, "little")
        return cmac(self.ciphers[1], first + counter + self.ti + body)[1::2]
