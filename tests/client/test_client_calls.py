"""The real client against the real faces."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import jwt
import pytest

from cardd.client import AdminClient, CarddProblem, Client, DaemonUnavailable, Enrolment
from simulators.desfire.picc import VirtualDesfire
from tests.api.face_world import AUDIENCE, NONCE, READER, World

pytestmark = pytest.mark.unit


@pytest.fixture
def agent(fresh: World) -> Client:
    return Client(fresh.main)


@pytest.fixture
def administrator(fresh: World) -> AdminClient:
    return AdminClient(fresh.admin)


class Taps:
    """Puts the first badge on the reader as soon as somebody waits for it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._thread = threading.Thread(target=self._tap)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)

    def _tap(self) -> None:
        operations = self._world.workstation._operations
        limit = time.monotonic() + 15
        while not [one for one in list(operations._known.values()) if not one.ended]:
            assert time.monotonic() < limit
        self._world.desk.put(self._world.badges[0])


def test_status_and_readers_are_typed(agent: Client) -> None:
    status = agent.status()
    assert (status.issuer, status.device, status.badge, status.cps) == (
        "https://cardd.test",
        "desk-1",
        True,
        False,
    )
    (reader,) = agent.readers()
    assert (reader.name, reader.health, reader.card, reader.holder) == (READER, "ok", None, None)


def test_authenticate_waits_for_the_tap(fresh: World, agent: Client) -> None:
    receipt = fresh.encode(given_name="Ana", family_name="Roux")
    with Taps(fresh):
        result = agent.authenticate(AUDIENCE, NONCE, timeout_s=20)
    assert (result.holder.given_name, result.holder.family_name) == ("Ana", "Roux")
    assert result.card.badge == receipt.badge
    (key,) = agent.jwks()["keys"]
    claims = jwt.decode(
        result.assertion, jwt.PyJWK(key).key, algorithms=["ES256"], audience=AUDIENCE
    )
    assert claims["nonce"] == NONCE
    (presence,) = agent.presences()
    assert presence.sid == result.sid is not None
    assert agent.presence(result.sid) == presence
    assert agent.report_activity(result.sid, time.time()).sid == result.sid
    assert agent.assertion(result.sid, AUDIENCE).count(".") == 2
    agent.end_presence(result.sid)
    assert agent.presences() == ()


def test_a_refused_card_raises_its_problem(fresh: World, agent: Client) -> None:
    receipt = fresh.encode()
    revoked = AdminClient(fresh.admin).revoke(receipt.number, "lost")
    assert (revoked.state, revoked.reason) == ("revoked", "lost")
    with Taps(fresh), pytest.raises(CarddProblem) as caught:
        agent.authenticate(AUDIENCE, timeout_s=20)
    assert caught.value.code == "badge_revoked"
    assert caught.value.user_message


def test_no_card_in_time_raises_and_a_cancelled_wait_too(fresh: World, agent: Client) -> None:
    with pytest.raises(CarddProblem) as caught:
        agent.authenticate(AUDIENCE, timeout_s=0.1)
    assert caught.value.code in {"timeout", "no_card"}
    started = agent.start_authentication(AUDIENCE)
    agent.cancel_authentication(started.id)
    assert agent.poll_authentication(started.id).state == "cancelled"


def test_refusals_are_problems_with_facts_and_the_language_asked_for(fresh: World) -> None:
    with pytest.raises(CarddProblem) as caught:
        Client(fresh.main, language="en").start_authentication("https://evil.test")
    assert (caught.value.code, caught.value.status) == ("forbidden", 403)
    assert caught.value.facts == {"audience": "https://evil.test"}
    assert "administrator" in caught.value.user_message
    with pytest.raises(CarddProblem) as caught:
        Client(fresh.main).presence("../status?x=1")
    assert caught.value.code == "not_found"


