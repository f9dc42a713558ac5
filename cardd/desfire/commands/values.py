"""Commands on value files."""

from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.fields import VALUE_BYTES, encode_file_number, encode_value, parse_value
from cardd.iso7816.exchange import Exchange


class ValueCommands(Channel):
    """Tell and change the value of a value file.

    `mode` is as for data files. Changes wait for `commit_transaction`; amounts are 0 to 2^31 - 1,
    and the card refuses one that passes a limit (BOUNDARY_ERROR). The amount is data as WriteData
    has it, with a MAC in MAC mode in D40 and EV1 sessions too (libfreefare and proxmark3; no trace
    of these commands in a session is published).
    """

    def get_value(self, number: int, mode: CommunicationMode) -> Exchange[int]:
        """GetValue: return the committed value, signed."""
        command = Command(
            Ins.GET_VALUE,
            encode_file_number(number),
            mode=mode,
            answer_bytes=(VALUE_BYTES, VALUE_BYTES),
        )
        return (yield from self.ask(command, parse_value))

    def credit(self, number: int, amount: int, mode: CommunicationMode) -> Exchange[None]:
        """Credit: add an amount."""
        return self._change_value(Ins.CREDIT, number, amount, mode)

    def debit(self, number: int, amount: int, mode: CommunicationMode) -> Exchange[None]:
        """Debit: subtract an amount."""
        return self._change_value(Ins.DEBIT, number, amount, mode)

    def limited_credit(self, number: int, amount: int, mode: CommunicationMode) -> Exchange[None]:
        """LimitedCredit: give back at most what the last transaction debited.

        The file must allow it, which `ValueFileSettings.limited_credit` says.
        """
        return self._change_value(Ins.LIMITED_CREDIT, number, amount, mode)

    def _change_value(
        self, ins: Ins, number: int, amount: int, mode: CommunicationMode
    ) -> Exchange[None]:
        if amount < 0:
            raise ValueError("an amount is not negative")
        header = encode_file_number(number)
        yield from self.perform(Command(ins, header, encode_value(amount), mode))
