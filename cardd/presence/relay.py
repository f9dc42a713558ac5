"""Carries a procedure of the key service to the card and back."""

import contextlib
from collections.abc import Callable

from cardd.errors import CarddError, Code, Refused
from cardd.iso7816.connection import CardConnection
from cardd.kms.messages import Outcome, Procedure, Step
from cardd.kms.ports import KeyService

MOST_STEPS = 256  # an encoding has some forty commands; a KMS that never ends must not hold a card

Progress = Callable[[tuple[int, int]], None]


def relay(
    service: KeyService,
    connection: CardConnection,
    procedure: Procedure,
    *,
    alive: Callable[[], None],
    progress: Progress,
) -> Outcome:
    """Drive a procedure to its outcome.

    `alive` is called before each thing that may block, and may raise to give the procedure up;
    `progress` with each step that has some.
    Raises what the card or the key service raises; the handle is then given up.
    """
    alive()
    step = service.begin(procedure)
    for _ in range(MOST_STEPS):
        if step.progress is not None:
            progress(step.progress)
        answers = _carry(service, connection, step, alive)
        reply = service.next(step.handle, answers)
        if not isinstance(reply, Step):
            return reply
        step = reply
    _give_up(service, step.handle)
    raise Refused(
        Code.INTERNAL_ERROR,
        f"the procedure had not ended after {MOST_STEPS} steps, and was given up",
    )


def _carry(
    service: KeyService, connection: CardConnection, step: Step, alive: Callable[[], None]
) -> tuple[bytes, ...]:
    answers = []
    try:
        for command in step.commands:
            alive()
            answers.append(connection.transmit(command))
        alive()
    except Exception:
        _give_up(service, step.handle)
        raise
    return tuple(answers)


def _give_up(service: KeyService, handle: str) -> None:
    """Abort; where the KMS cannot be told, the handle dies of its age."""
    with contextlib.suppress(CarddError):
        service.abort(handle)