def test_people_and_badges_go_through_the_admin_client(
    fresh: World, administrator: AdminClient
) -> None:
    ana = administrator.add_holder("A1", given_name="Ana", accounts={"unix": "ana"})
    assert ana.accounts == {"unix": "ana"}
    administrator.add_holder("A2")
    page = administrator.holders(limit=1)
    assert [holder.staff_number for holder in page.items] == ["A1"]
    rest = administrator.holders(cursor=page.next)
    assert ([holder.staff_number for holder in rest.items], rest.next) == (["A2"], None)
    assert administrator.holders(q="Ana").items == (administrator.holders(q="A1").items)
    fresh.desk.put(VirtualDesfire.factory("ev2"))
    seen: list[Enrolment] = []
    receipt = administrator.enrol(ana.id, timeout_s=20, progress=seen.append)
    assert (receipt.type, receipt.exposed) == ("encoded", True)
    assert receipt.holder is not None
    assert receipt.holder.staff_number == "A1"
    assert all(each.state in {"waiting_for_card", "in_progress"} for each in seen)
    (badge,) = administrator.badges(q=receipt.number).items
    assert (badge.state, badge.id) == ("active", receipt.badge)


def test_a_blank_is_prepared(fresh: World, administrator: AdminClient) -> None:
    fresh.desk.put(VirtualDesfire.factory("ev2"))
    receipt = administrator.prepare(timeout_s=20)
    assert (receipt.type, receipt.number) == ("prepared", None)
    (badge,) = administrator.badges().items
    assert (badge.id, badge.state) == (receipt.badge, "blank")


def test_events_are_iterated_and_resumed(fresh: World, agent: Client) -> None:
    fresh.encode()
    with agent.events(timeout_s=10) as events:
        snapshot = next(events)
        assert snapshot.type == "snapshot"
        fresh.desk.put(fresh.badges[0])
        inserted = next(events)
        assert (inserted.type, inserted.reader) == ("card.inserted", READER)
    with agent.events(snapshot.id, timeout_s=10) as events:
        assert next(events) == inserted
        assert events.last_event_id == inserted.id


def test_waiting_for_an_event_ends_in_time_and_may_go_on(fresh: World, agent: Client) -> None:
    fresh.encode()
    with agent.events(timeout_s=0.05) as events:
        next(events)
        with pytest.raises(TimeoutError):
            next(events)
        fresh.desk.put(fresh.badges[0])
        limit = time.monotonic() + 10
        while True:
            assert time.monotonic() < limit
            try:
                event = next(events)
            except TimeoutError:
                continue
            break
        assert event.type == "card.inserted"


def test_events_end_when_the_daemon_stops(fresh: World, agent: Client) -> None:
    with agent.events(timeout_s=10) as events:
        next(events)
        fresh.leave()
        assert list(events) == []
    limit = time.monotonic() + 10
    while fresh.main.exists():
        assert time.monotonic() < limit
    with pytest.raises(DaemonUnavailable):
        agent.status()


def test_the_client_imports_the_standard_library_alone() -> None:
    script = (
        "import sys, cardd.client\n"
        "others = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('cardd.')}\n"
        "assert rooms == {'client'}, rooms\n"
        "assert not others & {'msgspec', 'aiohttp', 'structlog', 'cryptography'}, others\n"
    )
    folder = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30, cwd=folder)


def test_a_badge_is_rekeyed_wiped_and_encoded_again(
    fresh: World, administrator: AdminClient
) -> None:
    ana = administrator.add_holder("A1").id
    badge = VirtualDesfire.factory("ev1")
    fresh.desk.put(badge)
    first = administrator.enrol(ana, timeout_s=20)
    seen: list[Enrolment] = []
    rekeyed = administrator.rekey(1, timeout_s=20, progress=seen.append)
    assert (rekeyed.type, rekeyed.number) == ("rekeyed", first.number)
    assert (rekeyed.previous_generation, rekeyed.generation) == (2, 1)
    assert rekeyed.holder is not None
    assert {each.progress[1] for each in seen if each.progress} <= {3}
    assert administrator.rekey(timeout_s=20).generation == 2
    with pytest.raises(CarddProblem) as caught:
        administrator.rekey(timeout_s=20)
    assert caught.value.code == "conflict"
    administrator.revoke(first.badge, "returned")
    wiped = administrator.wipe(timeout_s=20)
    assert (wiped.type, wiped.transport_generation, wiped.formatted) == ("wiped", 1, True)
    assert administrator.enrol(ana, timeout_s=20).exposed is False
