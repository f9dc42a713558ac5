"""A virtual CPS3: APDUs in, APDUs out, and the chip's state in between."""

from collections.abc import Iterator
from typing import Any

from simulators.cps import layout
from simulators.cps.activation import Activation
from simulators.cps.chip import Chip, Face
from simulators.cps.interpreter import Interpreter
from simulators.cps.listing import describe
from simulators.cps.storage import KIND, dump, load

ATRS = {Face.CONTACT: layout.ATR_CONTACT, Face.CONTACTLESS: layout.ATR_CONTACTLESS}


class VirtualCps:
    """A virtual CPS, CPF or CPE of generation CPS3, shown to a reader by one of its faces.

    Used by one thread at a time. `commands` keeps every APDU that reached the card, PINs included.
    """

    kind = KIND

    def __init__(self, chip: Chip, face: Face = Face.CONTACT) -> None:
        self.commands: list[bytes] = []
        self._power(chip, face)

    @classmethod
    def from_json(cls, value: object) -> "VirtualCps":
        """Return the card of a JSON value; raise ValueError that says which field is wrong."""
        return cls(load(value))

    def to_json(self) -> dict[str, Any]:
        """Return what the chip keeps without power, as JSON-ready values."""
        return dump(self.chip)

    @property
    def chip(self) -> Chip:
        """What the chip keeps without power."""
        return self._activation.chip

    @property
    def face(self) -> Face:
        """The face in use."""
        return self._activation.face

    @property
    def atr(self) -> bytes:
        """The answer to reset of the face in use."""
        return ATRS[self.face]

    def turn(self, face: Face) -> None:
        """Show the other face, without power."""
        self._power(self.chip, face)

    def describe(self) -> Iterator[str]:
        """Yield what is on the card, as lines for people."""
        return describe(self.chip)

    def power_on(self) -> None:
        """Get power: nothing selected but the MF, nothing verified."""
        self._power(self.chip, self.face)

    def power_off(self) -> None:
        """Lose power."""
        self._power(self.chip, self.face)

    def reset(self) -> None:
        """Be reset, which drops the security state."""
        self._power(self.chip, self.face)

    def _power(self, chip: Chip, face: Face) -> None:
        self._activation = Activation(chip, face)
        self._interpreter = Interpreter(self._activation)

    def transmit(self, command: bytes) -> bytes:
        """Answer a command APDU; any bytes get a status word."""
        self.commands.append(bytes(command))
        return self._interpreter.run(bytes(command))
