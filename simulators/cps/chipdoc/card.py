"""A virtual CPS4 contact card: APDUs in, APDUs out.

The reader's protocol is seen by the form of a command. With Le, as on T=1, an answer comes at once;
without, as on T=0, `61 xx` announces it to GET RESPONSE. The T=0 card answers 61 xx always, and
6C xx to a wrong length.
"""

from collections.abc import Callable, Iterator
from typing import Any

from simulators.cps.chipdoc import applications, codes, files, listing, security, storage
from simulators.cps.chipdoc.chip import MODULUS_BYTES, Chip
from simulators.cps.chipdoc.command import CHAINED, LONGEST_ANSWER, Command
from simulators.cps.chipdoc.session import Session
from simulators.cps.chipdoc.status import Refusal, Status

GET_RESPONSE = 0xC0
READ_BINARY = 0xB0
PERFORM_SECURITY_OPERATION = 0x2A
MORE_DATA = 0x6100
CLASSES = frozenset({0x00, 0x01, CHAINED | applications.CHIPDOC_CHANNEL, applications.CLA_CPS2TER})

Handler = Callable[[Session, Command], bytes]

COMMANDS: dict[int, Handler] = {
    0x20: codes.verify,
    0x22: security.manage,
    0x24: codes.change,
    PERFORM_SECURITY_OPERATION: security.perform,
    0x2C: codes.unblock,
    0xA4: files.select,
    READ_BINARY: files.read,
    0xD6: files.update,
}


class VirtualCps4:
    """A CPS4 in a contact reader. Used by one thread at a time.

    `commands` keeps every APDU that reached the card, PINs included.
    """

    kind = storage.KIND

    def __init__(self, chip: Chip) -> None:
        self.commands: list[bytes] = []
        self._power(chip)

    @classmethod
    def from_json(cls, value: object) -> "VirtualCps4":
        """Return the card of a JSON value; raise ValueError that says which field is wrong."""
        return cls(storage.load(value))

    def to_json(self) -> dict[str, Any]:
        """Return what the chip keeps without power, as JSON-ready values."""
        return storage.dump(self.chip)

    @property
    def chip(self) -> Chip:
        """What the chip keeps without power."""
        return self._session.chip

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self.chip.product.atr

    def describe(self) -> Iterator[str]:
        """Yield what is on the card, as lines for people."""
        return listing.describe(self.chip)

    def power_on(self) -> None:
        """Get power: no application in hand, no code verified."""
        self._power(self.chip)

    def power_off(self) -> None:
        """Lose power."""
        self._power(self.chip)

    def reset(self) -> None:
        """Be reset, which drops every right."""
        self._power(self.chip)

    def _power(self, chip: Chip) -> None:
        self._session = Session(chip)
        self._chain: tuple[int, int, bytes] | None = None
        self._waiting = b""

    def transmit(self, command: bytes) -> bytes:
        """Answer a command APDU; any bytes get a status word."""
        self.commands.append(bytes(command))
        try:
            return self._answer(Command.parse(command))
        except Refusal as refusal:
            return refusal.status_word.to_bytes(2)

    def _answer(self, command: Command) -> bytes:
        if command.cla not in CLASSES:
            raise Refusal(Status.CLASS_NOT_SUPPORTED)
        waiting, self._waiting = self._waiting, b""
        if command.ins == GET_RESPONSE:
            return self._get_response(command, waiting)
        if command.cla == applications.CLA_CPS2TER:
            self._waiting, status_word = applications.cps2ter(self._session, command)
            return status_word.to_bytes(2)
        application = applications.application_of(command)
        if application is not None:
            return self._deliver(applications.select(self._session, application, command), command)
        applications.require_chipdoc(self._session, command)
        whole = self._unchain(command)
        if whole is None:
            return Status.OK.to_bytes(2)
        handler = COMMANDS.get(whole.ins)
        if handler is None:
            raise Refusal(Status.INSTRUCTION_NOT_SUPPORTED)
        return self._deliver(handler(self._session, whole), whole)

    def _unchain(self, command: Command) -> Command | None:
        """Return the whole command at the end of a chain, None in the middle of one."""
        chain, self._chain = self._chain, None
        name = (command.ins, command.parameters)
        if chain is not None and chain[:2] != name:
            raise Refusal(Status.LAST_OF_CHAIN_EXPECTED)
        data = (chain[2] if chain is not None else b"") + command.data
        if command.is_chained and command.ins != PERFORM_SECURITY_OPERATION:
            raise Refusal(Status.CHAINING_NOT_SUPPORTED)
        if len(data) > MODULUS_BYTES:
            raise Refusal(Status.WRONG_LENGTH)
        if command.is_chained:
            self._chain = (*name, data)
            return None
        return Command(command.cla, command.ins, command.p1, command.p2, data, command.le)

    def _deliver(self, data: bytes, command: Command) -> bytes:
        """Return an answer as the reader's protocol takes it."""
        if not data:
            return Status.OK.to_bytes(2)
        is_case_2 = not command.data
        at_once = command.le is not None and (self.chip.product.offers_t1 or is_case_2)
        if not at_once:
            self._waiting = data
            return _more(data)
        return self._cut(data, command.le or LONGEST_ANSWER)

    def _get_response(self, command: Command, waiting: bytes) -> bytes:
        if command.parameters or command.data:
            raise Refusal(Status.WRONG_PARAMETERS)
        if not waiting:
            raise Refusal(Status.CONDITIONS_NOT_SATISFIED)
        asked = command.le or LONGEST_ANSWER
        if asked > len(waiting) and not self.chip.product.offers_t1:
            self._waiting = waiting
            raise Refusal(Status.WRONG_LE, len(waiting))
        return self._cut(waiting, asked)

    def _cut(self, data: bytes, asked: int) -> bytes:
        self._waiting = data[asked:]
        tail = _more(self._waiting) if self._waiting else Status.OK.to_bytes(2)
        return data[:asked] + tail


def _more(data: bytes) -> bytes:
    """Return `61 xx`: this much is waiting, 00 for 256 bytes and more."""
    return (MORE_DATA | min(len(data), LONGEST_ANSWER) & 0xFF).to_bytes(2)
