"""`inspect`: what a badge of ours holds, read under its own keys. Nothing on the card changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from cardd.badges.inspection.facts import Difference, KeyMatch
from cardd.badges.model import Badge
from cardd.desfire.applications import PICC_AID
from cardd.desfire.card import DesfireCard
from cardd.desfire.inspection import ApplicationContent, read_application
from cardd.desfire.keys import DesfireKey
from cardd.desfire.status import Status
from cardd.errors import CardStatusError
from cardd.kms.procedures import layout
from cardd.kms.procedures.layout import AUTHENTICATE_KEY, BADGE_FILE, MASTER_KEY
from cardd.kms.procedures.ports import Driven

Candidates = Sequence[tuple[KeyMatch, DesfireKey]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which keys to try, likeliest first: at the PICC, and in our application."""

    badge: Badge
    picc: Candidates
    master: Candidates
    authenticate: Candidates


@dataclass(frozen=True, slots=True)
class PiccReading:
    """What the PICC tells under its key."""

    level: ApplicationContent
    free_bytes: int
    aids: tuple[int, ...]
    uid: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read; a key is None where none of its candidates is it, as what it would open.

    `present` says whether our application is there, `content` is what file 1 holds.
    """

    picc_key: KeyMatch | None = None
    picc: PiccReading | None = None
    present: bool = False
    master_key: KeyMatch | None = None
    application: ApplicationContent | None = None
    authenticate_key: KeyMatch | None = None
    content: bytes | None = None


def inspect(plan: Plan) -> Driven[Reading]:
    """Read everything that the badge's keys open; the scheme is the registry's.

    The card is left without a session, as who comes next expects it.
    """
    card = DesfireCard()
    reading = yield from _read(card, plan)
    yield from card.select_application(PICC_AID)
    return reading


def _read(card: DesfireCard, plan: Plan) -> Driven[Reading]:
    badge = plan.badge
    yield from card.select_application(PICC_AID)
    picc_key = yield from _matching(card, badge, MASTER_KEY, plan.picc)
    picc = None if picc_key is None else (yield from _read_picc(card))
    if not (yield from _is_present(card, badge.aid)):
        return Reading(picc_key, picc)
    master_key = yield from _matching(card, badge, MASTER_KEY, plan.master)
    application = None if master_key is None else (yield from read_application(card, badge.aid))
    authenticate_key = yield from _matching(card, badge, AUTHENTICATE_KEY, plan.authenticate)
    content = None if authenticate_key is None else (yield from _read_file(card))
    return Reading(picc_key, picc, True, master_key, application, authenticate_key, content)


def differences(badge: Badge, reading: Reading) -> tuple[Difference, ...]:
    """Return where an encoded badge is not as it was encoded, as far as its keys opened it."""
    found: dict[Difference, bool] = {}
    if reading.picc is not None:
        found["uid"] = reading.picc.uid != badge.uid
        found["picc-settings"] = reading.picc.level.settings != layout.PICC
        found["picc-key-version"] = reading.picc.level.key_versions != (badge.generation,)
    found["application"] = not reading.present
    if reading.application is not None:
        application = reading.application
        files = {file.number: file.settings for file in application.files or ()}
        found["application-settings"] = application.settings != layout.APPLICATION
        found["key-versions"] = application.key_versions != (badge.generation,) * 2
        found["files"] = set(files) != {BADGE_FILE}
        found["file-settings"] = BADGE_FILE in files and files[BADGE_FILE] != layout.FILE
    if reading.authenticate_key is not None:
        found["content"] = reading.content != layout.content(badge)
    return tuple(name for name, differs in found.items() if differs)


def _matching(
    card: DesfireCard, badge: Badge, number: int, candidates: Candidates
) -> Driven[KeyMatch | None]:
    """Authenticate with the first key that the badge answers to; tell which it is."""
    for match, key in candidates:
        try:
            yield from layout.authenticate(card, number, key, badge.scheme)
        except CardStatusError as error:
            if error.status not in {Status.AUTHENTICATION_ERROR.word, Status.NO_SUCH_KEY.word}:
                raise
        else:
            return match
    return None


def _read_picc(card: DesfireCard) -> Driven[PiccReading]:
    settings = yield from card.get_key_settings()
    version = yield from card.get_key_version(MASTER_KEY)
    free_bytes = yield from card.free_memory()
    aids = yield from card.get_application_ids()
    uid = yield from card.get_card_uid()
    return PiccReading(ApplicationContent(PICC_AID, settings, (version,)), free_bytes, aids, uid)


def _is_present(card: DesfireCard, aid: int) -> Driven[bool]:
    try:
        yield from card.select_application(aid)
    except CardStatusError as error:
        if error.status != Status.APPLICATION_NOT_FOUND.word:
            raise
        return False
    return True


def _read_file(card: DesfireCard) -> Driven[bytes | None]:
    """Read file 1; None where it is not there, or not as it should be."""
    try:
        return (yield from card.read_data(BADGE_FILE, 0, layout.CONTENT_BYTES, layout.FILE.mode))
    except CardStatusError:
        return None
