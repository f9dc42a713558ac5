"""What clients wait for: an authentication or an enrolment, from the request to its end."""

import asyncio
import secrets
from enum import StrEnum
from typing import Literal

from cardd.kms.messages import Receipt
from cardd.presence.model import (
    AuthenticationRequest,
    AuthenticationResult,
    EnrolmentRequest,
    Inspection,
    PinWanted,
    Problem,
)


class State(StrEnum):
    """Where an operation stands; the last three are final."""

    WAITING_FOR_CARD = "waiting_for_card"
    IN_PROGRESS = "in_progress"
    PIN_REQUIRED = "pin_required"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


Result = AuthenticationResult | Receipt | Inspection


class Operation:
    """Something one client asked of a card. Read it on the event loop's thread.

    `owner` is an opaque string: who asked. `problem` says why it failed, or, while an enrolment
    waits for its card again, what interrupted it. `progress` is (steps done, steps in all) of an
    enrolment. `pin` is the PIN that is waited for, from when the card is known to the end;
    `verifying` is True while one is tried. `expires_at` is in Unix seconds. `claimed` is written by
    the readers' workers, which also look at `ended`.
    """

    def __init__(
        self, owner: str, request: AuthenticationRequest | EnrolmentRequest, now: float
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.owner = owner
        self.request = request
        self.kind: Literal["authentication", "enrolment"] = (
            "authentication" if isinstance(request, AuthenticationRequest) else "enrolment"
        )
        self.expires_at = now + request.timeout_s
        self.result: Result | None = None
        self.problem: Problem | None = None
        self.progress: tuple[int, int] | None = None
        self.pin: PinWanted | None = None
        self.verifying = False
        self.claimed = False
        self._final: State | None = None
        self._change = asyncio.Event()

    @property
    def state(self) -> State:
        """Where it stands now."""
        if self._final is not None:
            return self._final
        if self.pin is not None and (self.pin.asked or not self.verifying):
            return State.PIN_REQUIRED
        return State.IN_PROGRESS if self.claimed else State.WAITING_FOR_CARD

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self._final is not None

    async def changed(self, timeout_s: float) -> None:
        """Return at the next change, at once where it has ended, or at the time-out.

        A change is a step of an enrolment, its interruption, a PIN that is wanted or that was
        wrong, or the end. That an authentication has its card is not announced: its end, or the
        question for a PIN, follows at once.
        """
        if self.ended:
            return
        change = self._change
        try:
            async with asyncio.timeout(timeout_s):
                await change.wait()
        except TimeoutError:
            return

    def note(self, *, problem: Problem | None, progress: tuple[int, int] | None) -> None:
        """Record how it goes, and wake who waits for a change."""
        self.problem = problem
        self.progress = progress
        self._wake()

    def ask_pin(self, wanted: PinWanted, problem: Problem | None = None) -> None:
        """Wait for a PIN; `problem` is why the one before did not do. Wakes who waits."""
        self.pin = wanted
        self.verifying = wanted.asked
        self.problem = problem
        self._wake()

    def end(self, final: State, *, result: Result | None, problem: Problem | None) -> None:
        """Record its end, and wake who waits for a change."""
        self._final = final
        self.verifying = False
        self.result = result
        self.problem = problem
        self._wake()

    def _wake(self) -> None:
        self._change.set()
        self._change = asyncio.Event()
