"""A badge goes through its whole life by the real programs: re-keyed, wiped, another person's."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.world import World

pytestmark = pytest.mark.e2e

BADGE = "badge.json"


@pytest.fixture
def here() -> Iterator[World]:
    with World(light=True) as world:
        world.run("cardd-kms", "init", "--config", "cardd.toml")
        world.start_daemon()
        for number, name in (("1001", "Alice"), ("1002", "Bruno")):
            world.run("cardctl", "holder", "add", "--staff-number", number, "--given-name", name)
        yield world


def with_badge(world: World, *command: str) -> Any:
    """Run a command of cardctl with the badge on the reader."""
    inserted = world.insert(BADGE)
    said = world.ask(*command)
    world.take_away(inserted)
    return said


def torn(world: World, *command: str) -> Any:
    """Run a command with a badge that is torn away in the middle, and shown again."""
    waiting = world.start("cardctl", "--json", *command, stdout=subprocess.PIPE)
    assert waiting.stdout is not None
    first = world.insert(BADGE, "--tear-after", "17", "--tear", "after")
    assert first.wait(30) is not None
    world.await_empty()
    second = world.insert(BADGE)
    said = json.loads(waiting.stdout.read())
    world.take_away(second)
    return said


def who_taps(world: World) -> str:
    inserted = world.insert(BADGE)
    world.await_card("badge")
    (presence,) = world.ask("presence", "list")["items"]
    world.take_away(inserted)
    return str(presence["holder"]["given_name"])


def test_a_badge_is_rekeyed_revoked_wiped_and_given_to_another_person(here: World) -> None:
    here.run("cardd-sim", "new", "desfire-ev1", "--out", BADGE)
    encoded = with_badge(here, "badge", "enrol", "--holder", "1001")
    assert (encoded["generation"], encoded["exposed"]) == (1, True)
    refused = here.insert(BADGE)
    assert "generation 1 already" in here.run("cardctl", "badge", "rekey", expect=1).errors
    here.take_away(refused)

    stop_daemon(here)
    for verb, said in (("add", "generation 2 of badge is next"), ("promote", "2 is current")):
        told = here.run("cardd-kms", "generation", verb, "badge", "--config", "cardd.toml").output
        assert said in told
    here.start_daemon()
    rekeyed = torn(here, "badge", "rekey")
    assert (rekeyed["previous_generation"], rekeyed["generation"]) == (1, 2)
    assert who_taps(here) == "Alice"

    early = here.insert(BADGE)
    assert "revoke it before" in here.run("cardctl", "badge", "wipe", expect=1).errors
    here.take_away(early)
    here.run("cardctl", "badge", "revoke", encoded["number"], "--reason", "returned")
    wiped = torn(here, "badge", "wipe")
    assert (wiped["number"], wiped["formatted"]) == (encoded["number"], True)
    (shown,) = here.ask("badge", "list")["items"]
    assert (shown["state"], shown["holder"]) == ("wiped", None)
    again = with_badge(here, "badge", "enrol", "--holder", "1002")
    assert (again["generation"], again["exposed"]) == (2, False)
    assert who_taps(here) == "Bruno"
    here.run("cardd-kms", "audit", "verify", "--config", "cardd.toml")


def stop_daemon(world: World) -> None:
    assert world.daemon is not None
    world.daemon.terminate()
    assert world.daemon.wait(30) == 0
