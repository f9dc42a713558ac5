"""The commands of class 00: which there are, and what becomes of a refusal."""

from collections.abc import Callable

from simulators.desfire.activation import Activation
from simulators.desfire.iso import files
from simulators.desfire.iso.authentication import IsoAuthentication
from simulators.desfire.iso.command import NATIVE, IsoCommand, IsoRefusal, StatusWord
from simulators.desfire.iso.selection import select
from simulators.desfire.status import Refusal

GET_CHALLENGE, EXTERNAL_AUTHENTICATE, INTERNAL_AUTHENTICATE = 0x84, 0x82, 0x88
SELECT, READ_BINARY, UPDATE_BINARY = 0xA4, 0xB0, 0xD6
READ_RECORDS, APPEND_RECORD = 0xB2, 0xE2

Handler = Callable[[Activation, IsoCommand], bytes]


class IsoInterpreter:
    """Runs the commands of class 00 on one activation."""

    def __init__(self, activation: Activation) -> None:
        self.activation = activation
        self._authentication = IsoAuthentication()
        self._commands: dict[int, Handler] = {
            GET_CHALLENGE: self._authentication.get_challenge,
            EXTERNAL_AUTHENTICATE: self._authentication.external,
            INTERNAL_AUTHENTICATE: self._authentication.internal,
            SELECT: select,
            READ_BINARY: files.read_binary,
            UPDATE_BINARY: files.update_binary,
            READ_RECORDS: files.read_records,
            APPEND_RECORD: files.append_record,
        }

    def forget(self) -> None:
        """Break off an authentication that is under way, as every other command does."""
        self._authentication.forget()

    def run(self, apdu: bytes) -> bytes:
        """Answer a command APDU; raise IsoRefusal, which ends what was under way."""
        try:
            return self._run(IsoCommand.parse(apdu))
        except files.EndOfFile as end:
            return end.answer + StatusWord.END_OF_FILE.to_bytes(2)
        except Refusal as refusal:
            raise IsoRefusal(NATIVE.get(refusal.status, StatusWord.CONDITIONS)) from refusal

    def _run(self, command: IsoCommand) -> bytes:
        handler = self._commands.get(command.ins)
        if handler is None:
            raise IsoRefusal(StatusWord.INSTRUCTION)
        if command.ins not in {EXTERNAL_AUTHENTICATE, INTERNAL_AUTHENTICATE}:
            self.forget()
        return handler(self.activation, command) + StatusWord.OK.to_bytes(2)
