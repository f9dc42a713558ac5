"""What the daemon does when something under it breaks: pcscd, a card, its process, its files."""

import signal
import sqlite3
import threading
from collections.abc import Iterator

import pytest

from cardd.client import CarddProblem, Event
from cardd.client.events import EventStream
from scripts.private_pcscd import PrivatePcscd
from simulators.desfire.picc import VirtualDesfire
from simulators.faults import Faults
from simulators.link import insert
from tests.e2e.daemon_world import EVENT_S, Desk, enrolled, wait_for
from tests.e2e.daemon_world import desk as new_desk
from tests.limits import ends_soon

pytestmark = pytest.mark.faults

START_REFUSED = 78
TRY_AGAIN = 75


class HeldCard:
    """A card that stops before it carries out a command, until it is let go."""

    def __init__(self, card: VirtualDesfire, at: int) -> None:
        self.card = card
        self.atr = card.atr
        self.power_on, self.power_off, self.reset = card.power_on, card.power_off, card.reset
        self.held = threading.Event()
        self.release = threading.Event()
        self._left = at

    def transmit(self, command: bytes) -> bytes:
        if self._left == 0:
            self.held.set()
            self.release.wait(EVENT_S)
        self._left -= 1
        return self.card.transmit(command)


def until(events: EventStream, types: set[str]) -> Iterator[Event]:
    """Yield the next events until each of these types was among them."""
    missing = set(types)
    while missing:
        event = next(events)
        missing.discard(event.type)
        yield event


def pcsc_health(desk: Desk) -> str:
    sources = desk.admin.status().raw["sources"]
    return next(str(source["health"]) for source in sources if source["name"] == "pcsc")


@pytest.fixture
def desk() -> Iterator[Desk]:
    with new_desk() as made:
        yield made


@pytest.fixture
def pcsc_desk(pcscd: PrivatePcscd) -> Iterator[Desk]:
    with new_desk(pcscd) as made:
        yield made


def test_pcscd_killed_in_the_middle_of_a_tap_costs_that_tap_alone(
    pcscd: PrivatePcscd, pcsc_desk: Desk
) -> None:
    badge, _ = enrolled(pcsc_desk)
    held = HeldCard(badge, at=2)
    with pcsc_desk.admin.events(timeout_s=EVENT_S) as events:
        with insert(held, pcsc_desk.address):
            assert held.held.wait(EVENT_S)
            pcscd.kill()
            seen = {event.type: event for event in until(events, {"tap", "service.degraded"})}
            held.release.set()
        assert seen["tap"].data["outcome"] == "refused"
        assert "pcscd" in seen["service.degraded"].data["why"]
        assert pcsc_health(pcsc_desk) == "lost"
        pcscd.start()
        wait_for(events, "service.restored", source="pcsc")
        with insert(badge, pcsc_desk.address):
            wait_for(events, "tap", outcome="succeeded")


def test_a_daemon_started_without_pcscd_waits_for_it(pcscd: PrivatePcscd) -> None:
    pcscd.stop()
    with new_desk(pcscd) as desk:
        with desk.admin.events(timeout_s=EVENT_S) as events:
            assert pcsc_health(desk) == "lost"
            pcscd.start()
            wait_for(events, "service.restored", source="pcsc")
            added = {wait_for(events, "reader.added").reader for _ in pcscd.readers}
        assert added == set(pcscd.readers)
        enrolled(desk)


@pytest.mark.parametrize("stack", ["desk", "pcsc_desk"])
def test_a_card_that_never_answers_does_not_keep_the_daemon(
    request: pytest.FixtureRequest, stack: str
) -> None:
    desk: Desk = request.getfixturevalue(stack)
    badge, _ = enrolled(desk)
    with insert(badge, desk.address, faults=Faults(mute_after=2)) as card:
        assert card.wait_commands(2, EVENT_S)
        with ends_soon():
            assert desk.stop_daemon() == 0
    if stack == "pcsc_desk":
        request.getfixturevalue("pcscd").kill()  # its reader is stuck with the silent card


def test_a_silent_card_fails_its_tap_and_the_next_one_works(desk: Desk) -> None:
    badge, _ = enrolled(desk)
    with desk.admin.events(timeout_s=EVENT_S) as events:
        with insert(badge, desk.address, faults=Faults(mute_after=2)):
            wait_for(events, "tap", outcome="refused", code="timeout")
        with insert(badge, desk.address):
            wait_for(events, "tap", outcome="succeeded")


@pytest.mark.parametrize("tear", ["before", "after"])
def test_a_badge_pulled_too_early_is_told_so(desk: Desk, tear: str) -> None:
    badge, _ = enrolled(desk)
    for command in (2, 3, 4):
        with desk.admin.events(timeout_s=EVENT_S) as events:
            torn = Faults(tear_after=command, tear=tear)  # type: ignore[arg-type]
            with insert(badge, desk.address, faults=torn):
                wait_for(events, "tap", outcome="refused", code="tap_too_short")


