"""A virtual DESFire card: APDUs in, APDUs out, and the chip's state in between."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from simulators.desfire import listing, originality, storage
from simulators.desfire.activation import Activation, Random
from simulators.desfire.answer_to_select import answer_to_reset
from simulators.desfire.chip import FACTORY_ATS, Chip
from simulators.desfire.framing import CLA_ISO, MalformedCommand, unwrap, wrap
from simulators.desfire.interpreter import Interpreter
from simulators.desfire.iso.command import IsoRefusal, StatusWord
from simulators.desfire.iso.interpreter import IsoInterpreter
from simulators.desfire.product import Product

CLA_READER = 0xFF
USUAL_UID_BYTES = 7
USUAL_STORAGE_KIB = 4
NXP = b"\x04"
RANDOM_UID_PREFIX = b"\x08"


class VirtualDesfire:
    """A virtual DESFire EV1, EV2 or EV3. Used by one thread at a time.

    `commands` keeps every APDU that reached the card or the reader's own `FF CA`.
    `reader_frame_bytes` is the longest frame that its reader takes, which it learns when it is
    activated: most PC/SC readers take 256 bytes (assumption), libnfc's 64.
    """

    reader_frame_bytes = 256

    atr = answer_to_reset(FACTORY_ATS)

    def __init__(self, chip: Chip, rng: Random = secrets.token_bytes) -> None:
        self._rng = rng
        self.commands: list[bytes] = []
        self._power(chip)

    @classmethod
    def factory(
        cls,
        product: str,
        *,
        uid: bytes | None = None,
        storage_kib: int = USUAL_STORAGE_KIB,
        rng: Random = secrets.token_bytes,
    ) -> "VirtualDesfire":
        """Return a card as it leaves the factory. `product` is "ev1", "ev2" or "ev3".

        `rng` gives the UID where none is given, the batch number, the key of the originality
        signature, RndB and TI. Raises ValueError for a UID or a storage that the product has not.
        """
        generation = Product(product)
        if uid is None:
            uid = NXP + rng(USUAL_UID_BYTES - 1)
        _require(len(uid), generation.uid_lengths, f"a UID of {product} in bytes")
        _require(storage_kib, generation.storages_kib, f"the storage of {product} in KiB")
        chip = Chip.factory(generation, uid, rng(5), storage_kib)
        return cls(replace(chip, originality_key=originality.new_key(rng)), rng)

    @classmethod
    def from_json(cls, value: object, *, rng: Random = secrets.token_bytes) -> "VirtualDesfire":
        """Return the card of a JSON value; raise ValueError that says which field is wrong."""
        return cls(storage.load(value), rng)

    def to_json(self) -> dict[str, Any]:
        """Return what the chip keeps without power, as JSON-ready values."""
        return storage.dump(self.chip)

    @property
    def chip(self) -> Chip:
        """What the chip keeps without power."""
        return self._activation.chip

    @property
    def uid(self) -> bytes:
        """The real UID, whatever the card shows."""
        return self.chip.uid

    def describe(self) -> Iterator[str]:
        """Yield what is on the chip, as lines for people."""
        return listing.describe(self.chip)

    def power_on(self) -> None:
        """Enter the field: no session, PICC level selected, a new random UID if it shows one."""
        self._power(self.chip)

    def power_off(self) -> None:
        """Leave the field."""
        self._power(self.chip)

    def reset(self) -> None:
        """Leave the field and enter it again."""
        self._power(self.chip)

    def _power(self, chip: Chip) -> None:
        frame_bytes = self.reader_frame_bytes
        self._activation = Activation(chip, self._rng, reader_frame_bytes=frame_bytes)
        self._interpreter = Interpreter(self._activation)
        self._iso = IsoInterpreter(self._activation)
        self.atr = answer_to_reset(chip.ats)
        self._ats = chip.ats
        self._shown_uid = RANDOM_UID_PREFIX + self._rng(3) if chip.random_uid else chip.uid

    def transmit(self, command: bytes) -> bytes:
        """Answer a command APDU; any bytes get a status word."""
        self.commands.append(bytes(command))
        if command[:1] == bytes((CLA_READER,)):
            return self._reader_command(command)
        try:
            if command[:1] == bytes((CLA_ISO,)):
                return self._iso_command(command)
            self._iso.forget()
            ins, data = unwrap(command)
        except (MalformedCommand, IsoRefusal) as refused:
            self._interpreter.forget()
            self._iso.forget()
            return refused.status_word.to_bytes(2)
        return wrap(*self._interpreter.run(ins, data))

    def _iso_command(self, command: bytes) -> bytes:
        if self._interpreter.waiting:
            raise IsoRefusal(StatusWord.CONDITIONS)
        return self._iso.run(command)

    def _reader_command(self, command: bytes) -> bytes:
        """Answer GET DATA as the reader does for a contactless card (PC/SC part 3, 3.2.2.1.3)."""
        if len(command) != 5:
            return b"\x67\x00"
        values = {b"\xca\x00\x00": self._shown_uid, b"\xca\x01\x00": self._ats}
        value = values.get(bytes(command[1:4]))
        if value is None:
            return b"\x6a\x81"
        asked = command[4] or len(value)
        if asked < len(value):
            return bytes((0x6C, len(value)))
        return value + (b"\x90\x00" if asked == len(value) else b"\x62\x82")


def _require(value: int, allowed: tuple[int, ...], what: str) -> None:
    if value not in allowed:
        raise ValueError(f"{what}: {value} is none of {', '.join(map(str, allowed))}")
