"""Waiting for an operation by long polls."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from cardd.client.errors import CarddProblem, DaemonUnavailable
from cardd.client.operations import FINAL_STATES
from cardd.client.problems import Problem

POLL_S = 25.0
# How much longer than the daemon was told to wait, an operation may stay open.
_GRACE_S = 10.0


class Operation(Protocol):
    """What authentications and encodings have in common."""

    @property
    def id(self) -> str:
        """Its name in the path."""

    @property
    def state(self) -> str:
        """Where it stands."""

    @property
    def problem(self) -> Problem | None:
        """Why it failed."""


Kind = TypeVar("Kind", bound=Operation)


def until_ended(
    operation: Kind,
    timeout_s: float,
    *,
    poll: Callable[[Kind], Kind],
    cancel: Callable[[str], None],
    watch: Callable[[Kind], None] | None = None,
) -> Kind:
    """Poll until an operation has ended; cancel it where the person interrupts the wait.

    `watch` sees each state on the way. An encoding that was interrupted may begin its time anew,
    so the limit counts from the last change.
    """
    deadline = time.monotonic() + timeout_s + _GRACE_S
    try:
        while operation.state not in FINAL_STATES:
            if watch is not None:
                watch(operation)
            if time.monotonic() > deadline:
                raise DaemonUnavailable("the daemon keeps an operation open past its end")
            before, operation = operation, poll(operation)
            if operation != before:
                deadline = time.monotonic() + timeout_s + _GRACE_S
    except KeyboardInterrupt:
        cancel(operation.id)
        raise
    return operation


def failure(operation: Operation) -> CarddProblem:
    """Return the problem of an operation that ended without a result."""
    problem = operation.problem
    if problem is None:
        return CarddProblem("cancelled", 409, f"the operation is {operation.state}", "")
    return CarddProblem(
        problem.code, problem.status, problem.detail, problem.user_message, problem.facts
    )
