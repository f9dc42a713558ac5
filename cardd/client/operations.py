"""What one asks of a card, and what came of it; as `models`."""

from dataclasses import dataclass

from cardd.client.inspections import Inspection
from cardd.client.models import CardSummary, Holder, Json
from cardd.client.problems import Problem

FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class PinWanted:
    """The PIN that an authentication waits for.

    `card` is the handle that the PIN must name. `entry` is "client", or "pinpad" where the person
    types at the reader, which asks now where `asked`. `last_try`: another wrong PIN blocks the
    card.
    """

    card: str
    type: str
    tries_left: int | None
    entry: str
    min_length: int
    max_length: int
    last_try: bool
    asked: bool = False

    @classmethod
    def parse(cls, raw: Json) -> "PinWanted":
        """Read a question for a PIN."""
        return cls(
            raw["card"],
            raw["type"],
            raw["tries_left"],
            raw["entry"],
            raw["min_length"],
            raw["max_length"],
            raw["last_try"],
            raw.get("asked", False),
        )


@dataclass(frozen=True, slots=True)
class AuthenticationResult:
    """A person was authenticated; `assertion` is a compact JWS for the audience asked for.

    `evidence` is what a CPS signed, and `claims` what its certificate says. Where the key service
    could not be asked they are all there is: `holder`, `acr` and `assertion` are None, and
    `assertion_unavailable` says why. Whoever accepts that must verify `evidence` by itself.
    """

    method: str
    acr: str | None
    amr: tuple[str, ...]
    auth_time: int
    holder: Holder | None
    card: CardSummary
    reader: str
    sid: str | None
    assertion: str | None
    evidence: str | None
    claims: Json | None
    assertion_unavailable: str | None
    raw: Json

    @classmethod
    def parse(cls, raw: Json) -> "AuthenticationResult":
        """Read a result."""
        holder = raw["holder"]
        return cls(
            raw["method"],
            raw["acr"],
            tuple(raw["amr"]),
            raw["auth_time"],
            Holder.parse(holder) if holder else None,
            CardSummary.parse(raw["card"]),
            raw["reader"],
            raw.get("sid"),
            raw["assertion"],
            raw.get("evidence"),
            raw.get("claims"),
            raw.get("assertion_unavailable"),
            raw,
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done to a badge: `number` is printed on it. What does not go with `type` is None.

    `exposed` says that an encoding began from a public key. `previous_generation` is that of the
    keys which a re-key took away. A wipe gives `transport_generation`, that of the blank's key, and
    `formatted`: whether its memory was given back.
    """

    type: str
    badge: str
    number: str | None
    holder: Holder | None
    scheme: str | None
    generation: int | None
    expires_at: int | None
    exposed: bool | None
    previous_generation: int | None = None
    transport_generation: int | None = None
    formatted: bool | None = None

    @classmethod
    def parse(cls, raw: Json) -> "Receipt":
        """Read a receipt."""
        holder = raw.get("holder")
        return cls(
            raw["type"],
            raw["badge"],
            raw.get("number"),
            Holder.parse(holder) if holder else None,
            raw.get("scheme"),
            raw.get("generation"),
            raw.get("expires_at"),
            raw.get("exposed"),
            raw.get("previous_generation"),
            raw.get("transport_generation"),
            raw.get("formatted"),
        )


@dataclass(frozen=True, slots=True)
class Authentication:
    """An authentication that this user started.

    In the state `pin_required`, `pin` is what is asked for, and `problem` why the PIN before it
    did not do.
    """

    id: str
    state: str
    expires_at: float
    result: AuthenticationResult | None
    problem: Problem | None
    pin: PinWanted | None = None

    @classmethod
    def parse(cls, raw: Json) -> "Authentication":
        """Read an authentication."""
        result, problem, pin = raw.get("result"), raw.get("problem"), raw.get("pin")
        return cls(
            raw["id"],
            raw["state"],
            raw["expires_at"],
            AuthenticationResult.parse(result) if result else None,
            Problem.parse(problem) if problem else None,
            PinWanted.parse(pin) if pin else None,
        )


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Work on a badge, or a look at a card; `progress` is steps done and steps in all.

    `problem` in a state that is not final says what interrupted it: show the badge again.
    """

    id: str
    state: str
    expires_at: float
    progress: tuple[int, int] | None
    result: Receipt | Inspection | None
    problem: Problem | None

    @classmethod
    def parse(cls, raw: Json) -> "Enrolment":
        """Read an enrolment."""
        progress, result, problem = raw.get("progress"), raw.get("result"), raw.get("problem")
        return cls(
            raw["id"],
            raw["state"],
            raw["expires_at"],
            (progress[0], progress[1]) if progress else None,
            _result(result) if result else None,
            Problem.parse(problem) if problem else None,
        )


def _result(raw: Json) -> Receipt | Inspection:
    return Inspection.parse(raw) if raw["type"] == "inspection" else Receipt.parse(raw)
