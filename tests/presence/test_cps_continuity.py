"""CPS logins at a workstation whose key service is away: real cards, real trust, nobody to ask."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from cardd.clock import SystemClock
from cardd.config import PresenceSettings, Trust
from cardd.cps import proof
from cardd.cps.trust import TrustStore
from cardd.errors import Code, KmsUnavailable
from cardd.kms import messages as m
from cardd.presence.cps_login import PinGiven
from cardd.presence.model import AuthenticationRequest
from cardd.presence.operations import Operation
from cardd.presence.workstation import Workstation
from cardd.readers.virtual import VirtualSource
from cardd.secret import Secret
from simulators.cps import VirtualCps
from simulators.issuing import issue_cps
from simulators.link import insert
from simulators.pki import Pki
from tests.presence.world import LIMIT_S, NONCE, limited

pytestmark = pytest.mark.unit

AUDIENCE = "https://dpi.test"
PIN = PinGiven(Secret(b"1234"))


class Away:
    """A key service that cannot be reached; with `challenges` it goes away after them."""

    def __init__(self, challenges: int = 0) -> None:
        self.left = challenges
        self.proofs = 0

    def challenge(self) -> m.Challenge:
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


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(tmp_path_factory.mktemp("igc-sante") / "pki")


@pytest.fixture(scope="module")
def content(pki: Pki) -> dict[str, Any]:
    return issue_cps("cps", "Camille Martin", pki, None).to_json()


@contextlib.asynccontextmanager
async def station(folder: Path, pki: Pki, keys: Away) -> AsyncIterator[Workstation]:
    source = VirtualSource("desk", f"unix:{folder}/desk")
    source.open()
    trust = Trust(
        roots=pki.roots, intermediates=pki.intermediates, crls=pki.crls, allow_test_cards=True
    )
    made = Workstation(
        service=keys,  # type: ignore[arg-type]
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


def test_without_its_key_service_a_cps_still_gives_evidence_that_its_card_signed(
    pki: Pki, content: dict[str, Any], tmp_path: Path
) -> None:
    @limited
    async def run() -> None:
        async with station(tmp_path, pki, Away()) as made:
            assert (made.status().can.badge, made.status().can.cps) == (False, True)
            done = await logged_in(made, VirtualCps.from_json(content), tmp_path)
            result = done.result
            assert (result.acr, result.holder, result.assertion, result.sid) == (None,) * 4
            assert "away" in result.assertion_unavailable
            assert result.claims["family_name"] == "MARTIN"
            signed = proof.parse(result.evidence)
            proof.verify_signature(signed)
            assert signed.claims.kms_challenge is None
            assert (signed.claims.aud, signed.claims.nonce) == (AUDIENCE, NONCE)
            assert made.presences() == ()

    run()


@pytest.mark.parametrize(
    "asked", [{"expect_holder": "somebody"}, {"minimum_acr": "urn:cardd:acr:strong"}]
)
def test_what_only_the_key_service_can_tell_is_refused_before_the_pin_reaches_the_card(
    pki: Pki, content: dict[str, Any], tmp_path: Path, asked: dict[str, Any]
) -> None:
    @limited
    async def run() -> None:
        card = VirtualCps.from_json(content)
        async with station(tmp_path, pki, Away()) as made:
            failed = await logged_in(made, card, tmp_path, **asked)
            assert failed.problem.code == Code.KMS_UNAVAILABLE
        assert not any(command[1] == 0x20 for command in card.commands)

    run()


def test_a_proof_over_a_challenge_is_no_evidence_where_the_key_service_goes_away_then(
    pki: Pki, content: dict[str, Any], tmp_path: Path
) -> None:
    @limited
    async def run() -> None:
        keys = Away(challenges=1)
        async with station(tmp_path, pki, keys) as made:
            failed = await logged_in(made, VirtualCps.from_json(content), tmp_path)
            assert failed.problem.code == Code.KMS_UNAVAILABLE
            assert keys.proofs == 1
            again = await logged_in(made, VirtualCps.from_json(content), tmp_path)
            assert again.result.evidence is not None
            assert again.result.acr is None

    run()
