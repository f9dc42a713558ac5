"""Badges in service when their masters got a second generation, and what is done to them."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardd.badges.model import Picc
from cardd.kms import messages as m
from cardd.kms.ports import KeyService
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    MovedClock,
    configuration,
    encoded,
    holder,
    key_service,
    new_generation,
)

CHANGE_KEY = 0xC4


def copy_of(badge: VirtualDesfire) -> VirtualDesfire:
    return VirtualDesfire.from_json(badge.to_json())


def row(service: KeyService, badge: VirtualDesfire) -> m.BadgeView:
    (found,) = service.badges(m.Page(q=badge.uid.hex())).items
    return found


@contextmanager
def with_next_generation(
    folder: Path, *badges: VirtualDesfire, **badge: str
) -> Iterator[KeyService]:
    """Encode badges for a person each under generation 1, then go on where 2 is current."""
    config = configuration(folder)
    with key_service(config, MovedClock()) as service:
        for number, each in enumerate(badges):
            encoded(service, each, holder(service, f"S{number}").id)
    assert new_generation(config) == 2
    with key_service(configuration(folder, **badge), MovedClock()) as service:
        yield service


def cut_at_change(service: KeyService, badge: VirtualDesfire, number: int) -> None:
    """Cut a re-key after the card did the ChangeKey of this number, from 0."""
    badge.reset()
    step: m.Step | m.Outcome = service.begin(m.Rekey(uid=badge.uid))
    while isinstance(step, m.Step):
        number -= step.commands[0][1] == CHANGE_KEY
        answers = tuple(badge.transmit(command) for command in step.commands)
        if number < 0:
            service.abort(step.handle)
            badge.reset()
            return
        step = service.next(step.handle, answers)
    raise AssertionError("it had fewer changes")


def make_foreign(service: KeyService, badge: VirtualDesfire) -> None:
    """Let the registry say that the PICC is another party's."""
    registry = service._core.registry  # type: ignore[attr-defined]
    registry.put_badge(dataclasses.replace(registry.badge_by_uid(badge.uid), picc=Picc.FOREIGN))
