"""Commands on the PICC: what it is, what it holds, how it is set up."""

from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.keys import DesfireKey
from cardd.desfire.originality import SIGNATURE_BYTES
from cardd.desfire.version import UID_FIELD_BYTES, VERSION_BYTES, Version, parse_uid
from cardd.iso7816.exchange import Exchange

_FULL = CommunicationMode.FULL
_PICC_OPTION, _DEFAULT_KEY_OPTION, _ATS_OPTION = b"\x00", b"\x01", b"\x02"
_DISABLE_FORMAT, _RANDOM_UID = 0x01, 0x02
_DEFAULT_KEY_FIELD_BYTES = 24
_NXP_SIGNATURE = b"\x00"
_ATS_INTERFACE_BYTES = 0x70
_ATS_HISTORICAL_BYTES = 15


class PiccCommands(Channel):
    """Commands on the PICC itself."""

    def get_version(self) -> Exchange[Version]:
        """GetVersion. Unauthenticated, the answer proves nothing."""
        size = (VERSION_BYTES[0], VERSION_BYTES[-1])
        return (yield from self.ask(Command(Ins.GET_VERSION, answer_bytes=size), Version.parse))

    def get_card_uid(self) -> Exchange[bytes]:
        """GetCardUID: return the real UID, enciphered on its way (AN12343, p. 15-17).

        It has 7 bytes; for 4 and 10 see `version.parse_uid`.
        """
        size = (UID_FIELD_BYTES[0], UID_FIELD_BYTES[-1])
        return (
            yield from self.ask(Command(Ins.GET_CARD_UID, mode=_FULL, answer_bytes=size), parse_uid)
        )

    def read_signature(self) -> Exchange[bytes]:
        """Read_Sig: return NXP's signature of the UID, 56 bytes, for `originality.verify`.

        RuntimeError in a session, where the answer's protection is not published for a DESFire.
        """
        if self.session is not None:
            raise RuntimeError("read the signature before authentication, or select anew")
        size = (SIGNATURE_BYTES, SIGNATURE_BYTES)
        command = Command(Ins.READ_SIGNATURE, _NXP_SIGNATURE, answer_bytes=size)
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
        yield from self._configure(_DEFAULT_KEY_OPTION, body + bytes((key.version,)))

    def set_picc_configuration(
        self, *, format_disabled_for_ever: bool = False, random_uid_for_ever: bool = False
    ) -> Exchange[None]:
        """SetConfiguration 00: what no command takes back. Needs the PICC master key.

        Without formatting, memory of deleted applications is lost; with a random UID, the real one
        is told by `get_card_uid` alone. Nothing else has an effect on an existing card, and what is
        set stays set. A random UID travels as AN12196, table 27, shows it for an NTAG 424 DNA; the
        other bit is as libfreefare sends it, not confirmed on a card.
        """
        if not format_disabled_for_ever and not random_uid_for_ever:
            raise ValueError("say what is to be set for ever")
        byte = format_disabled_for_ever * _DISABLE_FORMAT | random_uid_for_ever * _RANDOM_UID
        yield from self._configure(_PICC_OPTION, bytes((byte,)))

    def set_ats(self, ats: bytes) -> Exchange[None]:
        """SetConfiguration 02: the ATS, with its length byte, 2 to 20 bytes. Needs the PICC key.

        A card whose ATS a reader does not take is lost to it; hence the form is checked here
        (ISO/IEC 14443-4, 5.2). No published vector, not confirmed on a card.
        """
        if not _is_ats(ats):
            raise ValueError("an ATS begins with its length and T0, and holds what T0 says")
        yield from self._configure(_ATS_OPTION, ats, length_varies=True)

    def _configure(
        self, option: bytes, data: bytes, *, length_varies: bool = False
    ) -> Exchange[None]:
        yield from self.perform(
            Command(
                Ins.SET_CONFIGURATION,
                header=option,
                data=data,
                mode=_FULL,
                length_varies=length_varies,
            )
        )


def _is_ats(ats: bytes) -> bool:
    if len(ats) < 2 or ats[0] != len(ats) or ats[1] & 0x80:
        return False
    least = 2 + (ats[1] & _ATS_INTERFACE_BYTES).bit_count()
    return least <= len(ats) <= least + _ATS_HISTORICAL_BYTES
