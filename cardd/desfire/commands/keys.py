"""Commands on keys and key settings."""

from cardd.desfire.applications import PICC_AID, ApplicationSettings, KeySettings
from cardd.desfire.channel import Channel
from cardd.desfire.cipher import xor
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.keys import DesfireKey, KeyType, encode_key_number
from cardd.iso7816.exchange import Exchange

_FULL = CommunicationMode.FULL


class KeyCommands(Channel):
    """Change keys and their settings, and tell what they are."""

    def change_key(
        self, key_number: int, new_key: DesfireKey, *, old_key: DesfireKey | None = None
    ) -> Exchange[None]:
        """ChangeKey. Changing the session's own key ends the session; others need their old key.

        At PICC level the key number carries the new key's type, which is how a factory PICC's DES
        key becomes AES; no vector is published for that beyond AN12757, table 93 (C4 80), nor for
        D40. Sources: AN0945 table 33, AN12196 table 25, Elmue's traces for TDEA keys.
        """
        own = key_number == self.current_session().key_number
        if not own and old_key is None:
            raise ValueError("changing another key than the session's needs its old value")
        if not own and old_key is not None and old_key.type is not new_key.type:
            raise ValueError("the keys of an application are of one type")
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
        return (yield from self.ask(command, ApplicationSettings.parse))

    def change_key_settings(self, settings: KeySettings) -> Exchange[None]:
        """ChangeKeySettings of the selected application. Needs its master key."""
        data = bytes((settings.encode(),))
        yield from self.perform(Command(Ins.CHANGE_KEY_SETTINGS, data=data, mode=_FULL))

    def _wire_key_number(self, key_number: int, key_type: KeyType) -> int:
        (number,) = encode_key_number(key_number)
        return number | key_type if self.selected == PICC_AID else number


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
