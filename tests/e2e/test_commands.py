"""cardctl, cardd-sim and cardd together, as people start them."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from scripts.world import ISSUER, World, WorldError, stop

pytestmark = pytest.mark.e2e

AUDIENCE = "urn:example:app"
NONCE = "n" * 32


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    """Give a daemon, two people, and a badge of the first."""
    with World(light=True) as world:
        world.run("cardd-kms", "init", "--config", "cardd.toml")
        world.start_daemon()
        for number, name in (("1001", "Alice"), ("1002", "Bruno")):
            world.run("cardctl", "holder", "add", "--staff-number", number, "--given-name", name,
                      "--account", f"unix={name.lower()}", "--group", "nurses")  # fmt: skip
        encode(world, "alice.json", "1001")
        yield world


def encode(world: World, card: str, staff_number: str) -> str:
    world.run("cardd-sim", "new", "desfire-ev2", "--out", card)
    inserted = world.insert(card)
    receipt = world.ask("badge", "enrol", "--holder", staff_number)
    world.take_away(inserted)
    return str(receipt["number"])


def tap(world: World, card: str) -> None:
    world.run("cardd-sim", "tap", card)
    world.await_empty()


class Watch:
    """A `cardctl watch` in another terminal."""

    def __init__(self, world: World, *options: str) -> None:
        self.process = world.start(
            "cardctl", "watch", *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.until("snapshot")

    @property
    def lines(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def until(self, *words: str) -> str:
        """Return the next line with these words; the test's own time limit bounds it."""
        for raw in self.lines:
            if all(word in raw.decode() for word in words):
                return raw.decode()
        raise AssertionError(f"the stream ended before {words}")


def test_a_tap_shows_in_another_terminal_with_holder_and_acr(here: World) -> None:
    watch = Watch(here)
    tap(here, "alice.json")
    assert "Alice (1001)  one-factor" in watch.until("tap", "succeeded")
    assert stop(watch.process, signal.SIGINT) == 0


def test_watch_as_json_gives_one_object_a_line_and_no_assertion(here: World) -> None:
    watch = Watch(here, "--json")
    tap(here, "alice.json")
    event = json.loads(watch.until('"tap"'))
    assert event["data"]["outcome"] == "succeeded"
    assert event["data"]["holder"]["staff_number"] == "1001"
    assert "eyJ" not in json.dumps(event)


def test_the_presence_of_a_tap_gives_an_assertion_that_another_program_verifies(
    here: World,
) -> None:
    tap(here, "alice.json")
    (presence,) = here.ask("presence", "list")["items"]
    shown = here.ask("assertion", "--sid", presence["sid"], "--audience", AUDIENCE,
                     "--nonce", NONCE)  # fmt: skip
    assert shown["header"]["typ"] == "cardd-auth+jwt"
    assert shown["claims"]["nonce"] == NONCE
    raw = here.run("cardctl", "assertion", "--raw", "--sid", presence["sid"],
                   "--audience", AUDIENCE, "--nonce", NONCE).output  # fmt: skip
    (here.folder / "jwks.json").write_text(here.run("cardctl", "jwks").output)
    for jws in (raw, shown["assertion"]):
        verify = ("cardctl", "--json", "verify", "--jwks", "jwks.json", "--issuer", ISSUER,
                  "--audience", AUDIENCE, "--nonce", NONCE)  # fmt: skip
        claims = json.loads(here.run(*verify, stdin=jws).output)
        assert claims["sub"] == presence["holder"]["id"]


def test_the_keys_of_the_daemon_are_those_that_the_key_service_publishes(here: World) -> None:
    published = here.run("cardd-kms", "jwks", "--config", "cardd.toml").output
    assert here.ask("jwks") == json.loads(published)


