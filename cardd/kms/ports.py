"""The boundaries of the key service: who calls it, and what it stands on."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from cardd.assurance.presence import PresenceRecord
from cardd.badges.model import Badge, Holder
from cardd.cps.certificate import CpsCertificate
from cardd.cps.trust_usage import Usage
from cardd.kms import messages as m
from cardd.secret import Secret


class Right(StrEnum):
    """What a client of the key service may do."""

    TAP = "tap"
    PREPARE = "prepare"
    ENCODE = "encode"
    ENCODE_FACTORY = "encode-factory"
    REKEY = "rekey"
    WIPE = "wipe"
    INSPECT = "inspect"
    PEOPLE = "people"
    REVOKE = "revoke"
    CPS = "cps"


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls: a workstation.

    `device` comes from its certificate or from the KMS's own configuration, never from a request.
    `audiences` and `aids` None mean any; `badges_per_hour` None means that nobody counts.
    """

    name: str
    device: str
    rights: frozenset[Right]
    audiences: frozenset[str] | None = None
    aids: frozenset[str] | None = None
    badges_per_hour: int | None = None


class KeyService(Protocol):
    """The key service as one client sees it, embedded or remote. Thread-safe.

    No call waits long, but `authenticate_cps` as long as the configured OCSP responders may take.
    Errors: Refused with its code; KmsUnavailable. After an error of `next` the handle is gone.
    """

    def begin(self, procedure: m.Procedure) -> m.Step:
        """Start a procedure on a badge that the reader named by its UID."""

    def next(self, handle: str, answers: tuple[bytes, ...]) -> m.Step | m.Outcome:
        """Take the card's answers to the last step; return the next step or the outcome."""

    def abort(self, handle: str) -> None:
        """Give a handle up. An unknown one is no error."""

    def challenge(self) -> m.Challenge:
        """Return a challenge for a CPS to sign: random, for this client, once, within 60 s.

        Raises Refused: `forbidden`, `rate_limited` where too many of this client are unspent.
        """

    def authenticate_cps(
        self,
        proof: str,
        requests: tuple[m.AssertionRequest, ...] = (),
        *,
        presence: bool = True,
        expect_holder: str | None = None,
    ) -> m.Authenticated:
        """Judge a proof that a CPS signed for a login (cps.proof), and who it names.

        Its `aud` and `nonce` must be those of each request, or `aud` the issuer where there is
        none. It spends its challenge, whatever comes of it. Raises Refused: `proof_invalid`,
        `timeout` where its challenge is not a live one of this client, the codes of trust,
        `holder_unknown`, `holder_ended`, `conflict` where it names two people, `wrong_person`,
        `second_factor_required`, `forbidden`.
        """

    def assertions(self, sid: str, requests: tuple[m.AssertionRequest, ...]) -> tuple[str, ...]:
        """Sign assertions on a presence that this client opened and that lives."""

    def end_presence(self, sid: str, reason: str) -> None:
        """End a presence that this client opened. An ended one is no error."""

    def watch(self, listener: Callable[[m.Notice], None]) -> Callable[[], None]:
        """Call `listener`, from any thread, for what the KMS ends; return what stops that."""

    def add_holder(self, holder: m.NewHolder) -> m.HolderView:
        """Register a person; `conflict` where the staff number is taken."""

    def holder(self, name: str) -> m.HolderView:
        """Find a person by id or staff number; `not_found` where there is none."""

    def holders(self, page: m.Page) -> m.HolderList:
        """List people, by staff number."""

    def badges(self, page: m.Page) -> m.BadgeList:
        """List badges, by number."""

    def revoke_badge(self, badge: str, reason: str) -> m.BadgeView:
        """Revoke a badge, named by its id or number, and end its presences, in one act."""

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that verify assertions (RFC 7517)."""

    def health(self) -> m.Health:
        """Tell whether badges can be judged now."""


class Purpose(StrEnum):
    """What a master key is for. One master serves one purpose."""

    PICC = "picc"
    APP_MASTER = "app-master"
    AUTHENTICATE = "authenticate"
    TRANSPORT = "transport"
    REGISTRY = "registry"


BADGE_PURPOSES = (Purpose.PICC, Purpose.APP_MASTER, Purpose.AUTHENTICATE)
"""Those of an encoded badge's three keys, which rotate together: one generation names them."""


