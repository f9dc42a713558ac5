"""What was seen of a card: by anybody, and under its own keys. Bytes are hexadecimal here.

What a card does not tell, or was not asked, is None. Nothing here is secret.
"""

from typing import Literal

import msgspec

UidKind = Literal["random", "single", "double", "triple"]
"""A random UID of 4 bytes, or the sizes of ISO/IEC 14443-3, 6.5.4: 4, 7 and 10 bytes."""

ProductName = Literal["d40", "ev1", "ev2", "ev3"]
SchemeName = Literal["ev1-aes", "ev2-aes"]
KeyKind = Literal["2tdea", "3tdea", "aes"]
ModeName = Literal["plain", "mac", "full"]
FileKind = Literal["standard", "backup", "value", "linear", "cyclic"]
Access = int | Literal["free", "never"]
"""Who has a right on a file: the holder of a key, by its number, everybody, or nobody."""

KeyMatch = Literal["own", "next", "transport", "another-badge", "without-uid", "zeros"]
"""Which key a badge answered to.

Its own, the one that an unfinished re-keying gives it, its transport key; or one that it must never
have: another badge's, one that was derived without a UID, zeros.
"""

Difference = Literal[
    "uid",
    "picc-settings",
    "picc-key-version",
    "application",
    "application-settings",
    "key-versions",
    "files",
    "file-settings",
    "content",
]
"""Where a badge is not as it was encoded."""


class KeySettingsFacts(msgspec.Struct, frozen=True):
    """Key settings. `change_key` is a key number, 14 each key itself, 15 none but the master."""

    change_key: int
    configuration_changeable: bool
    free_create_delete: bool
    free_directory: bool
    master_key_changeable: bool


class RightsFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A further set of access rights of a file (EV2 and later); each set allows by itself."""

    read: Access
    write: Access
    read_write: Access
    change: Access


class FileFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file. `type` and all that follows it are None where the settings cannot be read.

    `size_bytes` is that of the data, or of one record; a value file has none.
    """

    number: int
    type: FileKind | None = None
    mode: ModeName | None = None
    size_bytes: int | None = None
    records: int | None = None
    read: Access | None = None
    write: Access | None = None
    read_write: Access | None = None
    change: Access | None = None
    free_get_value: bool = False
    additional: tuple[RightsFacts, ...] = ()


class ApplicationFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application, or the PICC's own level (000000).

    `default_keys` are the numbers of the keys that answered to zeros.
    """

    aid: str
    df_name: str | None = None
    iso_file_id: str | None = None
    settings: KeySettingsFacts | None = None
    key_count: int | None = None
    key_type: KeyKind | None = None
    key_versions: tuple[int, ...] | None = None
    files: tuple[FileFacts, ...] | None = None
    default_keys: tuple[int, ...] | None = None


class ProductionFacts(msgspec.Struct, frozen=True):
    """When the chip was made."""

    year: int
    week: int


class OriginalityFacts(msgspec.Struct, frozen=True):
    """Whether the signature over the UID is NXP's; `key` names which key's it is.

    It is not checked where the card hides the UID that was signed.

    `test` says that it is a key for virtual cards, which is trusted in development alone.
    """

    state: Literal["genuine", "not-verified", "not-checked", "not-supported"]
    key: str | None = None
    test: bool = False


class RefusedCommand(msgspec.Struct, frozen=True):
    """A command that gave nothing, by its data-sheet name; `status` is what came instead."""

    command: str
    status: str
    aid: str


class CardFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a card tells anybody.

    `scheme` is the best that its product is good for, None without AES.
    `uid` is the reader's, `told_uid` the card's own, None where it hides it. `storage_bytes` are
    the least and the most. `listed` are the applications that are listed freely, `applications`
    those that were looked into.
    """

    uid: str
    uid_kind: UidKind
    ats: str | None
    product: ProductName | None
    scheme: SchemeName | None
    hardware: str | None
    storage_bytes: tuple[int, int] | None
    batch: str | None
    production: ProductionFacts | None
    told_uid: str | None
    originality: OriginalityFacts
    picc: ApplicationFacts
    free_bytes: int | None
    listed: tuple[str, ...] | None
    applications: tuple[ApplicationFacts, ...]
    refused: tuple[RefusedCommand, ...]


class RegistryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry says of a badge, and the key service's time of it.

    `unfinished` names the procedure that was cut and will go on when the badge is shown for it.
    """

    badge: str
    number: str
    state: str
    reason: str | None
    scheme: str
    picc: Literal["ours", "foreign"]
    generation: int
    current_generation: int
    issued_at: int | None
    expires_at: int | None
    expired: bool
    unfinished: str | None


class BadgeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was read under a badge's own keys.

    `picc_key`, `master_key` and `authenticate_key` say what it answered to, None for none of what
    was tried. `listed` are all of its applications, `application` is ours, None where it is not
    there or its master key is not ours.
    """

    picc_key: KeyMatch | None
    master_key: KeyMatch | None
    authenticate_key: KeyMatch | None
    picc: ApplicationFacts | None
    free_bytes: int | None
    listed: tuple[str, ...] | None
    application: ApplicationFacts | None
    differences: tuple[Difference, ...]
