"""What the faces take and give beyond the workstation's and the key service's own structs."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cardd.assurance.levels import Acr
from cardd.badges.inspection.facts import CardFacts
from cardd.badges.inspection.findings import FindingCode, Severity
from cardd.badges.states import RevocationReason
from cardd.kms.messages import Audience, HolderClaims, Inspected, Nonce, Receipt
from cardd.presence.model import (
    AuthenticationResult,
    Can,
    CardSummary,
    CardView,
    PinWanted,
    PresenceView,
    ReaderView,
    SourceStatus,
)
from cardd.presence.operations import State

Timestamp = Annotated[float, Meta(ge=0, le=253_402_300_799)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A body or a query string; what is not listed is refused."""


class NoQuery(Request, frozen=True):
    """No query parameters."""


class Wait(Request, frozen=True):
    """For how long the answer may be held back until the operation has ended."""

    wait_s: Annotated[float, Meta(ge=0, le=60)] = 0.0


class AuthenticationWait(Wait, frozen=True):
    """And while it is in which state; without one, that a PIN is wanted is said at once."""

    state: State | None = None


Pin = Annotated[str, Meta(max_length=64)]


class SecretRequest(Request, frozen=True):
    """A body that holds a PIN: it shows nothing of itself."""

    def __repr__(self) -> str:
        """Name the kind of request alone."""
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show no member to who prints with rich either."""
        return []


class PinOrder(SecretRequest, frozen=True):
    """The PIN of a card, named by the handle that asked for it.

    Without `pin`, the entry begins at the reader's own keypad once more. `use_last_try` needs the
    right last-try.
    """

    card: str
    pin: Pin | None = None
    use_last_try: bool = False


class PinChange(SecretRequest, frozen=True):
    """The PIN of a card, and the one that it is to have."""

    old: Pin
    new: Pin
    use_last_try: bool = False


class PinUnblocking(SecretRequest, frozen=True):
    """The unblocking code of a card, and the PIN that it is to have."""

    code: Pin
    new: Pin
    use_last_try: bool = False


class AssertionOrder(Request, frozen=True):
    """Ask for an assertion on a presence, for another application."""

    audience: Audience
    nonce: Nonce
    minimum_acr: Acr | None = None


class Activity(Request, frozen=True):
    """Since when (Unix seconds) the person has not been active."""

    idle_since: Timestamp


class Revocation(Request, frozen=True):
    """Why a badge is revoked."""

    reason: RevocationReason


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """A problem (RFC 9457). Further members are its facts, such as `retry_after`.

    `code` is stable; `detail` is for engineers; `user_message` is for a person, in French or
    English by Accept-Language.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    user_message: str


class ApiStatus(msgspec.Struct, frozen=True):
    """The version of the interface and what it offers beyond it."""

    version: str
    features: tuple[str, ...]


class DaemonStatus(msgspec.Struct, frozen=True):
    """The daemon's own version."""

    version: str


class SiteStatus(msgspec.Struct, frozen=True):
    """The issuer of assertions and the name of this workstation in them."""

    issuer: str
    device: str


class Status(msgspec.Struct, frozen=True):
    """The health of this workstation and what can be offered now."""

    api: ApiStatus
    daemon: DaemonStatus
    can: Can
    sources: tuple[SourceStatus, ...]
    site: SiteStatus
    development: bool


class ReaderItem(msgspec.Struct, frozen=True):
    """A reader and its card; `holder` and `sid` are there for the peers of the seat alone."""

    name: str
    source: str
    health: Literal["ok", "fault"]
    why: str | None
    card: CardView | None
    holder: HolderClaims | UnsetType | None = UNSET
    sid: str | UnsetType | None = UNSET

    @classmethod
    def of(cls, reader: ReaderView, *, identity: bool) -> "ReaderItem":
        """Show a reader, with or without who is there."""
        return cls(
            reader.name,
            reader.source,
            reader.health,
            reader.why,
            reader.card,
            reader.holder if identity else UNSET,
            reader.sid if identity else UNSET,
        )


class ReaderList(msgspec.Struct, frozen=True):
    """The readers, by name."""

    items: tuple[ReaderItem, ...]


class PresenceItem(msgspec.Struct, frozen=True, kw_only=True):
    """A person at this workstation; who it is, is there for the peers of the seat alone."""

    reader: str
    auth_time: int
    expires_at: int
    idle_until: float
    sid: str | UnsetType = UNSET
    holder: HolderClaims | UnsetType = UNSET
    card: CardSummary | UnsetType = UNSET
    acr: Acr | UnsetType = UNSET
    amr: tuple[str, ...] | UnsetType = UNSET

    @classmethod
    def of(cls, presence: PresenceView, *, identity: bool) -> "PresenceItem":
        """Show a presence, with or without who it is."""
        return cls(
            reader=presence.reader,
            auth_time=presence.auth_time,
            expires_at=presence.expires_at,
            idle_until=presence.idle_until,
            sid=presence.sid if identity else UNSET,
            holder=presence.holder if identity else UNSET,
            card=presence.card if identity else UNSET,
            acr=presence.acr if identity else UNSET,
            amr=presence.amr if identity else UNSET,
        )


class PresenceList(msgspec.Struct, frozen=True):
    """Who is at this workstation."""

    items: tuple[PresenceItem, ...]


class Assertion(msgspec.Struct, frozen=True):
    """A compact JWS (`typ` cardd-auth+jwt)."""

    assertion: str


class AuthenticationView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An authentication: `result` where it succeeded, `problem` where it failed.

    `pin` is the PIN that is wanted; `problem` then says why the one before did not do.
    """

    id: str
    state: State
    expires_at: float
    pin: PinWanted | None = None
    result: AuthenticationResult | None = None
    problem: ProblemBody | None = None


class FindingView(msgspec.Struct, frozen=True):
    """Something to say about a card: a stable code, how bad it is, in words, and what to do.

    `facts` depend on the code.
    """

    code: FindingCode
    severity: Severity
    sentence: str
    advice: str
    facts: dict[str, Any]


class InspectionView(msgspec.Struct, frozen=True, tag="inspection", kw_only=True):
    """What a card is and holds: `card` as it tells anybody, `badge` under its own keys.

    Where the key service did not read it, `badge` is None and `unavailable` says why. `findings`
    are in the language of the request, worst first.
    """

    card: CardFacts
    badge: Inspected | None
    unavailable: ProblemBody | None
    findings: tuple[FindingView, ...]


class EnrolmentView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Work on a badge, or a look at it. `progress` is steps done and steps in all.

    A badge that was taken away too early is waited for again, `problem` says so, and presenting it
    goes on.
    """

    id: str
    state: State
    expires_at: float
    progress: tuple[int, int] | None = None
    result: Receipt | InspectionView | None = None
    problem: ProblemBody | None = None


class EventItem(msgspec.Struct, frozen=True):
    """Something that happened here. `id` resumes the stream; `card` is an opaque handle.

    `data` depends on `type`; for the peers of the seat it includes `holder`, `sid` and `acr`.
    """

    id: str
    type: str
    time: float
    reader: str | None
    card: str | None
    data: dict[str, Any]


class Jwk(msgspec.Struct, frozen=True, omit_defaults=True):
    """A public key that verifies assertions (RFC 7517)."""

    kty: str
    kid: str
    alg: str | None = None
    use: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


class JwkSet(msgspec.Struct, frozen=True):
    """The public keys that verify assertions."""

    keys: tuple[Jwk, ...]