class KeyState(StrEnum):
    """Where a master is in its life: made, in use for what is new, succeeded by another."""

    NEXT = "next"
    CURRENT = "current"
    PREVIOUS = "previous"


class Masters(Protocol):
    """The master keys, wherever they live. AES-128; generations are 1 to 255. Thread-safe.

    Raises KmsUnavailable where the backend does not answer or has no such generation.
    """

    def current(self, purpose: Purpose) -> int:
        """Return the generation that new badges get."""

    def generations(self, purpose: Purpose) -> tuple[int, ...]:
        """Return the generations that can be used, oldest first; those not yet current too."""

    def mac(self, purpose: Purpose, generation: int, message: bytes) -> bytes:
        """Return the 16-byte AES-CMAC (NIST SP 800-38B) of a message under a master."""

    def kcv(self, purpose: Purpose, generation: int) -> bytes:
        """Return the 3-byte key check value in CMAC form: the first of the CMAC of 16 zeros."""

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """Encrypt and authenticate what only this backend opens again."""

    def open(self, sealed: bytes, associated: bytes) -> Secret:
        """Undo `seal`; raise KmsUnavailable where either argument was changed."""


class MasterKeys(Protocol):
    """The lives of the master keys: what a key ceremony does, never what a badge asks for.

    A master is `next` when it is made, `current` once it is promoted, and `previous` once a later
    one is. A generation is made above the current one, and life goes one way: where a previous
    master is wanted back, a new one is made. A running key service takes what was promoted or
    destroyed at its next start.

    Raises Refused: `conflict` where the states do not allow it, `not_supported` where this backend
    cannot do it at all; StartError and KmsUnavailable as opening and using the masters.
    """

    def states(self, purpose: Purpose) -> dict[int, KeyState]:
        """Return each generation that there is, oldest first, and its state."""

    def generate(self, purpose: Purpose, generation: int) -> None:
        """Make a random master where it will live; it is `next`."""

    def import_key(self, purpose: Purpose, generation: int, key: Secret) -> None:
        """Bring a master of 16 bytes in; it is `next`. Raises ValueError for another length."""

    def promote(self, purpose: Purpose, generation: int) -> None:
        """Make a `next` master the current one; the one that was is now `previous`."""

    def destroy(self, purpose: Purpose, generation: int) -> None:
        """Destroy a master that is not current. Whether badges still need it, the caller knows."""


class AssertionSigner(Protocol):
    """The key that signs assertions: ES256 (RFC 7518, 3.4)."""

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """Return a compact JWS over the claims, with `typ`, `alg` and `kid` in its header."""

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that verify it."""


class CardTrust(Protocol):
    """Who vouches for a CPS. Thread-safe; waits as long as the configured responders may take."""

    def check(self, der_chain: Sequence[bytes], usage: Usage, now: float) -> CpsCertificate:
        """Return the first certificate of a chain, to be believed in this usage; else Refused."""


class Audit(Protocol):
    """The chained record of what was done. Written before the answer is given."""

    def record(self, event: str, *, durable: bool = False, **facts: Any) -> None:
        """Append a line; `durable` syncs it first. Raises KmsUnavailable where it cannot."""

    def record_or_keep(self, event: str, **facts: Any) -> None:
        """Append a synced line, or keep it until that is possible: for what must be done anyway."""

    def ping(self) -> None:
        """Raise KmsUnavailable where the last line could not be written, or the next cannot."""


@dataclass(frozen=True, slots=True)
class Journal:
    """How far a procedure got. One row per UID, written before each command that changes the card.

    `sealed` holds what going on needs to know (an encoding's one-time default key, the generation
    that a re-key goes to), sealed by the masters. Until `leased_until`, in Unix seconds, no other
    client than `client` goes on with it.
    """

    uid: bytes
    procedure: str
    badge_id: str
    step: str
    sealed: bytes
    client: str
    updated_at: int
    leased_until: int = 0
    version: int = 1


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key of a badge whose keys are not derived: `sealed` by the masters."""

    badge_id: str
    purpose: Purpose
    generation: int
    sealed: bytes
    version: int = 1


@dataclass(frozen=True, slots=True)
class RegistryIdentity:
    """Which registry this is, and how far it has come: what tells an old one put back.

    `id` is random, 16 bytes. `opened` rises each time a key service begins to use it,
    `keystore_counter` is that of the keystore it was last used with, and `restored` counts how
    often people accepted that an old one was put back.
    """

    id: bytes
    opened: int
    keystore_counter: int
    restored: int
    version: int = 1


