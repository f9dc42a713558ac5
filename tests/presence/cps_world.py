"""A workstation with virtual CPS in its reader, a test IGC-Santé, and no key service to ask."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from cardd.badges.inspection.case import Policy
from cardd.badges.model import Scheme
from cardd.clock import SystemClock
from cardd.config import PresenceSettings, Trust
from cardd.cps.trust import TrustStore
from cardd.errors import KmsUnavailable
from cardd.kms import messages as m
from cardd.presence.cps_login import PinGiven
from cardd.presence.inspecting import Inspector
from cardd.presence.model import AuthenticationRequest
from cardd.presence.operations import Operation
from cardd.presence.workstation import Workstation
from cardd.readers.virtual import VirtualSource
from cardd.secret import Secret
from simulators.cps import VirtualCps
from simulators.link import insert
from simulators.pki import Pki
from tests.presence.world import LIMIT_S, NONCE

AUDIENCE = "https://dpi.test"
PIN = PinGiven(Secret(b"1234"))


class Away:
    """A key service that cannot be reached; with `challenges` it goes away after them.

    `asked` is called before each challenge; `source` is the reader of its `station`.
    """

    def __init__(self, challenges: int = 0) -> None:
        self.left = challenges
        self.proofs = 0
        self.source: VirtualSource | None = None
        self.asked: Callable[[], None] = lambda: None

    def challenge(self) -> m.Challenge:
        self.asked()
        if self.left == 0:
            raise KmsUnavailable("the key service is away")
        self.left -= 1
        now = int(SystemClock().now())
        return m.Challenge("c" * 43, now, now + 60)

    def authenticate_cps(self, *_: Any, **__: Any) -> m.Authenticated:
        self.proofs += 1
        raise KmsUnavailable("the key service went away")

    def watch(self, listener: Callable[[m.Notice], None]) -> Callable[[], None]:
        return lambda: None

    def health(self) -> m.Health:
        available = self.left > 0
        return m.Health(available, None if available else "the key service is away")

    def end_presence(self, sid: str, reason: str) -> None:
        raise KmsUnavailable("the key service is away")


@contextlib.asynccontextmanager
async def station(
    folder: Path, pki: Pki, keys: Away, *, has_pinpad: bool = False
) -> AsyncIterator[Workstation]:
    """Run one with the reader `folder`/desk."""
    source = keys.source = VirtualSource("desk", f"unix:{folder}/desk", has_pinpad=has_pinpad)
    source.open()
    trust = Trust(
        roots=pki.roots,
        intermediates=pki.intermediates,
        crls=pki.crls,
        allow_test_cards=True,
        allow_contactless=True,
    )
    made = Workstation(
        service=keys,
        inspector=Inspector(keys, Policy("F5CA4D", Scheme.EV1_AES)),  # type: ignore[arg-type]
        sources=(source,),
        settings=PresenceSettings(),
        debounce_ms=0,
        clock=SystemClock(),
        trust=TrustStore(trust),
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def until(operation: Operation, *states: str) -> Operation:
    async with asyncio.timeout(LIMIT_S):
        while str(operation.state) not in states:
            await operation.changed(LIMIT_S)
    return operation


async def logged_in(made: Workstation, card: VirtualCps, folder: Path, **fields: Any) -> Operation:
    """Show a card, give its PIN, and return how the login ended."""
    request = AuthenticationRequest(audience=AUDIENCE, nonce=NONCE, methods=("cps",), **fields)
    operation = made.authenticate("me", request)
    with insert(card, f"unix:{folder}/desk"):
        await until(operation, "pin_required")
        assert operation.pin is not None
        await made.cps.give_pin(operation, operation.pin.card, PIN)
        return await until(operation, "succeeded", "failed")
