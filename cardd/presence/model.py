"""What the workstation shows of itself. Times are Unix seconds; JSON has them as numbers."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from cardd.assurance.levels import Acr
from cardd.kms.messages import Audience, HolderClaims, Nonce


class CardView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A card in a reader. `handle` is opaque and lives as long as the card stays."""

    handle: str
    type: Literal["badge", "unknown"]
    inserted_at: float


class ReaderView(msgspec.Struct, frozen=True):
    """A reader. `health` is `ok`, or `fault` with a sentence in `why`."""

    name: str
    source: str
    health: Literal["ok", "fault"]
    why: str | None
    card: CardView | None
    holder: HolderClaims | None
    sid: str | None


class CardSummary(msgspec.Struct, frozen=True):
    """Which card proved itself; `badge` is the id in /v1/badges."""

    type: Literal["badge"]
    badge: str


class PresenceView(msgspec.Struct, frozen=True):
    """A person at this workstation."""

    sid: str
    holder: HolderClaims
    card: CardSummary
    reader: str
    acr: Acr
    amr: tuple[str, ...]
    auth_time: int
    expires_at: int
    idle_until: float


class AuthenticationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ask for the next card shown. `wait_s` is how long the answer may take, else 202."""

    audience: Audience
    nonce: Nonce
    methods: tuple[Literal["badge", "cps"], ...] = ("badge",)
    purpose: Literal["login"] = "login"
    reader: str | None = None
    presence: Literal["start", "none"] = "start"
    expect_holder: str | None = None
    minimum_acr: Acr | None = None
    wait_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 60.0


class AuthenticationResult(msgspec.Struct, frozen=True):
    """A person was authenticated. `assertion` is a compact JWS."""

    method: Literal["badge"]
    acr: Acr
    amr: tuple[str, ...]
    auth_time: int
    holder: HolderClaims
    card: CardSummary
    reader: str
    sid: str | None
    assertion: str


class EnrolmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ask for the badge in the reader, or the next one shown, to be prepared or encoded."""

    action: Literal["prepare", "encode"]
    holder: str | None = None
    reader: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 60.0


class Problem(msgspec.Struct, frozen=True):
    """Why something failed: a stable code, a sentence for engineers, and facts."""

    code: str
    detail: str
    facts: dict[str, Any] = {}


class Event(msgspec.Struct, frozen=True):
    """Something that happened here. No event carries an assertion or a UID.

    `identity` (holder, sid, acr) is for the peers of the reader's seat and for administrators;
    `data` is for everybody who may observe.
    """

    id: str
    type: str
    time: float
    reader: str | None
    card: str | None
    data: dict[str, Any]
    identity: dict[str, Any]


class SourceStatus(msgspec.Struct, frozen=True):
    """A source of readers; `why` is a sentence where it is lost."""

    name: str
    health: Literal["ok", "lost"]
    why: str | None


class Can(msgspec.Struct, frozen=True):
    """What can be offered now; `why` is a sentence where a badge cannot be judged."""

    badge: bool
    cps: bool
    why: str | None


class WorkstationStatus(msgspec.Struct, frozen=True):
    """The health of the workstation."""

    sources: tuple[SourceStatus, ...]
    can: Can
