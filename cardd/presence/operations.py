"""What clients wait for: authentications and enrolments, pending and ended."""

from enum import StrEnum
from typing import Literal

from cardd.kms.messages import Encoded, Prepared
from cardd.presence.model import (
    AuthenticationRequest,
    AuthenticationResult,
    EnrolmentRequest,
    Problem,
)


class State(StrEnum):
    """Where an operation stands; the last three are final."""

    WAITING_FOR_CARD = "waiting_for_card"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Operation:
    """Something one client asked of a card. Read it on the event loop's thread.

    `owner` is an opaque string: who asked. `problem` says why it failed, or, while an enrolment
    waits for its card again, what interrupted it. `progress` is (steps done, steps in all) of an
    enrolment. `expires_at` is in Unix seconds.
    """

    id: str
    owner: str
    kind: Literal["authentication", "enrolment"]
    request: AuthenticationRequest | EnrolmentRequest
    expires_at: float
    result: AuthenticationResult | Prepared | Encoded | None
    problem: Problem | None
    progress: tuple[int, int] | None

    @property
    def state(self) -> State:
        """Where it stands now."""
        raise NotImplementedError

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        raise NotImplementedError

    async def changed(self, timeout_s: float) -> None:
        """Return at the next change of state, at once where it has ended, or at the time-out."""
        raise NotImplementedError
