"""Applications: identifiers, key settings, and what CreateApplication makes."""

from dataclasses import dataclass

from cardd.desfire.fields import encode_iso_file_id
from cardd.desfire.keys import KeyType
from cardd.errors import CardProtocolError

PICC_AID = 0x000000
"""The PICC level: the application every card has."""

AID_BYTES = 3
MAX_APPLICATIONS = 256
MAX_KEYS = 14

CHANGE_KEY_SAME = 0xE
"""Value of `KeySettings.change_key`: each key is changed after authentication with itself."""

CHANGE_KEY_FROZEN = 0xF
"""Value of `KeySettings.change_key`: no key but the master key is ever changed."""

DF_NAME_BYTES = range(1, 17)
DF_NAME_ANSWER_BYTES = range(5, 22)
"""One application in the answer to GetDFNames: AID, ISO file identifier, DF name."""

_ISO_FILE_IDS = 0x20


def encode_aid(aid: int) -> bytes:
    """Return an AID as it travels: little-endian. Everywhere else it is the number as printed."""
    if not 0 <= aid <= 0xFFFFFF:
        raise ValueError("an AID has three bytes")
    return aid.to_bytes(AID_BYTES, "little")


def parse_aids(answer: bytes) -> tuple[int, ...]:
    """Read the answer to GetApplicationIDs; CardProtocolError where it is no list of AIDs."""
    if len(answer) % AID_BYTES:
        raise CardProtocolError("the answer to GET_APPLICATION_IDS is no whole number of AIDs")
    aids = tuple(
        int.from_bytes(answer[at : at + AID_BYTES], "little")
        for at in range(0, len(answer), AID_BYTES)
    )
    if len(set(aids)) != len(aids) or PICC_AID in aids:
        raise CardProtocolError("the card lists an application twice, or lists the PICC itself")
    return aids


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Key settings byte 1 (data sheet, ChangeKeySettings).

    `change_key` is the key number that changes keys, CHANGE_KEY_SAME or CHANGE_KEY_FROZEN; at PICC
    level it is 0.
    """

    change_key: int = 0
    configuration_changeable: bool = True
    free_create_delete: bool = False
    free_directory: bool = False
    master_key_changeable: bool = True

    def encode(self) -> int:
        """Return the byte."""
        if not 0 <= self.change_key <= 0xF:
            raise ValueError("change_key is four bits")
        return (
            self.change_key << 4
            | self.configuration_changeable << 3
            | self.free_create_delete << 2
            | self.free_directory << 1
            | self.master_key_changeable
        )

    @classmethod
    def parse(cls, byte: int) -> "KeySettings":
        """Read the byte; every value of it means something."""
        return cls(
            change_key=byte >> 4,
            configuration_changeable=bool(byte & 0x08),
            free_create_delete=bool(byte & 0x04),
            free_directory=bool(byte & 0x02),
            master_key_changeable=bool(byte & 0x01),
        )


@dataclass(frozen=True, slots=True)
class ApplicationSettings:
    """What CreateApplication takes and GetKeySettings tells: key settings, key count, key type.

    With `iso_file_ids`, files of the application have ISO 7816-4 identifiers. A card that reports
    key sets is refused.
    """

    key_settings: KeySettings
    key_count: int
    key_type: KeyType = KeyType.AES
    iso_file_ids: bool = False

    def encode(self) -> bytes:
        """Return both bytes of CreateApplication."""
        if not 1 <= self.key_count <= MAX_KEYS:
            raise ValueError(f"an application has 1 to {MAX_KEYS} keys")
        keys = self.key_type | self.iso_file_ids * _ISO_FILE_IDS | self.key_count
        return bytes((self.key_settings.encode(), keys))

    @classmethod
    def parse(cls, answer: bytes) -> "ApplicationSettings":
        """Read the answer to GetKeySettings: two bytes; CardProtocolError for any other."""
        if len(answer) != 2:
            raise CardProtocolError("the answer to GET_KEY_SETTINGS does not have 2 bytes")
        settings, keys = answer[0], answer[1] & ~_ISO_FILE_IDS
        if keys & 0xF0 not in tuple(KeyType) or not 1 <= keys & 0x0F <= MAX_KEYS:
            raise CardProtocolError(f"the card reports unknown key settings: {answer.hex()}")
        return cls(
            KeySettings.parse(settings),
            keys & 0x0F,
            KeyType(keys & 0xF0),
            iso_file_ids=bool(answer[1] & _ISO_FILE_IDS),
        )


@dataclass(frozen=True, slots=True)
class DfName:
    """An application as ISO 7816-4 commands see it: its AID, file identifier and DF name."""

    aid: int
    iso_file_id: int
    name: bytes


def encode_iso_names(iso_file_id: int | None, df_name: bytes | None) -> bytes:
    """Return what follows an application's settings; ValueError for a name without identifier."""
    if df_name is not None and (iso_file_id is None or len(df_name) not in DF_NAME_BYTES):
        raise ValueError("a DF name has 1 to 16 bytes and needs an ISO file identifier")
    identifier = b"" if iso_file_id is None else encode_iso_file_id(iso_file_id)
    return identifier + (df_name or b"")


def parse_df_names(frames: tuple[bytes, ...]) -> tuple[DfName, ...]:
    """Read the answer to GetDFNames, one application a frame; CardProtocolError for any other."""
    entries = [frame for frame in frames if frame]
    if any(len(entry) not in DF_NAME_ANSWER_BYTES for entry in entries):
        raise CardProtocolError("a frame of the answer to GET_DF_NAMES is no application's")
    return tuple(
        DfName(
            int.from_bytes(entry[:AID_BYTES], "little"),
            int.from_bytes(entry[AID_BYTES : AID_BYTES + 2], "little"),
            entry[AID_BYTES + 2 :],
        )
        for entry in entries
    )
