"""The command interpreter of a CPS3: chaining, GET RESPONSE, and which command does what."""

from collections.abc import Callable
from dataclasses import replace

from simulators.cps.activation import Activation
from simulators.cps.apdu import GET_RESPONSE, Answering, Command, parse
from simulators.cps.commands import codes, cryptography, files, objects
from simulators.cps.status import Refusal, Status

LONGEST_CHAIN = 512

COMMANDS: dict[int, Callable[[Activation, Command], bytes]] = {
    0x20: codes.verify,
    0x22: cryptography.mse_set,
    0x24: codes.change,
    0x2A: cryptography.perform_operation,
    0x2C: codes.reset_retry_counter,
    0x88: cryptography.internal_authenticate,
    0xA4: files.select,
    0xB0: files.read_binary,
    0xCB: objects.get_data,
    0xD6: files.update_binary,
}


class Interpreter:
    """Runs commands on one activation."""

    def __init__(self, activation: Activation) -> None:
        self.activation = activation
        self._answering = Answering(activation.face)
        self._chain: Command | None = None

    def run(self, apdu: bytes) -> bytes:
        """Answer a command APDU; any bytes get a status word."""
        try:
            return self._run(parse(apdu, self.activation.face))
        except Refusal as refusal:
            self._chain = None
            if refusal.status >> 8 != Status.EXACT_LENGTH >> 8:
                self._answering.forget()
            return refusal.status.to_bytes(2)

    def _run(self, command: Command) -> bytes:
        if command.ins == GET_RESPONSE and self._chain is None:
            return self._answering.fetch(command)
        self._answering.forget()
        handler = COMMANDS.get(command.ins)
        if handler is None:
            raise Refusal(Status.UNKNOWN_INSTRUCTION)
        command = self._joined(command)
        if command.chained:
            return Status.OK.to_bytes(2)
        return self._answering.answer(command, handler(self.activation, command))

    def _joined(self, command: Command) -> Command:
        """Return the command with what its chain has brought so far."""
        chain, self._chain = self._chain, None
        if chain is not None:
            if (chain.ins, chain.p1, chain.p2) != (command.ins, command.p1, command.p2):
                raise Refusal(Status.LAST_OF_CHAIN)
            command = replace(command, data=chain.data + command.data)
        if command.chained:
            if command.ins != 0x2A or len(command.data) > LONGEST_CHAIN:
                raise Refusal(Status.NO_CHAINING)
            self._chain = command
        return command