def test_authenticate_says_who_and_shows_the_assertion_only_when_asked(here: World) -> None:
    inserted = here.insert("alice.json")
    for options in ([], ["--show-assertion"]):
        here.take_away(inserted)
        waiting = here.start(
            "cardctl", "--json", "authenticate", "--audience", AUDIENCE, *options,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        # The card stays: whichever comes first, the request or the card, they meet.
        inserted = here.insert("alice.json")
        shown = _meeting(here, waiting, inserted)
        assert shown["holder"]["accounts"] == {"unix": "alice"}
        assert len(shown["nonce"]) >= 22
        assert ("assertion" in shown) == bool(options)
    here.take_away(inserted)


def _meeting(
    world: World, waiting: "subprocess.Popen[bytes]", inserted: "subprocess.Popen[bytes]"
) -> dict[str, dict[str, str]]:
    """Show the card again where it came before the request, as a person would."""
    assert waiting.stdout is not None
    try:
        out, _ = waiting.communicate(timeout=3)
    except subprocess.TimeoutExpired:
        world.take_away(inserted)
        world.run("cardd-sim", "tap", "alice.json")
        out, _ = waiting.communicate(timeout=10)
    shown: dict[str, dict[str, str]] = json.loads(out)
    return shown


def test_a_refusal_ends_with_1_and_its_message_in_the_language_of_the_person(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {}
    for locale in ("fr_FR.UTF-8", "en_GB.UTF-8"):
        monkeypatch.setenv("LC_ALL", locale)
        ran = here.run("cardctl", "presence", "end", "nobody", expect=1)
        assert "not_found" in ran.errors
        said[locale] = ran.errors.splitlines()[0]
    assert said["fr_FR.UTF-8"] != said["en_GB.UTF-8"]
    problem = json.loads(here.run("cardctl", "--json", "presence", "end", "x", expect=1).errors)
    assert problem["code"] == "not_found"
    assert problem["user_message"] == said["en_GB.UTF-8"]


def test_no_card_in_time_is_a_timeout(here: World) -> None:
    ran = here.run("cardctl", "authenticate", "--audience", AUDIENCE, "--timeout", "0.2", expect=1)
    assert "timeout" in ran.errors


def test_people_and_badges_are_listed_for_people_and_for_programs(here: World) -> None:
    holders = here.ask("holder", "list")["items"]
    assert [each["staff_number"] for each in holders] == ["1001", "1002"]
    assert holders[0]["groups"] == ["nurses"]
    assert [each["given_name"] for each in here.ask("holder", "list", "--q", "brun")["items"]] == [
        "Bruno"
    ]
    (badge,) = here.ask("badge", "list")["items"]
    shown = here.run("cardctl", "badge", "list").output
    assert badge["number"] in shown
    assert "Alice (1001)" in shown
    assert "Alice" in here.run("cardctl", "holder", "list").output


def test_the_same_staff_number_twice_is_a_conflict(here: World) -> None:
    ran = here.run("cardctl", "holder", "add", "--staff-number", "1001", expect=1)
    assert "conflict" in ran.errors


def test_a_holder_is_named_by_staff_number_or_id_and_an_unknown_one_is_refused(
    here: World,
) -> None:
    bruno = here.ask("holder", "list", "--q", "1002")["items"][0]
    number = encode(here, "bruno.json", bruno["id"])
    revoked = here.ask("badge", "revoke", number, "--reason", "faulty")
    assert (revoked["state"], revoked["reason"]) == ("revoked", "faulty")
    here.run("cardd-sim", "new", "desfire-ev1", "--out", "third.json")
    inserted = here.insert("third.json")
    ran = here.run("cardctl", "badge", "enrol", "--holder", "9999", expect=1)
    here.take_away(inserted)
    assert "not_found" in ran.errors


def test_status_and_readers_say_how_it_is(here: World) -> None:
    assert here.ask("status")["can"]["badge"] is True
    assert "ready" in here.run("cardctl", "status").output
    assert [each["name"] for each in here.ask("readers")["items"]] == ["desk"]


def test_watch_waits_for_a_daemon_that_restarts(tmp_path: Path) -> None:
    with World(light=True) as world:
        world.run("cardd-kms", "init", "--config", "cardd.toml")
        world.start_daemon()
        watch = Watch(world, "--json")
        assert world.daemon
        assert stop(world.daemon) == 0
        (world.folder / "notify").unlink()
        world.start_daemon()
        # Another run of the daemon cannot replay the events of the one before it.
        assert json.loads(watch.until("snapshot"))["data"]["reason"] == "gap"
        assert stop(watch.process, signal.SIGINT) == 0


def test_a_daemon_that_cannot_start_is_reported_at_once() -> None:
    with World(light=True) as world, pytest.raises(WorldError, match="keystore_not_found"):
        world.start_daemon()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_stops_in_order_with_agents_connected(number: signal.Signals) -> None:
    with World(light=True) as world:
        world.run("cardd-kms", "init", "--config", "cardd.toml")
        world.start_daemon()
        watch = Watch(world)
        assert world.daemon
        assert stop(world.daemon, number) == 0
        assert not world.socket.exists()
        assert "daemon.stopping" in world.daemon_log()
        assert "Traceback" not in world.daemon_log()
        assert stop(watch.process, signal.SIGINT) == 0


def test_a_world_leaves_nothing_behind() -> None:
    with World(light=True) as world:
        world.run("cardd-kms", "init", "--config", "cardd.toml")
        world.start_daemon()
        assert world.daemon
        pid = world.daemon.pid
    assert not world.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