@dataclass(frozen=True, slots=True)
class ReplicaMark:
    """How far a replica of the key service had come when it last put its mark in the registry.

    `number` rises with each mark, and the replica's audit has it too. The audit then stood in the
    chain `chain` at line `seq`, with the hash `hash`; `masters` says how far the masters were
    (rollback.position).
    """

    replica: str
    number: int
    chain: str
    seq: int
    hash: str
    masters: str
    version: int = 1


class Registry(Protocol):
    """People, badges, presences and journals. Thread-safe.

    Every row that is read is checked against its MAC (Refused, `registry_integrity`). A `put`
    stores a row whose `version` is the stored one and returns it with the next version; another
    version is Refused (`conflict`). `KmsUnavailable` where the database cannot be used.
    """

    def atomically(self) -> AbstractContextManager[None]:
        """Make the calls inside a `with` block one transaction of this thread."""

    def add_holder(self, holder: Holder) -> None:
        """Insert; `conflict` where the id or staff number is taken."""

    def put_holder(self, holder: Holder) -> Holder:
        """Replace."""

    def holder(self, holder_id: str) -> Holder | None:
        """Find by id."""

    def holder_by_staff_number(self, staff_number: str) -> Holder | None:
        """Find by staff number."""

    def holders(self, page: m.Page) -> tuple[list[Holder], str | None]:
        """List by staff number; `q` matches names and staff numbers."""

    def add_badge(self, badge: Badge) -> None:
        """Insert; `conflict` where the id, number or UID is taken."""

    def put_badge(self, badge: Badge) -> Badge:
        """Replace."""

    def badge(self, badge_id: str) -> Badge | None:
        """Find by id."""

    def badge_by_number(self, number: str) -> Badge | None:
        """Find by printed number."""

    def badge_by_uid(self, uid: bytes) -> Badge | None:
        """Find by UID."""

    def badge_and_holder(self, uid: bytes) -> tuple[Badge, Holder | None] | None:
        """Find a badge by UID together with its holder, in one query: the tap's look-up."""

    def badges_of(self, holder_id: str) -> list[Badge]:
        """List a holder's badges."""

    def badges(self, page: m.Page) -> tuple[list[tuple[Badge, Holder | None]], str | None]:
        """List by number; `q` matches numbers, UIDs and holders' names and staff numbers."""

    def holders_by_national_id(self, national_id: str) -> list[Holder]:
        """List those who have a national identifier, written as cards write it, by id."""

    def add_presence(self, presence: PresenceRecord) -> None:
        """Insert."""

    def put_presence(self, presence: PresenceRecord) -> PresenceRecord:
        """Replace."""

    def presence(self, sid: str) -> PresenceRecord | None:
        """Find by sid."""

    def open_presences_of_badge(self, badge_id: str) -> list[PresenceRecord]:
        """List those that are not ended."""

    def last_used(self) -> dict[str, int]:
        """Return when each badge last opened a presence, in Unix seconds, by the badge's id.

        For a report: these rows' MACs are not checked.
        """

    def journal(self, uid: bytes) -> Journal | None:
        """Find by UID."""

    def put_journal(self, journal: Journal) -> Journal:
        """Insert where `version` is 1 and there is none, else replace."""

    def drop_journal(self, uid: bytes) -> None:
        """Delete; none is no error."""

    def add_stored_key(self, key: StoredKey) -> None:
        """Insert; `conflict` where the badge has one of this purpose and generation."""

    def put_stored_key(self, key: StoredKey) -> StoredKey:
        """Replace."""

    def stored_keys(self, badge_id: str) -> list[StoredKey]:
        """List those of a badge, by purpose and generation."""

    def drop_stored_key(self, key: StoredKey) -> None:
        """Delete; none is no error."""

    def identity(self) -> RegistryIdentity:
        """Return whose registry this is; Refused (`registry_integrity`) where that is missing."""

    def put_identity(self, identity: RegistryIdentity) -> RegistryIdentity:
        """Replace."""

    def replica_mark(self, replica: str) -> ReplicaMark | None:
        """Find by the replica's name."""

    def add_replica_mark(self, mark: ReplicaMark) -> None:
        """Insert; `conflict` where the replica has one."""

    def put_replica_mark(self, mark: ReplicaMark) -> ReplicaMark:
        """Replace."""

    def ping(self) -> None:
        """Raise KmsUnavailable where the database cannot be used."""
