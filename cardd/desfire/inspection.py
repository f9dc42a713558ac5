"""What a DESFire tells anybody: no key of ours is needed, and nothing on the card changes.

A command that the card refuses is data: what may be asked without a key is the card's to say. So
is an answer whose layout differs by product or is unpublished (GetVersion, settings). Whatever else
is malformed is CardProtocolError.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from cardd.desfire.applications import PICC_AID, ApplicationSettings, DfName
from cardd.desfire.card import DesfireCard
from cardd.desfire.files import FileSettings
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.status import Status
from cardd.desfire.version import Version
from cardd.errors import CardProtocolError, CardStatusError
from cardd.iso7816.exchange import Exchange

MOST_APPLICATIONS = 28
"""How many applications are looked into; an EV1 has no more."""

MALFORMED = "MALFORMED"
"""Stands for the status of a command whose answer could not be read."""

MASTER_KEY = 0

_MOST_STORAGE_EXPONENT = 32

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that gave nothing: its name, the status's name or MALFORMED, and where."""

    command: str
    status: str
    aid: int


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file; `settings` is None where the card does not tell them, or not readably."""

    number: int
    settings: FileSettings | None


@dataclass(frozen=True, slots=True)
class ApplicationContent:
    """An application, or the PICC's level; what the card does not tell is None.

    `key_versions` are those of keys 0 and up. `default_keys` are the numbers of those keys that
    answered to zeros, None where that was not tried.
    """

    aid: int
    settings: ApplicationSettings | None
    key_versions: tuple[int, ...] | None
    files: tuple[FileContent, ...] | None = None
    default_keys: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class PiccContent:
    """A card as it shows itself; what it does not tell is None.

    `aids` are all that are listed, `applications` the first MOST_APPLICATIONS of them, and those
    that were looked for and found without being listed. `names` are those of ISO 7816-4.
    `signature` is the maker's, 56 bytes.
    """

    version: Version | None
    picc: ApplicationContent
    free_bytes: int | None
    signature: bytes | None
    aids: tuple[int, ...] | None
    names: tuple[DfName, ...]
    applications: tuple[ApplicationContent, ...]
    refusals: tuple[Refusal, ...]


def storage_bytes(code: int) -> tuple[int, int] | None:
    """Return the least and the most bytes that GetVersion's storage code stands for.

    The seven high bits are the exponent n of 2^n; the low bit says that the size lies between that
    and 2^(n+1) (data sheet, GetVersion: 16h 2 KB, 18h 4 KB, 1Ah 8 KB). None for what no card has.
    """
    exponent, between = code >> 1, code & 1
    if exponent > _MOST_STORAGE_EXPONENT:
        return None
    return 1 << exponent, 1 << exponent + between


def inspect(*, also: tuple[int, ...] = (), try_default_keys: bool = False) -> Exchange[PiccContent]:
    """Ask a card for what it tells without a key of ours.

    `also` are applications to look for where they are not listed: anybody may select one.
    `try_default_keys` also tries keys of zeros, one attempt for each key that may be one: a card
    may count failed authentications and refuse a key for good after too many of them (AN12196,
    7.4, of a chip with the same option), so it is for whoever asks for it.
    """
    return _Inspection(also=also, try_default_keys=try_default_keys).run()


def read_application(card: DesfireCard, aid: int) -> Exchange[ApplicationContent]:
    """Read what an application that is selected says of itself; raises where it refuses."""
    settings = yield from card.get_key_settings()
    versions = yield from _each(card.get_key_version(n) for n in range(settings.key_count))
    numbers = yield from card.get_file_ids()
    files = yield from _each(card.get_file_settings(number) for number in numbers)
    contents = tuple(FileContent(*pair) for pair in zip(numbers, files, strict=True))
    return ApplicationContent(aid, settings, versions, contents)


def _each(exchanges: Iterable[Exchange[Result]]) -> Exchange[tuple[Result, ...]]:
    """Run exchanges one after the other."""
    results = []
    for exchange in exchanges:
        result = yield from exchange
        results.append(result)
    return tuple(results)


class _Inspection:
    """One inspection under way; `refusals` grows as the card refuses."""

    def __init__(self, *, also: tuple[int, ...], try_default_keys: bool) -> None:
        self._card = DesfireCard()
        self._also = also
        self._try_default_keys = try_default_keys
        self._refusals: list[Refusal] = []
        self._aid = PICC_AID

    def run(self) -> Exchange[PiccContent]:
        card = self._card
        yield from self._asked(card.select_application(PICC_AID))
        version = yield from self._asked(card.get_version(), malformed="GET_VERSION")
        picc = yield from self._level(PICC_AID)
        free_bytes = yield from self._asked(card.free_memory())
        signature = yield from self._asked(card.read_signature(), malformed="READ_SIGNATURE")
        aids = yield from self._asked(card.get_application_ids())
        names = yield from self._asked(card.get_df_names(), malformed="GET_DF_NAMES")
        looked_into = (aids or ())[:MOST_APPLICATIONS]
        applications = yield from _each(self._application(aid) for aid in looked_into)
        applications += yield from self._unlisted(looked_into)
        if self._try_default_keys:
            picc = yield from self._with_default_keys(picc)
            applications = yield from _each(self._with_default_keys(one) for one in applications)
            yield from self._selected(PICC_AID)  # who comes next expects no session
        return PiccContent(
            version,
            picc,
            free_bytes,
            signature,
            aids,
            names or (),
            applications,
            tuple(self._refusals),
        )

    def _level(self, aid: int) -> Exchange[ApplicationContent]:
        """Read settings and key versions of what is selected."""
        card = self._card
        settings = yield from self._asked(card.get_key_settings(), malformed="GET_KEY_SETTINGS")
        versions = []
        for number in range(settings.key_count if settings else 1):
            version = yield from self._asked(card.get_key_version(number))
            if version is None:
                return ApplicationContent(aid, settings, None)
            versions.append(version)
        return ApplicationContent(aid, settings, tuple(versions))

    def _unlisted(self, listed: tuple[int, ...]) -> Exchange[tuple[ApplicationContent, ...]]:
        """Look into the applications of `also` that are there, though they are not listed."""
        found: tuple[ApplicationContent, ...] = ()
        for aid in self._also:
            if aid not in listed and (yield from self._selected(aid)):
                found += ((yield from self._application(aid)),)
        return found

    def _application(self, aid: int) -> Exchange[ApplicationContent]:
        card = self._card
        if not (yield from self._selected(aid)):
            return ApplicationContent(aid, None, None)
        level = yield from self._level(aid)
        numbers = yield from self._asked(card.get_file_ids())
        if numbers is None:
            return level
        files = yield from _each(self._file(number) for number in numbers)
        return replace(level, files=files)

    def _file(self, number: int) -> Exchange[FileContent]:
        asked = self._card.get_file_settings(number)
        return FileContent(number, (yield from self._asked(asked, malformed="GET_FILE_SETTINGS")))

    def _with_default_keys(self, level: ApplicationContent) -> Exchange[ApplicationContent]:
        """Try zeros where a key's version is 0 or unknown: a key that was set mostly has one."""
        numbers = _perhaps_default(level) if (yield from self._selected(level.aid)) else ()
        answers = yield from _each(self._answers_to_zeros(n, level.settings) for n in numbers)
        found = tuple(number for number, answer in zip(numbers, answers, strict=True) if answer)
        return replace(level, default_keys=found)

    def _answers_to_zeros(
        self, number: int, settings: ApplicationSettings | None
    ) -> Exchange[bool]:
        """Tell whether a key is zeros, of the type that the card tells, else of any."""
        for key_type in (settings.key_type,) if settings else tuple(KeyType):
            if (yield from self._authenticated(number, DesfireKey.zero(key_type))):
                return True
        return False

    def _authenticated(self, number: int, key: DesfireKey) -> Exchange[bool]:
        for handshake in _handshakes(self._card, number, key):
            try:
                yield from handshake
            except CardStatusError as error:
                if error.status == Status.AUTHENTICATION_ERROR.word:
                    return False
                self._note(error)
            else:
                return True
        return False

    def _selected(self, aid: int) -> Exchange[bool]:
        self._aid = aid
        yield from self._asked(self._card.select_application(aid))
        return self._card.selected == aid

    def _asked(
        self, exchange: Exchange[Result], *, malformed: str | None = None
    ) -> Exchange[Result | None]:
        """Return what a command gives, None where it is refused, or malformed where that may be."""
        try:
            return (yield from exchange)
        except CardStatusError as error:
            self._note(error)
        except CardProtocolError:
            if malformed is None:
                raise
            self._refusals.append(Refusal(malformed, MALFORMED, self._aid))
        return None

    def _note(self, error: CardStatusError) -> None:
        self._refusals.append(Refusal(error.facts["command"], error.facts["name"], self._aid))


def _perhaps_default(level: ApplicationContent) -> tuple[int, ...]:
    if level.key_versions is None:
        return (MASTER_KEY,)
    return tuple(number for number, version in enumerate(level.key_versions) if version == 0)


def _handshakes(card: DesfireCard, number: int, key: DesfireKey) -> Iterator[Exchange[None]]:
    """Yield the authentications to try in turn while the card does not know the one before."""
    if key.type is KeyType.AES:
        yield card.authenticate_aes(number, key)
        return
    yield card.authenticate_iso(number, key)
    if key.type is KeyType.TDEA2:
        yield card.authenticate_legacy(number, key)
