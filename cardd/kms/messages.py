"""What goes in and out of the key service, in process or over the wire.

Bytes are bytes here; JSON carries them as base64 (msgspec's form). Times are Unix seconds.
"""

from typing import Annotated

import msgspec

from cardd.assurance.levels import Acr
from cardd.badges.inspection.facts import BadgeFacts, RegistryFacts

# The look-ahead, because Python's $ also matches before a last line feed; ECMA-262's does not.
Nonce = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{22,128}$(?!\n)")]
Audience = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
NationalId = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z /._-]{0,63}$(?!\n)", max_length=64)
]
Uid = Annotated[bytes, msgspec.Meta(min_length=4, max_length=10)]
Generation = Annotated[int, msgspec.Meta(ge=1, le=255)]


class AssertionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An assertion that a relying party asks for: for one audience, with its own nonce."""

    audience: Audience
    nonce: Nonce
    minimum_acr: Acr | None = None


class Tap(msgspec.Struct, frozen=True, tag="tap", forbid_unknown_fields=True):
    """Authenticate a badge; `presence` opens one, `expect_holder` refuses anybody else."""

    uid: Uid
    requests: tuple[AssertionRequest, ...] = ()
    presence: bool = True
    expect_holder: str | None = None


class Prepare(msgspec.Struct, frozen=True, tag="prepare", forbid_unknown_fields=True):
    """Give a factory-fresh PICC its transport key."""

    uid: Uid


class Encode(msgspec.Struct, frozen=True, tag="encode", forbid_unknown_fields=True):
    """Encode a badge, for a holder where one is named; it is then active."""

    uid: Uid
    holder: str | None = None


class Rekey(msgspec.Struct, frozen=True, tag="rekey", forbid_unknown_fields=True):
    """Give a badge its keys from another generation of the masters; without one, the current."""

    uid: Uid
    generation: Generation | None = None


class Wipe(msgspec.Struct, frozen=True, tag="wipe", forbid_unknown_fields=True):
    """Make a revoked badge a prepared blank again."""

    uid: Uid


class Inspect(msgspec.Struct, frozen=True, tag="inspect", forbid_unknown_fields=True):
    """Read a badge of ours under its own keys; nothing on it changes.

    `try_other_keys` also tries keys that it must not have, where it does not answer to its own.
    """

    uid: Uid
    try_other_keys: bool = False


Procedure = Tap | Prepare | Encode | Rekey | Wipe | Inspect


class Step(msgspec.Struct, frozen=True, tag="step"):
    """Command APDUs to relay to the card in order; answer with as many response APDUs.

    `progress` is (steps done, steps in all) for procedures that a person watches.
    """

    handle: str
    commands: tuple[bytes, ...]
    progress: tuple[int, int] | None = None


class HolderClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who a holder is to a relying party."""

    id: str
    staff_number: str
    given_name: str | None = None
    family_name: str | None = None
    accounts: dict[str, str] = {}
    groups: tuple[str, ...] = ()


class Challenge(msgspec.Struct, frozen=True):
    """What a card must sign now, in the claim `kms_challenge` of one proof.

    It serves once, for the client that asked, until `expires_at`. Times are the KMS's.
    """

    value: str
    issued_at: int
    expires_at: int


class Authenticated(msgspec.Struct, frozen=True, tag="authenticated"):
    """A card that proved its key. `assertions` are compact JWS, in the order of the requests.

    `badge` is the badge's id; for a CPS it is None, and `certificate` is the `x5t#S256` of the
    certificate that signed.
    """

    holder: HolderClaims
    badge: str | None
    acr: Acr
    amr: tuple[str, ...]
    auth_time: int
    sid: str | None
    expires_at: int | None
    assertions: tuple[str, ...]
    certificate: str | None = None


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """A blank that now answers to its transport key alone."""

    badge: str


class Encoded(msgspec.Struct, frozen=True, tag="encoded"):
    """The receipt of an encoding that was read back.

    `exposed` says that the badge started from a public key: a recording of the encoding
    gives its keys.
    """

    badge: str
    number: str
    holder: HolderClaims | None
    scheme: str
    generation: int
    expires_at: int
    exposed: bool


class Rekeyed(msgspec.Struct, frozen=True, tag="rekeyed"):
    """The receipt of a re-key that was read back: only the new keys are accepted from now on."""

    badge: str
    number: str
    holder: HolderClaims | None
    scheme: str
    generation: int
    previous_generation: int
    expires_at: int | None


class Wiped(msgspec.Struct, frozen=True, tag="wiped"):
    """A badge that is a prepared blank again.

    `transport_generation` is that of the master of its PICC key, None where the PICC is another
    party's. `formatted` says that its memory was given back: no other application was on it.
    """

    badge: str
    number: str
    transport_generation: int | None
    formatted: bool


class Inspected(msgspec.Struct, frozen=True, tag="inspected"):
    """What the registry says of a badge, and what the badge says under its own keys."""

    registry: RegistryFacts
    holder: HolderClaims | None
    card: BadgeFacts


Receipt = Prepared | Encoded | Rekeyed | Wiped
"""What comes of work on a badge that changes it."""

Outcome = Authenticated | Receipt | Inspected


# No blanks but single ones inside, no control characters; nothing that looks like a holder's id.
StaffNumber = Annotated[
    str,
    msgspec.Meta(
        max_length=64,
        pattern=r"^(?![0-9a-f]{32}$)[^\s\u0000-\u001f\u007f]+( [^\s\u0000-\u001f\u007f]+)*$(?!\n)",
    ),
]


class NewHolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person to be registered."""

    staff_number: StaffNumber
    given_name: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    family_name: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    accounts: dict[str, str] = {}
    national_ids: Annotated[tuple[NationalId, ...], msgspec.Meta(max_length=16)] = ()
    groups: tuple[str, ...] = ()
    valid_from: int | None = None
    valid_until: int | None = None


class HolderView(HolderClaims, frozen=True, omit_defaults=True):
    """A holder as the registry has it, for an administrator."""

    national_ids: tuple[str, ...] = ()
    valid_from: int | None = None
    valid_until: int | None = None
    status: str = "active"


class BadgeView(msgspec.Struct, frozen=True):
    """A badge as the registry has it, for an administrator; `uid` is hexadecimal."""

    id: str
    number: str
    uid: str
    state: str
    reason: str | None
    scheme: str
    generation: int
    holder: HolderClaims | None
    issued_at: int | None
    expires_at: int | None


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a list: what follows `cursor`, at most `limit` rows that match `q`."""

    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    q: Annotated[str, msgspec.Meta(max_length=128)] | None = None


class HolderList(msgspec.Struct, frozen=True):
    """A page of holders; `next` is the cursor of the following page, if any."""

    items: tuple[HolderView, ...]
    next: str | None


class BadgeList(msgspec.Struct, frozen=True):
    """A page of badges; `next` is the cursor of the following page, if any."""

    items: tuple[BadgeView, ...]
    next: str | None


class PresenceEnded(msgspec.Struct, frozen=True, tag="presence_ended"):
    """Pushed by `watch`: a presence that the KMS ended, and why."""

    sid: str
    reason: str


class Resync(msgspec.Struct, frozen=True, tag="resync"):
    """Pushed by `watch` where notices may have been missed: what is still open must be asked."""


Notice = PresenceEnded | Resync


class Health(msgspec.Struct, frozen=True):
    """Whether badges can be judged now; `why` is a sentence where they cannot.

    `warnings` are sentences on what does not work and stops no badge: the audit's checkpoints, its
    witness.
    """

    available: bool
    why: str | None = None
    warnings: tuple[str, ...] = ()
