"""What the workstation shows of itself. Times are Unix seconds; JSON has them as numbers."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from cardd.assurance.levels import Acr
from cardd.badges.inspection.facts import CardFacts
from cardd.badges.inspection.findings import Finding
from cardd.kms.messages import (
    Audience,
    Authenticated,
    Generation,
    HolderClaims,
    Inspected,
    Nonce,
)

Method = Literal["badge", "cps"]
"""With which card somebody authenticates."""

CardType = Literal["badge", "cps", "unknown"]
"""What a card in a reader is known to be."""


class CardView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A card in a reader. `handle` is opaque and lives as long as the card stays."""

    handle: str
    type: CardType
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


class CardSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which card proved itself: the badge by its id in /v1/badges, the CPS by its certificate.

    `x5t#S256` is the thumbprint of the certificate that signed (RFC 7515, 4.1.8).
    """

    type: Literal["badge", "cps"]
    badge: str | None = None
    certificate: str | None = msgspec.field(default=None, name="x5t#S256")

    @classmethod
    def of(cls, outcome: Authenticated) -> "CardSummary":
        """Name the card of an outcome."""
        if outcome.badge is not None:
            return cls("badge", badge=outcome.badge)
        return cls("cps", certificate=outcome.certificate)


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
    methods: Annotated[tuple[Method, ...], Meta(min_length=1, max_length=2)] = ("badge",)
    purpose: Literal["login"] = "login"
    reader: str | None = None
    presence: Literal["start", "none"] = "start"
    expect_holder: str | None = None
    minimum_acr: Acr | None = None
    wait_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 60.0


class PinWanted(msgspec.Struct, frozen=True):
    """The PIN that an authentication waits for, and of which card.

    `card` is the card's handle, which the PIN must name. `tries_left` is None where the card does
    not tell. `entry` says where it is typed: at the client, or at the reader's own keypad.
    `last_try` says that the next wrong PIN blocks the card: it needs `use_last_try`. `asked` says
    that the reader's keypad asks for it now.
    """

    card: str
    type: Literal["cps"]
    tries_left: int | None
    entry: Literal["client", "pinpad"]
    min_length: int
    max_length: int
    last_try: bool
    asked: bool = False


class AuthenticationResult(msgspec.Struct, frozen=True):
    """A person was authenticated. `assertion` and `evidence` are compact JWS.

    `evidence` is the proof that a CPS signed; None for a badge. Where the key service could not be
    asked, it is all there is: `holder`, `acr` and `assertion` are None, `assertion_unavailable`
    says why, and `claims` is what the card's certificate says.
    """

    method: Method
    acr: Acr | None
    amr: tuple[str, ...]
    auth_time: int
    holder: HolderClaims | None
    card: CardSummary
    reader: str
    sid: str | None
    assertion: str | None
    evidence: str | None = None
    claims: dict[str, Any] | None = None
    assertion_unavailable: str | None = None


Action = Literal["prepare", "encode", "rekey", "wipe", "inspect"]
"""What is done with a badge that an administrator shows."""


class EnrolmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ask for the badge in the reader, or the next one shown, to be worked on or looked at.

    `holder` goes with `encode`. `generation` goes with `rekey`: that of the masters which the badge
    is to have its keys from, by default the current one. With `try_default_keys` an inspection also
    tries keys that everybody knows, which a card may count as failed attempts.
    """

    action: Action
    holder: str | None = None
    generation: Generation | None = None
    reader: str | None = None
    try_default_keys: bool = False
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 60.0


class Problem(msgspec.Struct, frozen=True):
    """Why something failed: a stable code, a sentence for engineers, and facts."""

    code: str
    detail: str
    facts: dict[str, Any] = {}


class Inspection(msgspec.Struct, frozen=True, tag="inspection", kw_only=True):
    """What a card is and holds, and what there is to say about it, worst first.

    `card` is what it tells anybody; `badge` what the key service read under its keys, or None:
    `unavailable` then says why.
    """

    card: CardFacts
    badge: Inspected | None
    unavailable: Problem | None
    findings: tuple[Finding, ...]


class PinStateView(msgspec.Struct, frozen=True):
    """A card's PIN; `tries_left` is None where the card does not tell."""

    tries_left: int | None
    blocked: bool
    min_length: int
    max_length: int


class CpsView(msgspec.Struct, frozen=True, kw_only=True):
    """A CPS in a reader, as it shows itself without its PIN.

    `identity` is what its certificate says, None where that is not believed: `problem` says why.
    Times are Unix seconds. `data_objects` are the labels of what can be read without a PIN.
    """

    card: str
    reader: str
    family: str
    number: str
    identity: dict[str, Any] | None
    not_before: int
    not_after: int
    certificate: str
    problem: Problem | None
    pin: PinStateView | None
    data_objects: tuple[str, ...]


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
    """What can be offered now; `why` and `why_cps` are sentences where it cannot."""

    badge: bool
    cps: bool
    why: str | None
    why_cps: str | None = None


class WorkstationStatus(msgspec.Struct, frozen=True):
    """The health of the workstation."""

    sources: tuple[SourceStatus, ...]
    can: Can
