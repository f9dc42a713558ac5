"""Commands on the PICC: what it is, what it holds, how it is set up."""

from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.keys import DesfireKey
from cardd.desfire.version import VERSION_BYTES, Version
from cardd.iso7816.exchange import Exchange

UID_BYTES = 7

_FULL = CommunicationMode.FULL
_DEFAULT_KEY_OPTION = b"\x01"
_DEFAULT_KEY_FIELD_BYTES = 24


class PiccCommands(Channel):
    """Commands on the PICC itself."""

    def get_version(self) -> Exchange[Version]:
        """GetVersion. Unauthenticated, the answer proves nothing."""
        size = (VERSION_BYTES, VERSION_BYTES)
        return (yield from self.ask(Command(Ins.GET_VERSION, answer_bytes=size), Version.parse))

    def get_card_uid(self) -> Exchange[bytes]:
        """GetCardUID: return the real 7-byte UID, enciphered on its way (AN12343, p. 15-17).

        Other UID lengths are refused: their answers' layout is unpublished.
        """
        size = (UID_BYTES, UID_BYTES)
        command = Command(Ins.GET_CARD_UID, mode=_FULL, answer_bytes=size)
        return (yield from self.perform(command))

    def free_memory(self) -> Exchange[int]:
        """FreeMem: return the bytes that are free."""
        answer = yield from self.perform(Command(Ins.FREE_MEM, answer_bytes=(3, 3)))
        return int.from_bytes(answer, "little")

    def format_picc(self) -> Exchange[None]:
        """FormatPICC: delete every application and file. Needs the PICC master key."""
        yield from self.perform(Command(Ins.FORMAT_PICC))

    def set_default_key(self, key: DesfireKey) -> Exchange[None]:
        """SetConfiguration 01: the key and version that new applications start with.

        Needs the PICC master key. The body is the key zero-padded to 24 bytes and the version, as
        open implementations send it: no published vector, not confirmed on a card.
        """
        body = key.stored().reveal().ljust(_DEFAULT_KEY_FIELD_BYTES, b"\x00")
        yield from self.perform(
            Command(
                Ins.SET_CONFIGURATION,
                header=_DEFAULT_KEY_OPTION,
                data=body + bytes((key.version,)),
                mode=_FULL,
            )
        )
