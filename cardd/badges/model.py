"""Holders and badges."""

from dataclasses import dataclass, field
from enum import StrEnum

from cardd.badges.states import BadgeState


class Scheme(StrEnum):
    """How a badge authenticates and protects messages, weakest first."""

    EV1_AES = "ev1-aes"
    EV2_AES = "ev2-aes"

    def meets(self, minimum: "Scheme") -> bool:
        """Tell whether this scheme is as strong as a minimum, or stronger."""
        weakest_first = tuple(Scheme)
        return weakest_first.index(self) >= weakest_first.index(minimum)


class Picc(StrEnum):
    """Whose the PICC master key is."""

    OURS = "ours"
    FOREIGN = "foreign"


class HolderStatus(StrEnum):
    """Whether a person still works here."""

    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Holder:
    """A person who may hold badges. Times are Unix seconds; `id` is opaque and becomes `sub`."""

    id: str
    staff_number: str
    given_name: str | None
    family_name: str | None
    accounts: dict[str, str] = field(default_factory=dict)
    national_ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    valid_from: int | None = None
    valid_until: int | None = None
    status: HolderStatus = HolderStatus.ACTIVE
    version: int = 1

    @property
    def display_name(self) -> str:
        """Return the name as people read it, or the staff number where the card has no name."""
        name = " ".join(part for part in (self.given_name, self.family_name) if part)
        return name or self.staff_number


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge as the registry knows it. `id` is 32 hexadecimal digits; `uid` has 7 bytes.

    `generation` is that of the masters its keys come from (the key version byte, 1 to 255).
    `transport_generation` is set while the PICC still answers to a transport key.
    """

    id: str
    uid: bytes
    aid: int
    number: str
    scheme: Scheme
    generation: int
    state: BadgeState
    picc: Picc = Picc.OURS
    transport_generation: int | None = None
    reason: str | None = None
    holder_id: str | None = None
    issued_at: int | None = None
    expires_at: int | None = None
    version: int = 1
