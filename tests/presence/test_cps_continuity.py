"""CPS logins at a workstation whose key service is away: real cards, real trust, nobody to ask."""

from pathlib import Path
from typing import Any

import pytest

from cardd.cps import proof
from cardd.errors import Code
from simulators.cps import VirtualCps
from simulators.pki import Pki
from tests.presence.cps_world import AUDIENCE, Away, logged_in, station
from tests.presence.world import NONCE, limited

pytestmark = pytest.mark.unit


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
