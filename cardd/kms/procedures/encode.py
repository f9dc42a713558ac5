"""`prepare` and `encode`: from a blank to a badge with keys of its own.

Both converge: they find out what the badge has, do what lacks, and read all of it back. So the
same procedure begins an encoding and resumes one that was cut at any byte. Each change of the card
follows a commit point. The key versions tell what was done: a generation is never 0, the version
of a key that was not set yet always is.
"""

from dataclasses import dataclass
from enum import Enum

from cardd.badges.model import Badge, Scheme
from cardd.desfire.applications import PICC_AID
from cardd.desfire.card import DesfireCard
from cardd.desfire.keys import DesfireKey
from cardd.desfire.status import Status
from cardd.errors import CardStatusError, Code, Refused
from cardd.kms.procedures import layout, read_back, recognition
from cardd.kms.procedures.layout import AUTHENTICATE_KEY, BADGE_FILE, MASTER_KEY
from cardd.kms.procedures.ports import Commit, Driven

PREPARE_STEPS = ("transport-key",)
ENCODE_STEPS = (
    "transport-key",
    "default-key",
    "application",
    "authenticate-key",
    "file",
    "content",
    "app-master-key",
    "picc-key",
    "picc-settings",
    "default-key-reset",
    "read-back",
)

BEFORE_TRANSPORT_KEY = frozenset({"transport-key"})
"""Steps at which the PICC may still have the factory's key."""

BEFORE_OWN_KEY = frozenset(ENCODE_STEPS[: ENCODE_STEPS.index("picc-key")])
"""Steps at which the PICC cannot have its own key yet."""


