"""A DESFire as its reader sees it: one method per command, each an exchange.

The card layer says in which mode a command travels; what that means is secure messaging's. An
error status, a wrong MAC and an exchange given up half-way end the session.
"""

from cardd.desfire import applications, files
from cardd.desfire.applications import ApplicationSettings, KeySettings, encode_aid, parse_aids
from cardd.desfire.authentication import AuthenticationScheme, Ev2NonFirstHandshake, handshake
from cardd.desfire.channel import Channel
from cardd.desfire.cipher import xor
from cardd.desfire.commands import Command, CommunicationMode, Ins
from cardd.desfire.files import FileSettings, encode_file_number, encode_length
from cardd.desfire.keys import DesfireKey, KeyType, encode_key_number
from cardd.desfire.messaging.ev2 import Ev2Messaging
from cardd.desfire.version import VERSION_BYTES, Version
from cardd.iso7816.exchange import Exchange

UID_BYTES = 7

_FULL = CommunicationMode.FULL
_DEFAULT_KEY_OPTION = b"\x01"
_DEFAULT_KEY_FIELD_BYTES = 24


class DesfireCard(Channel):
    """A DESFire EV1 or later, of which nothing is known but what was done to it here.

    Every method returns an exchange; run it to its end before the next. Common errors:
    CardStatusError where the card answers with an error status (for authentication with a key it
    does not share: AUTHENTICATION_ERROR), CardProtocolError where an answer is malformed or its
    protection is wrong, ValueError and RuntimeError for the caller's own mistakes.
    """

    # The PICC

    def get_version(self) -> Exchange[Version]:
        """GetVersion. Unauthenticated, the answer proves nothing."""
        size = (VERSION_BYTES, VERSION_BYTES)
        return Version.parse((yield from self.perform(Command(Ins.GET_VERSION, answer_bytes=size))))

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

    # Applications

    def select_application(self, aid: int) -> Exchange[None]:
        """SelectApplication; 0 is the PICC. It ends the session."""
        return self.select(aid)

    def get_application_ids(self) -> Exchange[tuple[int, ...]]:
        """GetApplicationIDs, in the card's order."""
        limit = applications.AID_BYTES * applications.MAX_APPLICATIONS
        command = Command(Ins.GET_APPLICATION_IDS, answer_bytes=(0, limit))
        return parse_aids((yield from self.perform(command)))

    def create_application(self, aid: int, settings: ApplicationSettings) -> Exchange[None]:
        """CreateApplication, without ISO identifiers."""
        header = encode_aid(aid) + settings.encode()
        yield from self.perform(Command(Ins.CREATE_APPLICATION, header))

    def delete_application(self, aid: int) -> Exchange[None]:
        """DeleteApplication; deleting the selected one ends the session and selects the PICC."""
        yield from self.perform(Command(Ins.DELETE_APPLICATION, encode_aid(aid)))
        if self.selected == aid:
            self.session, self.selected = None, applications.PICC_AID

    # Authentication

    def authenticate_iso(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateISO with a TDEA key (DES included): EV1 messaging (AN12757, table 20)."""
        return self.authenticate(handshake(AuthenticationScheme.ISO, key_number, key, rnd_a=rnd_a))

    def authenticate_aes(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateAES: EV1 messaging (AN0945, table 22)."""
        return self.authenticate(handshake(AuthenticationScheme.AES, key_number, key, rnd_a=rnd_a))

    def authenticate_ev2_first(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateEV2First: EV2 messaging in a new transaction (AN12343, table 16)."""
        return self.authenticate(
            handshake(AuthenticationScheme.EV2_FIRST, key_number, key, rnd_a=rnd_a)
        )

    def authenticate_ev2_non_first(
        self, key_number: int, key: DesfireKey, *, rnd_a: bytes | None = None
    ) -> Exchange[None]:
        """AuthenticateEV2NonFirst: another key in the transaction that is open (AN12196)."""
        messaging = self.current_session().messaging
        if not isinstance(messaging, Ev2Messaging):
            raise RuntimeError("there is no EV2 session to continue")  # noqa: TRY004 - a state
        return self.authenticate(Ev2NonFirstHandshake(key_number, key, messaging, rnd_a=rnd_a))

    def select_and_authenticate(
        self,
        aid: int,
        key_number: int,
        key: DesfireKey,
        scheme: AuthenticationScheme,
        *,
        rnd_a: bytes | None = None,
    ) -> Exchange[None]:
        """Select an application and authenticate to it: three commands in two steps, a tap.

        The first step holds SelectApplication and the first frame of the authentication.
        """
        attempt = handshake(scheme, key_number, key, rnd_a=rnd_a)
        return self.select_then_authenticate(aid, attempt)

    # Keys

    def change_key(
        self, key_number: int, new_key: DesfireKey, *, old_key: DesfireKey | None = None
    ) -> Exchange[None]:
        """ChangeKey. Changing the session's own key ends the session; others need their old key.

        At PICC level the key number carries the new key's type, which is how a factory PICC's DES
        key becomes AES; no vector is published for that beyond AN12757, table 93 (C4 80), nor for
        TDEA keys of another version than 0. Sources: AN0945 table 33, AN12196 table 25.
        """
        own = key_number == self.current_session().key_number
        if not own and old_key is None:
            raise ValueError("changing another key than the session's needs its old value")
        yield from self.perform(
            _change_key(
                self._wire_key_number(key_number, new_key.type),
                new_key,
                None if own else old_key,
            )
        )

    def get_key_version(self, key_number: int) -> Exchange[int]:
        """GetKeyVersion of a key of the selected application."""
        command = Command(Ins.GET_KEY_VERSION, encode_key_number(key_number), answer_bytes=(1, 1))
        return (yield from self.perform(command))[0]

    def get_key_settings(self) -> Exchange[ApplicationSettings]:
        """GetKeySettings: settings, key count and key type of the selected application."""
        command = Command(Ins.GET_KEY_SETTINGS, answer_bytes=(2, 2))
        return ApplicationSettings.parse((yield from self.perform(command)))

    def change_key_settings(self, settings: KeySettings) -> Exchange[None]:
        """ChangeKeySettings of the selected application. Needs its master key."""
        data = bytes((settings.encode(),))
        yield from self.perform(Command(Ins.CHANGE_KEY_SETTINGS, data=data, mode=_FULL))

    # Files

    def create_std_data_file(self, number: int, settings: FileSettings) -> Exchange[None]:
        """CreateStdDataFile, without ISO identifier; it is filled with zeros."""
        header = encode_file_number(number) + settings.encode()
        yield from self.perform(Command(Ins.CREATE_STD_DATA_FILE, header))

    def delete_file(self, number: int) -> Exchange[None]:
        """DeleteFile."""
        yield from self.perform(Command(Ins.DELETE_FILE, encode_file_number(number)))

    def get_file_ids(self) -> Exchange[tuple[int, ...]]:
        """GetFileIDs, in the card's order."""
        command = Command(Ins.GET_FILE_IDS, answer_bytes=(0, files.MAX_FILES))
        return files.parse_file_numbers((yield from self.perform(command)))

    def get_file_settings(self, number: int) -> Exchange[FileSettings]:
        """GetFileSettings of a standard data file; CardProtocolError for a file of another type."""
        header = encode_file_number(number)
        command = Command(Ins.GET_FILE_SETTINGS, header, answer_bytes=(1, 64))
        return FileSettings.parse((yield from self.perform(command)))

    def read_data(
        self, number: int, offset: int, length: int, mode: CommunicationMode
    ) -> Exchange[bytes]:
        """ReadData: return exactly `length` bytes, 1 or more, in the file's communication mode."""
        if length < 1:
            raise ValueError("read at least one byte")
        self._check_mode(mode)
        command = Command(
            Ins.READ_DATA,
            encode_file_number(number) + encode_length(offset) + encode_length(length),
            mode=mode,
            answer_bytes=(length, length),
        )
        return (yield from self.perform(command))

    def write_data(
        self, number: int, offset: int, data: bytes, mode: CommunicationMode
    ) -> Exchange[None]:
        """WriteData: 1 byte or more, in the file's communication mode."""
        if not data:
            raise ValueError("write at least one byte")
        self._check_mode(mode)
        header = encode_file_number(number) + encode_length(offset) + encode_length(len(data))
        yield from self.perform(Command(Ins.WRITE_DATA, header, data, mode))

    def _check_mode(self, mode: CommunicationMode) -> None:
        if mode is not CommunicationMode.PLAIN:
            self.current_session()

    def _wire_key_number(self, key_number: int, key_type: KeyType) -> int:
        (number,) = encode_key_number(key_number)
        return number | key_type if self.selected == applications.PICC_AID else number


def _change_key(wire_number: int, new_key: DesfireKey, old_key: DesfireKey | None) -> Command:
    """Return ChangeKey: in the session's own form, or with `old_key` in the other keys' form."""
    value = new_key.stored().reveal()
    version = bytes((new_key.version,)) if new_key.type is KeyType.AES else b""
    own = old_key is None
    return Command(
        Ins.CHANGE_KEY,
        bytes((wire_number,)),
        (value if old_key is None else xor(value, old_key.stored().reveal())) + version,
        _FULL,
        checked=b"" if own else value,
        ends_session=own,
    )
