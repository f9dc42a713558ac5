"""The workstation with the real key service, the built-in reader and virtual DESFire badges."""

import asyncio
from pathlib import Path

import pytest

from cardd.kms import messages as m
from cardd.presence.model import AuthenticationRequest
from simulators.desfire.picc import VirtualDesfire
from simulators.faults import Faults, TearMoment
from tests.presence.real_desk import desk
from tests.presence.world import LIMIT_S, NONCE, limited

pytestmark = pytest.mark.unit


@limited
@pytest.mark.parametrize("product", ["ev1", "ev2"])
async def test_a_badge_is_encoded_authenticates_and_is_revoked(
    tmp_path: Path, product: str
) -> None:
    badge = VirtualDesfire.factory(product)
    async with desk(tmp_path) as world:
        enrolment = world.enrol()
        async with world.shown(badge):
            await world.changed(enrolment)
        assert enrolment.state == "succeeded", enrolment.problem
        asked = AuthenticationRequest(audience="app", nonce=NONCE)
        operation = world.station.authenticate("me", asked)
        async with world.shown(badge):
            tap = await world.until("tap")
            assert len(badge.commands) == 4
        assert tap.identity["holder"]["id"] == enrolment.request.holder
        assert operation.result.assertion.count(".") == 2
        assert await world.station.assertions(
            tap.identity["sid"], (m.AssertionRequest("b", NONCE),)
        )

        receipt = enrolment.result
        await world.station.run_kms(lambda: world.keys.revoke_badge(receipt.badge, "lost"))
        ended = await world.until("presence.ended")
        assert (ended.data["reason"], world.station.presences()) == ("badge_revoked", ())
        async with world.shown(badge):
            assert (await world.until("tap")).data["code"] == "badge_revoked"


@limited
@pytest.mark.parametrize("tear", ["before", "after"])
async def test_an_encoding_torn_at_any_command_is_finished_by_showing_the_badge_again(
    tmp_path: Path, tear: TearMoment
) -> None:
    async with desk(tmp_path) as world:
        torn_at = 1
        while True:
            badge = VirtualDesfire.factory("ev2")
            faults = Faults(tear_after=torn_at, tear=tear)
            operation = world.enrol()
            async with world.shown(badge, faults):
                if torn_at == 1:
                    await world.until("tap")
                else:
                    await world.changed(operation)
            if operation.ended and operation.problem is None:
                break
            assert operation.state == "waiting_for_card", (torn_at, operation.problem)
            async with world.shown(badge):
                async with asyncio.timeout(LIMIT_S):
                    while not operation.ended:
                        await operation.changed(LIMIT_S)
            assert operation.state == "succeeded", (torn_at, operation.problem)
            async with world.shown(badge):
                assert (await world.until("tap")).data["outcome"] == "succeeded", torn_at
            torn_at += 1
        assert torn_at > 20
