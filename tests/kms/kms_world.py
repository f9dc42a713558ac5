"""A real embedded key service in a folder, virtual badges, and a relay that can be cut."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cardd import assembly
from cardd.config import Config, parse
from cardd.errors import CardRemoved, Code, Refused
from cardd.iso7816.exchange import Answers
from cardd.kms import messages as m
from cardd.kms.ports import BADGE_PURPOSES, KeyService
from simulators.desfire.picc import VirtualDesfire

NONCE = "n" * 22
PRODUCTS = ("ev1", "ev2")


class MovedClock:
    """A clock that a test moves."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


def configuration(folder: Path, blanks: str = "factory", **badge: Any) -> Config:
    """Return a configuration whose files are all in one folder."""
    extra = "".join(f'{key} = "{value}"\n' for key, value in badge.items())
    credential = folder / "credential"
    if not credential.exists():
        credential.touch(mode=0o600)
        credential.write_bytes(bytes(range(32)))
    return parse(
        f"""
        [site]
        issuer = "https://cardd.test"
        device = "desk-1"
        [badge]
        system_identifier = "4E585020416275"
        {extra}
        [enrolment]
        blanks = "{blanks}"
        [kms]
        masters = "soft:{folder}/keystore.json"
        credential_file = "{credential}"
        registry = "sqlite:{folder}/registry.db"
        audit = "{folder}/audit.jsonl"
        """,
        "test",
    )


@contextmanager
def key_service(config: Config, clock: MovedClock | None = None) -> Iterator[KeyService]:
    """Create the key service's files where they are missing, and open it."""
    if not Path(config.kms.masters.removeprefix("soft:")).exists():
        assembly.create_key_service(config)
    with assembly.open_key_service(config, clock) as service:
        yield service


class Cut(CardRemoved):
    """The relay lost the card, on purpose."""


class Relay:
    """Relays a procedure to a virtual badge; cuts it at a command, before or after the card."""

    def __init__(self, service: KeyService, badge: VirtualDesfire) -> None:
        self.service = service
        self.badge = badge
        self.sent: list[bytes] = []

    def run(
        self,
        procedure: m.Procedure,
        *,
        cut_at: int | None = None,
        executed: bool = False,
        spoil: Any = None,
    ) -> m.Outcome:
        """Return the outcome; raise what the service raises, or Cut."""
        self.badge.reset()
        self.sent = []
        step = self.service.begin(procedure)
        while isinstance(step, m.Step):
            answers: Answers = ()
            for command in step.commands:
                if cut_at == len(self.sent):
                    if executed:
                        self.badge.transmit(command)
                    self.badge.reset()
                    self.service.abort(step.handle)
                    raise Cut("cut by the test")
                answer = self.badge.transmit(command)
                self.sent.append(command)
                answers += (spoil(len(self.sent), answer) if spoil else answer,)
            step = self.service.next(step.handle, answers)
        return step


def holder(service: KeyService, number: str = "A1", name: str = "Camille") -> m.HolderView:
    """Register a person."""
    return service.add_holder(
        m.NewHolder(staff_number=number, given_name=name, family_name="Martin")
    )


def encoded(service: KeyService, badge: VirtualDesfire, who: str | None = None) -> m.Encoded:
    outcome = Relay(service, badge).run(m.Encode(uid=badge.uid, holder=who))
    assert isinstance(outcome, m.Encoded)
    return outcome


def tapped(service: KeyService, badge: VirtualDesfire, *audiences: str) -> m.Authenticated:
    requests = tuple(m.AssertionRequest(audience=a, nonce=NONCE) for a in audiences)
    outcome = Relay(service, badge).run(m.Tap(uid=badge.uid, requests=requests))
    assert isinstance(outcome, m.Authenticated)
    return outcome


def refusal(service: KeyService, badge: VirtualDesfire, procedure: m.Procedure) -> Code:
    with pytest.raises(Refused) as caught:
        Relay(service, badge).run(procedure)
    return caught.value.code


def new_generation(config: Config) -> int:
    """Add a generation of the masters of badges, which the next start makes the current."""
    return assembly.add_generation(config, BADGE_PURPOSES)


def rekeyed(service: KeyService, badge: VirtualDesfire, generation: int | None = None) -> m.Rekeyed:
    outcome = Relay(service, badge).run(m.Rekey(uid=badge.uid, generation=generation))
    assert isinstance(outcome, m.Rekeyed)
    return outcome


def wiped(service: KeyService, badge: VirtualDesfire) -> m.Wiped:
    outcome = Relay(service, badge).run(m.Wipe(uid=badge.uid))
    assert isinstance(outcome, m.Wiped)
    return outcome
