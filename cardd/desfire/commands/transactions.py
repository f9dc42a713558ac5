"""Commands that end a transaction."""

from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, Ins
from cardd.iso7816.exchange import Exchange


class TransactionCommands(Channel):
    """Make the changes of backup, value and record files hold, or drop them.

    Selecting, an error status and a card that leaves the field drop them too. A card answers
    NO_CHANGES where there are none. In a session both are MACed whatever the files' mode (EV2
    answers LENGTH_ERROR without: Stack Overflow 76939288).
    """

    def commit_transaction(self) -> Exchange[None]:
        """CommitTransaction: all changes since the last one hold, or none do."""
        yield from self.perform(Command(Ins.COMMIT_TRANSACTION))

    def abort_transaction(self) -> Exchange[None]:
        """AbortTransaction: drop the changes."""
        yield from self.perform(Command(Ins.ABORT_TRANSACTION))
