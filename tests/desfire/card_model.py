"""What a DESFire holds and who may do what with it, in plain Python: no bytes, no cryptography.

Written from the data sheet's rules as the facts and the driver's docstrings tell them, not from the
virtual card. Where a command has several mistakes, the order in which a card finds them is not
published: then any of their statuses will do. It knows nothing of what is unconfirmed beyond that.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from cardd.desfire.applications import CHANGE_KEY_FROZEN, CHANGE_KEY_SAME, KeySettings
from cardd.desfire.command import CommunicationMode
from cardd.desfire.files import (
    FREE,
    NEVER,
    AccessRights,
    DataFileSettings,
    FileSettings,
    RecordFileSettings,
    ValueFileSettings,
)
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.secret import Secret

PICC = 0
MOST_APPLICATIONS_OF_EV1 = 28

DENIED = frozenset({"PERMISSION_DENIED", "AUTHENTICATION_ERROR"})
"""What a card says to somebody who may not: which of the two depends on who might."""


class Mistake(Exception):
    """A command cannot succeed: the card answers with one of these statuses."""

    def __init__(self, *statuses: str) -> None:
        super().__init__(" or ".join(sorted(statuses)) or "any error")
        self.statuses = frozenset(statuses)


class Mistakes:
    """Collects what is wrong with one command."""

    def __init__(self) -> None:
        self._statuses: set[str] = set()

    def note(self, wrong: bool, *statuses: str) -> None:
        if wrong:
            self._statuses |= set(statuses)

    def __bool__(self) -> bool:
        return bool(self._statuses)

    def judge(self) -> None:
        if self._statuses:
            raise Mistake(*self._statuses)


@dataclass(frozen=True)
class StoredFile:
    """A file. `content` is bytes, a number, or records from the oldest on."""

    settings: FileSettings
    content: Any
    refundable: int = 0

    @property
    def mode(self) -> CommunicationMode:
        return self.settings.mode

    @property
    def access(self) -> AccessRights:
        return self.settings.access


@dataclass(frozen=True)
class StoredApplication:
    """An application."""

    settings: KeySettings
    key_type: KeyType
    keys: tuple[DesfireKey, ...]
    files: dict[int, StoredFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Waiting:
    """What a transaction will make of one file."""

    content: Any
    cleared: bool = False
    new_record: bool = False
    updated: int | None = None
    debited: int | None = None
    refunded: bool = False


@dataclass(frozen=True)
class Stored:
    """What the card keeps without power."""

    key: DesfireKey
    settings: KeySettings
    default_key: DesfireKey
    applications: dict[int, StoredApplication] = field(default_factory=dict)


class ModelCard:
    """The card in the field. A command returns what it answers, or raises Mistake."""

    def __init__(self, *, is_ev1: bool) -> None:
        self.is_ev1 = is_ev1
        self.stored = Stored(
            DesfireKey.zero(KeyType.TDEA2),
            KeySettings(free_create_delete=True, free_directory=True),
            DesfireKey.zero(KeyType.AES),
        )
        self.power_cycle()

    def power_cycle(self) -> None:
        self.selected = PICC
        self.lose_session()

    def lose_session(self) -> None:
        """Forget who is authenticated, and the open transaction."""
        self.authenticated: int | None = None
        self.waiting: dict[int, Waiting] = {}

    @property
    def application(self) -> StoredApplication:
        return self.stored.applications[self.selected]

    @property
    def settings(self) -> KeySettings:
        return self.stored.settings if self.selected == PICC else self.application.settings

    @property
    def keys(self) -> tuple[DesfireKey, ...]:
        return (self.stored.key,) if self.selected == PICC else self.application.keys

    # Levels and keys

    def select(self, aid: int) -> None:
        self.lose_session()
        if aid != PICC and aid not in self.stored.applications:
            raise Mistake("APPLICATION_NOT_FOUND")
        self.selected = aid

    def authenticate(self, number: int, *, is_right: bool, ev2: bool) -> None:
        """Take a key, or an authentication that does not go with its type; that is not right."""
        self.authenticated = None
        if ev2 and self.is_ev1:
            raise Mistake("ILLEGAL_COMMAND_CODE")
        if number >= len(self.keys):
            raise Mistake("NO_SUCH_KEY")
        if not is_right:
            raise Mistake("AUTHENTICATION_ERROR")
        self.authenticated = number

    def key_version(self, number: int) -> int:
        if number >= len(self.keys):
            raise Mistake("NO_SUCH_KEY")
        return self.keys[number].version

    def key_settings(self) -> tuple[KeySettings, int, KeyType]:
        self._require_master_unless(self.settings.free_directory).judge()
        return self.settings, len(self.keys), self.keys[0].type

    def change_key(self, number: int, new: DesfireKey, *, old_is_right: bool) -> None:
        if number >= len(self.keys):
            raise Mistake("NO_SUCH_KEY")
        wrong = Mistakes()
        own = number == self.authenticated
        wrong.note(not self._may_change(number), *DENIED)
        wrong.note(not own and not old_is_right, "INTEGRITY_ERROR")
        wrong.judge()
        if self.selected == PICC:
            self.stored = replace(self.stored, key=new)
        else:
            keys = (*self.keys[:number], new, *self.keys[number + 1 :])
            self._keep(replace(self.application, keys=keys))
        if own:
            self.authenticated = None

    def _may_change(self, number: int) -> bool:
        changer = self.settings.change_key
        if number == 0:
            return self.authenticated == 0 and self.settings.master_key_changeable
        if number == changer:
            return self.authenticated == 0
        if changer == CHANGE_KEY_FROZEN:
            return False
        return self.authenticated == (number if changer == CHANGE_KEY_SAME else changer)

    def change_key_settings(self, settings: KeySettings) -> None:
        wrong = Mistakes()
        wrong.note(self.authenticated != 0, *DENIED)
        wrong.note(not self.settings.configuration_changeable, *DENIED)
        wrong.judge()
        if self.selected == PICC:
            self.stored = replace(self.stored, settings=replace(settings, change_key=0))
        else:
            self._keep(replace(self.application, settings=settings))

    # Applications and the PICC

    def application_ids(self) -> set[int]:
        wrong = self._require_master_unless(self.settings.free_directory)
        wrong.note(self.selected != PICC, *DENIED)
        wrong.judge()
        return set(self.stored.applications)

    def create_application(
        self, aid: int, settings: KeySettings, count: int, key_type: KeyType
    ) -> None:
        wrong = self._require_master_unless(self.settings.free_create_delete)
        wrong.note(self.selected != PICC, *DENIED)
        wrong.note(aid in self.stored.applications, "DUPLICATE_ERROR")
        full = len(self.stored.applications) >= MOST_APPLICATIONS_OF_EV1
        wrong.note(self.is_ev1 and full, "COUNT_ERROR")
        wrong.judge()
        default = self.stored.default_key
        value = default.stored().reveal().ljust(24, b"\x00")[: key_type.key_bytes]
        key = DesfireKey(key_type, Secret(value), default.version)
        new = StoredApplication(settings, key_type, (key,) * count)
        applications = {**self.stored.applications, aid: new}
        self.stored = replace(self.stored, applications=applications)

    def delete_application(self, aid: int) -> None:
        wrong = Mistakes()
        wrong.note(self.authenticated != 0 or self.selected != PICC, *DENIED)
        wrong.note(aid not in self.stored.applications, "APPLICATION_NOT_FOUND")
        wrong.judge()
        rest = {each: kept for each, kept in self.stored.applications.items() if each != aid}
        self.stored = replace(self.stored, applications=rest)

    def format(self) -> None:
        wrong = Mistakes()
        wrong.note(self.authenticated != 0 or self.selected != PICC, *DENIED)
        wrong.judge()
        self.stored = replace(self.stored, applications={})

    def set_default_key(self, key: DesfireKey) -> None:
        wrong = Mistakes()
        wrong.note(self.authenticated != 0 or self.selected != PICC, *DENIED)
        wrong.judge()
        self.stored = replace(self.stored, default_key=key)

    # Files as a whole

    def file_ids(self) -> set[int]:
        self._in_application(self.settings.free_directory).judge()
        return set(self.application.files)

    def file_settings(self, number: int) -> FileSettings:
        wrong = self._in_application(self.settings.free_directory)
        file = self._file(wrong, number)
        wrong.judge()
        assert file
        if isinstance(file.settings, ValueFileSettings):
            return replace(file.settings, value=file.refundable)
        if isinstance(file.settings, RecordFileSettings):
            return replace(file.settings, current_records=len(file.content))
        return file.settings

    def create_file(self, number: int, settings: FileSettings) -> None:
        wrong = self._in_application(self.settings.free_create_delete)
        if self.selected != PICC:
            wrong.note(number in self.application.files, "DUPLICATE_ERROR")
            wrong.note(self._names_no_key(settings.access), "PARAMETER_ERROR")
        wrong.judge()
        content: Any = ()
        if isinstance(settings, DataFileSettings):
            content = bytes(settings.size_bytes)
        elif isinstance(settings, ValueFileSettings):
            content = settings.value
        self._keep_file(number, StoredFile(settings, content))

    def delete_file(self, number: int) -> None:
        wrong = self._in_application(self.settings.free_create_delete)
        self._file(wrong, number)
        wrong.judge()
        rest = {each: kept for each, kept in self.application.files.items() if each != number}
        self._keep(replace(self.application, files=rest))
        self.waiting.pop(number, None)

    def change_is_free(self, number: int) -> bool:
        if self.selected == PICC or number not in self.application.files:
            return False
        return self.application.files[number].access.change == FREE

    def change_file_settings(
        self, number: int, mode: CommunicationMode, access: AccessRights
    ) -> None:
        wrong = Mistakes()
        wrong.note(self.selected == PICC, *DENIED)
        file = self._file(wrong, number)
        if file:
            changer = file.access.change
            wrong.note(changer == NEVER or changer not in {FREE, self.authenticated}, *DENIED)
            wrong.note(self._names_no_key(access), "PARAMETER_ERROR")
        wrong.judge()
        assert file
        settings = replace(file.settings, mode=mode, access=access)
        self._keep_file(number, replace(file, settings=settings))

    # Data, values and records

    def mode_for(
        self, number: int, *rights: str, to_get_value: bool = False
    ) -> CommunicationMode | None:
        """Return how an access travels that one of these rights gives, None where none does."""
        if self.selected == PICC or number not in self.application.files:
            return None
        file = self.application.files[number]
        holders = {getattr(file.access, right) for right in rights}
        if self.authenticated is not None and self.authenticated in holders:
            return file.mode
        if FREE in holders:
            return CommunicationMode.PLAIN
        free = isinstance(file.settings, ValueFileSettings) and file.settings.free_get_value
        return CommunicationMode.PLAIN if free and to_get_value else None

    def read_data(self, number: int, offset: int, length: int) -> bytes:
        wrong, file = self._access(number, DataFileSettings, *READ)
        if file and isinstance(file.settings, DataFileSettings):
            wrong.note(offset + length > len(file.content), "BOUNDARY_ERROR")
        wrong.judge()
        assert file
        return bytes(file.content[offset : offset + length])

    def write_data(self, number: int, offset: int, data: bytes) -> None:
        wrong, file = self._access(number, DataFileSettings, *WRITE)
        if file and isinstance(file.settings, DataFileSettings):
            wrong.note(offset + len(data) > len(file.content), "BOUNDARY_ERROR")
        wrong.judge()
        assert file
        assert isinstance(file.settings, DataFileSettings)
        before = self.waiting[number].content if number in self.waiting else file.content
        content = before[:offset] + data + before[offset + len(data) :]
        if file.settings.backup:
            self.waiting[number] = Waiting(content)
        else:
            self._keep_file(number, replace(file, content=content))

    def get_value(self, number: int) -> int:
        wrong, file = self._access(number, ValueFileSettings, *ANY_RIGHT, to_get_value=True)
        wrong.judge()
        assert file
        return int(file.content)

    def credit(self, number: int, amount: int) -> None:
        self._change_value(number, amount, ("read_write",))

    def debit(self, number: int, amount: int) -> None:
        self._change_value(number, -amount, ANY_RIGHT)
        waiting, file = self.waiting[number], self.application.files[number]
        assert isinstance(file.settings, ValueFileSettings)
        if file.settings.limited_credit:
            debited = (waiting.debited or 0) + amount
            self.waiting[number] = replace(waiting, debited=debited)

    def limited_credit(self, number: int, amount: int) -> None:
        wrong, file = self._access(number, ValueFileSettings, *WRITE)
        if file and isinstance(file.settings, ValueFileSettings):
            wrong.note(not file.settings.limited_credit, "PERMISSION_DENIED")
            wrong.note(amount > file.refundable, "BOUNDARY_ERROR")
        wrong.judge()
        self._change_value(number, amount, WRITE)
        self.waiting[number] = replace(self.waiting[number], refunded=True)

    def _change_value(self, number: int, change: int, rights: tuple[str, ...]) -> None:
        wrong, file = self._access(number, ValueFileSettings, *rights)
        waiting = self.waiting.get(number)
        if file and isinstance(file.settings, ValueFileSettings):
            value = (waiting.content if waiting else file.content) + change
            limits = range(file.settings.lower_limit, file.settings.upper_limit + 1)
            wrong.note(value not in limits, "BOUNDARY_ERROR")
        wrong.judge()
        self.waiting[number] = replace(waiting or Waiting(None), content=value)

    def read_records(self, number: int, first: int, count: int) -> tuple[bytes, ...]:
        wrong, file = self._access(number, RecordFileSettings, *READ)
        if file and isinstance(file.settings, RecordFileSettings):
            wrong.note(first + count > len(file.content), "BOUNDARY_ERROR")
        wrong.judge()
        assert file
        end = len(file.content) - first
        return tuple(file.content[end - count : end])

    def write_record(self, number: int, offset: int, data: bytes) -> None:
        wrong, file = self._access(number, RecordFileSettings, *WRITE)
        waiting = self.waiting.get(number, Waiting(None))
        if file and isinstance(file.settings, RecordFileSettings):
            settings = file.settings
            wrong.note(offset + len(data) > settings.record_bytes, "BOUNDARY_ERROR")
            wrong.note(waiting.cleared or waiting.updated is not None, *DENIED)
            full = not settings.cyclic and len(file.content) >= settings.max_records
            wrong.note(full and not waiting.new_record, "BOUNDARY_ERROR")
        wrong.judge()
        before = waiting.content if waiting.new_record else bytes(settings.record_bytes)
        record = before[:offset] + data + before[offset + len(data) :]
        self.waiting[number] = Waiting(record, new_record=True)

    def update_record(self, number: int, record: int, offset: int, data: bytes) -> None:
        if self.is_ev1:
            raise Mistake("ILLEGAL_COMMAND_CODE")
        wrong, file = self._access(number, RecordFileSettings, "read_write")
        waiting = self.waiting.get(number, Waiting(None))
        if file and isinstance(file.settings, RecordFileSettings):
            wrong.note(offset + len(data) > file.settings.record_bytes, "BOUNDARY_ERROR")
            wrong.note(record >= len(file.content), "BOUNDARY_ERROR")
            elsewhere = waiting.updated not in {None, record}
            wrong.note(waiting.cleared or waiting.new_record or elsewhere, *DENIED)
        wrong.judge()
        assert file
        before = waiting.content if waiting.updated is not None else file.content[-1 - record]
        content = before[:offset] + data + before[offset + len(data) :]
        self.waiting[number] = Waiting(content, updated=record)

    def clear_record_file(self, number: int) -> None:
        wrong, _ = self._access(number, RecordFileSettings, "read_write")
        wrong.judge()
        self.waiting[number] = Waiting((), cleared=True)

    def commit(self) -> None:
        self._require_changes()
        for number, waiting in self.waiting.items():
            file = self.application.files[number]
            self._keep_file(number, _committed(file, waiting))
        self.waiting = {}

    def abort(self) -> None:
        self._require_changes()
        self.waiting = {}

    def _require_changes(self) -> None:
        wrong = Mistakes()
        wrong.note(self.selected == PICC, *DENIED, "NO_CHANGES")
        wrong.note(not self.waiting, "NO_CHANGES")
        wrong.judge()

    # What the rules have in common

    def _require_master_unless(self, free: bool) -> Mistakes:
        wrong = Mistakes()
        wrong.note(not free and self.authenticated != 0, *DENIED)
        return wrong

    def _in_application(self, free: bool) -> Mistakes:
        wrong = self._require_master_unless(free)
        wrong.note(self.selected == PICC, *DENIED)
        return wrong

    def _names_no_key(self, access: AccessRights) -> bool:
        rights = (access.read, access.write, access.read_write, access.change)
        return any(len(self.keys) <= right < FREE for right in rights)

    def _file(self, wrong: Mistakes, number: int) -> StoredFile | None:
        if self.selected == PICC:
            return None
        wrong.note(number not in self.application.files, "FILE_NOT_FOUND")
        return self.application.files.get(number)

    def _access(
        self,
        number: int,
        kind: type[FileSettings],
        *rights: str,
        to_get_value: bool = False,
    ) -> tuple[Mistakes, StoredFile | None]:
        wrong = Mistakes()
        wrong.note(self.selected == PICC, *DENIED)
        file = self._file(wrong, number)
        if file:
            # That a file of another type is a parameter error is not confirmed on a card.
            wrong.note(not isinstance(file.settings, kind), "PARAMETER_ERROR")
            mode = self.mode_for(number, *rights, to_get_value=to_get_value)
            wrong.note(mode is None, *DENIED)
        return wrong, file

    def _keep(self, application: StoredApplication) -> None:
        applications = {**self.stored.applications, self.selected: application}
        self.stored = replace(self.stored, applications=applications)

    def _keep_file(self, number: int, file: StoredFile) -> None:
        files = {**self.application.files, number: file}
        self._keep(replace(self.application, files=files))


READ = ("read", "read_write")
WRITE = ("write", "read_write")
ANY_RIGHT = ("read", "write", "read_write")


def _committed(file: StoredFile, waiting: Waiting) -> StoredFile:
    settings = file.settings
    if isinstance(settings, ValueFileSettings):
        refundable = 0 if waiting.refunded else file.refundable
        refundable = refundable if waiting.debited is None else waiting.debited
        return replace(file, content=waiting.content, refundable=refundable)
    if not isinstance(settings, RecordFileSettings) or waiting.cleared:
        return replace(file, content=waiting.content)
    records = list(file.content)
    if waiting.updated is not None:
        records[-1 - waiting.updated] = waiting.content
    else:
        records.append(waiting.content)
    return replace(file, content=tuple(records[-(settings.max_records - settings.cyclic) :]))