class PiccKey(Enum):
    """Which key the PICC answers to."""

    FACTORY = "factory"
    TRANSPORT = "transport"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one encoding. `default` is the one-time key of a new application."""

    transport: DesfireKey
    default: DesfireKey
    picc: DesfireKey
    app_master: DesfireKey
    authenticate: DesfireKey


@dataclass(frozen=True, slots=True)
class Plan:
    """What an encoding is to reach. `start` lists the PICC keys to try, likeliest first."""

    badge: Badge
    keys: Keys
    start: tuple[PiccKey, ...]
    resumed: bool
    minimum_scheme: Scheme


def prepare(
    badge: Badge, transport: DesfireKey, minimum: Scheme, start: tuple[PiccKey, ...]
) -> Driven[tuple[PiccKey, Scheme]]:
    """Give a factory-fresh PICC its transport key, where it has not got it.

    `start` lists the keys to try: FACTORY is not among them for a blank that was prepared. Returns
    what it had, and the scheme of its product, which it told under its new key.
    """
    card = DesfireCard()
    scheme = yield from recognition.scheme_for_blank(card, badge, minimum)
    keys = {PiccKey.TRANSPORT: transport, PiccKey.FACTORY: layout.FACTORY_PICC_KEY}
    candidates = {which: keys[which] for which in start}
    found = yield from _authenticate_picc(card, scheme, candidates)
    if found is PiccKey.FACTORY:
        yield Commit("transport-key")
        yield from card.change_key(MASTER_KEY, transport)
    yield from read_back.picc_identity(card, badge, transport, scheme)
    return found, scheme


def encode(plan: Plan) -> Driven[Scheme]:
    """Encode a badge to the end and read it back; return the scheme it was encoded for."""
    card = DesfireCard()
    scheme = yield from recognition.scheme_for_blank(card, plan.badge, plan.minimum_scheme)
    found = yield from _authenticate_picc(card, scheme, _candidates(plan))
    if found is PiccKey.FACTORY:
        yield Commit("transport-key")
        yield from card.change_key(MASTER_KEY, plan.keys.transport)
        yield from layout.authenticate(card, MASTER_KEY, plan.keys.transport, scheme)
        found = PiccKey.TRANSPORT
    if found is PiccKey.TRANSPORT:
        yield from _ensure_application(card, plan)
        yield from _ensure_application_content(card, plan, scheme)
    yield from _finish_picc(card, plan, scheme, found)
    yield Commit("read-back")
    yield from _read_back(card, plan, scheme)
    return scheme


def _candidates(plan: Plan) -> dict[PiccKey, DesfireKey]:
    keys = {
        PiccKey.FACTORY: layout.FACTORY_PICC_KEY,
        PiccKey.TRANSPORT: plan.keys.transport,
        PiccKey.OWN: plan.keys.picc,
    }
    return {which: keys[which] for which in plan.start}


def _authenticate_picc(
    card: DesfireCard, scheme: Scheme, candidates: dict[PiccKey, DesfireKey]
) -> Driven[PiccKey]:
    """Authenticate at the PICC, which is selected, with the first key that fits; tell which."""
    found = yield from recognition.authenticate_with_one(card, candidates, scheme)
    if found is None:
        tried = " or ".join(which.value for which in candidates)
        raise Refused(
            Code.BADGE_KEYS_UNKNOWN,
            f"the badge does not answer to its {tried} key: it was encoded or prepared elsewhere, "
            "or its preparation was cut; prepare it again, or take another blank",
        )
    return found


def _ensure_application(card: DesfireCard, plan: Plan) -> Driven[None]:
    """Create our application, born with the one-time default key, where it is not there yet."""
    present = plan.badge.aid in (yield from card.get_application_ids())
    if present and not plan.resumed:
        raise Refused(
            Code.BADGE_KEYS_UNKNOWN,
            f"the badge already has an application {plan.badge.aid:06X} that is not ours; "
            "take another blank",
        )
    if not present:
        yield Commit("default-key")
        yield from card.set_default_key(plan.keys.default)
        yield Commit("application")
        yield from card.create_application(plan.badge.aid, layout.APPLICATION)


def _ensure_application_content(card: DesfireCard, plan: Plan, scheme: Scheme) -> Driven[None]:
    """Set the application's keys and file; the master key changes last and says all is done."""
    keys = plan.keys
    yield from card.select_application(plan.badge.aid)
    try:
        yield from layout.authenticate(card, MASTER_KEY, keys.default, scheme)
    except CardStatusError as error:
        if not plan.resumed or error.status != Status.AUTHENTICATION_ERROR.word:
            raise
        yield from layout.authenticate(card, MASTER_KEY, keys.app_master, scheme)
        return
    if (yield from card.get_key_version(AUTHENTICATE_KEY)) != keys.authenticate.version:
        yield Commit("authenticate-key")
        yield from card.change_key(AUTHENTICATE_KEY, keys.authenticate, old_key=keys.default)
    if BADGE_FILE not in (yield from card.get_file_ids()):
        yield Commit("file")
        yield from card.create_file(BADGE_FILE, layout.FILE)
    yield Commit("content")
    content = layout.content(plan.badge)
    yield from card.write_data(BADGE_FILE, 0, content, layout.FILE.mode)
    yield Commit("app-master-key")
    yield from card.change_key(MASTER_KEY, keys.app_master)


def _finish_picc(card: DesfireCard, plan: Plan, scheme: Scheme, found: PiccKey) -> Driven[None]:
    """Give the PICC its own key and settings, and its default key back to zeros."""
    keys = plan.keys
    yield from card.select_application(PICC_AID)
    if found is not PiccKey.OWN:
        yield from layout.authenticate(card, MASTER_KEY, keys.transport, scheme)
        yield Commit("picc-key")
        yield from card.change_key(MASTER_KEY, keys.picc)
    yield from layout.authenticate(card, MASTER_KEY, keys.picc, scheme)
    yield Commit("picc-settings")
    yield from card.change_key_settings(layout.SETTINGS)
    yield Commit("default-key-reset")
    yield from card.set_default_key(layout.ZERO_DEFAULT_KEY)


def _read_back(card: DesfireCard, plan: Plan, scheme: Scheme) -> Driven[None]:
    """Read everything that was written, under the new keys; refuse a badge that differs."""
    keys = plan.keys
    yield from read_back.picc(card, plan.badge, keys.picc, scheme)
    yield from card.select_application(plan.badge.aid)
    yield from read_back.application(card, keys.app_master, scheme)
    yield from read_back.content(card, plan.badge, keys.authenticate, scheme)