@pytest.mark.parametrize("command", [6, 12, 18, 24, 30, 36, 42])
def test_a_daemon_killed_in_the_middle_of_an_encoding_finishes_it_later(
    desk: Desk, command: int
) -> None:
    badge = VirtualDesfire.factory("ev2")
    who = desk.holder("A1")
    held = HeldCard(badge, at=command)
    with insert(held, desk.address):
        desk.admin.start_enrolment("encode", holder=who, timeout_s=20)
        assert held.held.wait(EVENT_S)
        desk.stop_daemon(signal.SIGKILL)
        held.release.set()
    desk.start_daemon()
    with insert(badge, desk.address):
        receipt = desk.admin.enrol(who, timeout_s=20)
    with desk.admin.events(timeout_s=EVENT_S) as events, insert(badge, desk.address):
        tap = wait_for(events, "tap", outcome="succeeded")
    assert tap.data["holder"]["id"] == who
    assert [badge.number for badge in desk.admin.badges().items] == [receipt.number]
    desk.run("cardd-kms", "audit", "verify", "--config", desk.configuration)


def test_a_socket_left_by_a_dead_daemon_is_replaced_and_a_live_ones_is_not(desk: Desk) -> None:
    desk.stop_daemon(signal.SIGKILL)
    assert desk.socket.exists()
    desk.start_daemon()
    second = desk.try_to_start()
    assert second.returncode == TRY_AGAIN
    assert "audit_unavailable" in second.stderr
    assert "another cardd runs with this configuration" in second.stderr
    assert desk.admin.status()
    with new_desk() as other:  # another key service, and the same socket
        other.stop_daemon()
        text = other.configuration.read_text()
        other.configuration.write_text(text.replace(str(other.socket), str(desk.socket)))
        second = other.try_to_start()
    assert second.returncode == TRY_AGAIN
    assert "socket_in_use" in second.stderr
    assert desk.admin.status()
    assert desk.stop_daemon() == 0
    assert not desk.socket.exists()


def test_a_registry_that_is_locked_refuses_taps_and_comes_back(desk: Desk) -> None:
    badge, _ = enrolled(desk)
    blocker = sqlite3.connect(desk.folder / "registry.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with desk.admin.events(timeout_s=EVENT_S) as events:
        with insert(badge, desk.address):
            wait_for(events, "tap", outcome="refused", code="kms_unavailable")
        with pytest.raises(CarddProblem) as caught:
            desk.admin.add_holder("A9")
        assert caught.value.code == "kms_unavailable"
        blocker.execute("ROLLBACK")
        blocker.close()
        with insert(badge, desk.address):
            wait_for(events, "tap", outcome="succeeded")


@pytest.fixture
def stopped(desk: Desk) -> Desk:
    desk.stop_daemon()
    return desk


def refusal_to_start(desk: Desk) -> str:
    refused = desk.try_to_start()
    assert refused.returncode in {START_REFUSED, TRY_AGAIN}
    assert "Traceback" not in refused.stderr
    return refused.stderr


def test_a_flipped_byte_in_the_keystore_is_found(stopped: Desk) -> None:
    keystore = stopped.folder / "keystore.json"
    content = bytearray(keystore.read_bytes())
    content[len(content) // 2] ^= 1
    keystore.write_bytes(content)
    assert "keystore_damaged" in refusal_to_start(stopped)


def test_another_credential_does_not_open_the_keystore(stopped: Desk) -> None:
    (stopped.folder / "keystore.credential").write_bytes(bytes(32))
    assert "keystore_passphrase" in refusal_to_start(stopped)


def test_a_keystore_of_another_registry_is_refused(stopped: Desk) -> None:
    (stopped.folder / "keystore.json").unlink()
    (stopped.folder / "registry.db").rename(stopped.folder / "old.db")
    stopped.run("cardd-kms", "init", "--config", stopped.configuration)
    (stopped.folder / "registry.db").unlink()
    (stopped.folder / "old.db").rename(stopped.folder / "registry.db")
    assert "registry_unavailable" in refusal_to_start(stopped)


def test_an_edited_audit_is_found(stopped: Desk) -> None:
    audit = stopped.folder / "audit.jsonl"
    stopped.start_daemon()
    stopped.holder("A1")
    stopped.stop_daemon()
    audit.write_bytes(audit.read_bytes().replace(b"holder.added", b"holder.ended"))
    assert "audit_damaged" in refusal_to_start(stopped)


def test_a_configuration_that_would_share_a_key_quotes_the_rule(stopped: Desk) -> None:
    shared = stopped.configuration.read_text().replace("[badge]", "[badge]\nkeys = 'shared'")
    stopped.configuration.write_text(shared)
    said = refusal_to_start(stopped)
    assert "config_shared_key" in said
    assert "one symmetric key common to all badges" in said
