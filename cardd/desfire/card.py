"""A DESFire as its reader sees it: one method per command, each an exchange.

The card layer says in which mode a command travels; what that means is secure messaging's. An
error status, a wrong MAC and an exchange given up half-way end the session.
"""

from cardd.desfire.commands.applications import ApplicationCommands
from cardd.desfire.commands.authentication import AuthenticationCommands
from cardd.desfire.commands.data import DataCommands
from cardd.desfire.commands.files import FileCommands
from cardd.desfire.commands.keys import KeyCommands
from cardd.desfire.commands.picc import PiccCommands
from cardd.desfire.commands.records import RecordCommands
from cardd.desfire.commands.transactions import TransactionCommands
from cardd.desfire.commands.values import ValueCommands


class DesfireCard(
    PiccCommands,
    ApplicationCommands,
    AuthenticationCommands,
    KeyCommands,
    FileCommands,
    DataCommands,
    ValueCommands,
    RecordCommands,
    TransactionCommands,
):
    """A DESFire, of which nothing is known but what was done to it here.

    Every method returns an exchange; run it to its end before the next. Common errors:
    CardStatusError where the card answers with an error status (for authentication with a key it
    does not share: AUTHENTICATION_ERROR), CardProtocolError where an answer is malformed or its
    protection is wrong, ValueError and RuntimeError for the caller's own mistakes.
    """
