"""The stream of events: forms, replay, who sees what, slow readers, the end."""

import json
import socket
import threading
import time
from typing import Any

import pytest

from cardd.api.encoding import EventEncoder
from cardd.presence.model import Event
from tests.api.face_world import AUDIENCE, NONCE, OBSERVER, READER, World, as_uid
from tests.limits import ends_soon

pytestmark = pytest.mark.unit


class Stream:
    """A raw stream of events."""

    def __init__(self, world: World, **headers: str) -> None:
        self.connection = world.connection()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request("GET", "/v1/events", headers=names)
        self.response = self.connection.getresponse()

    def sse(self) -> dict[str, str]:
        """Return the fields of the next event."""
        fields: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
        return fields

    def close(self) -> None:
        self.connection.close()


def test_a_stream_begins_with_a_snapshot_and_names_each_event(fresh: World) -> None:
    stream = Stream(fresh)
    assert stream.response.headers["Content-Type"] == "text/event-stream"
    assert stream.response.headers["x-stability"] == "stable"
    first = stream.sse()
    assert first["event"] == "snapshot"
    snapshot = json.loads(first["data"])
    assert snapshot["id"] == first["id"]
    assert [reader["name"] for reader in snapshot["data"]["readers"]] == [READER]
    fresh.encode()
    fresh.desk.put(fresh.badges[0])
    inserted = stream.sse()
    assert inserted["event"] == "card.inserted"
    stream.close()
    again = Stream(fresh, Last_Event_ID=first["id"])
    assert again.sse()["id"] == inserted["id"]
    again.close()
    gap = Stream(fresh, Last_Event_ID="gone.1")
    assert json.loads(gap.sse()["data"])["data"]["reason"] == "gap"
    gap.close()


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/event-stream;q=0.3, application/x-ndjson;q=0.7", "application/x-ndjson"),
        ("text/event-stream, application/x-ndjson", "text/event-stream"),
    ],
)
def test_accept_chooses_the_form(shared: World, accept: str, form: str) -> None:
    stream = Stream(shared, Accept=accept)
    assert stream.response.headers["Content-Type"] == form
    stream.close()


def test_a_form_that_is_not_offered_is_406_and_a_long_id_400(shared: World) -> None:
    refused = shared.ask("GET", "/v1/events", headers={"Accept": "image/png"})
    assert (refused.status, refused.json["code"]) == (406, "invalid_request")
    refused = shared.ask("GET", "/v1/events", headers={"Last-Event-ID": "x" * 129})
    assert (refused.status, refused.json["code"]) == (400, "invalid_request")


def test_identity_is_for_the_seat_and_no_event_carries_an_assertion(fresh: World) -> None:
    fresh.encode(given_name="Ana")
    own = Stream(fresh, Accept="application/x-ndjson")
    script = """
client = Client(sys.argv[1])
with client.events("gone.1", timeout_s=10) as events:
    next(events)
    os.write(1, b"[")
    open(sys.argv[2], "w").close()
    seen = []
    while not seen or seen[-1]["type"] != "presence.ended":
        event = next(events)
        seen.append({"type": event.type, "data": dict(event.data)})
print(json.dumps(seen)[1:])
"""
    mark = fresh.folder / "mark"
    mark.touch()
    mark.chmod(0o666)
    seen: list[Any] = []
    observer = threading.Thread(
        target=lambda: seen.extend(as_uid(OBSERVER, script, str(fresh.main), str(mark)))
    )
    observer.start()
    wait_for(lambda: len(fresh.do(lambda: fresh.workstation.events._subscriptions)) == 2)
    fresh.desk.put(fresh.badges[0])
    types: list[dict[str, Any]] = []
    while not types or types[-1]["type"] != "presence.started":
        types.append(json.loads(own.response.readline()))
    sid = types[-1]["data"]["sid"]
    assert types[-1]["data"]["holder"]["given_name"] == "Ana"
    assert fresh.ask("DELETE", f"/v1/presences/{sid}").status == 204
    observer.join(20)
    own.close()
    assert "tap" in {event["type"] for event in seen}
    shown = json.dumps(seen)
    for secret in (sid, "Ana", "holder", '"acr"', "eyJ"):
        assert secret not in shown
    assert "eyJ" not in json.dumps(types)
    assert fresh.badges[0].uid.hex().upper() not in json.dumps(types).upper()


def wait_for(condition: Any) -> None:
    """Wait until something is so."""
    limit = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < limit


def test_a_reader_that_takes_nothing_is_dropped_and_others_are_served(fresh: World) -> None:
    slow = fresh.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    quick = Stream(fresh, Accept="application/x-ndjson")
    json.loads(quick.response.readline())
    wait_for(lambda: len(fresh.do(lambda: fresh.workstation.events._subscriptions)) == 2)
    filling = {"text": "x" * 4096}
    taken = 0
    for _ in range(40):
        for _ in range(50):
            fresh.do(lambda: fresh.workstation.events.publish("tap", data=filling))
        for _ in range(50):
            assert json.loads(quick.response.readline())["type"] == "tap"
            taken += 1
    assert taken == 2000
    assert fresh.ask("GET", "/v1/status").status == 200
    received = b""
    while b"lagged" not in received:
        chunk = slow.recv(65536)
        assert chunk
        received = received[-100:] + chunk
    slow.close()
    quick.close()


def test_streams_end_when_the_daemon_stops(fresh: World) -> None:
    stream = Stream(fresh, Accept="application/x-ndjson")
    stream.response.readline()
    with ends_soon():
        fresh.leave()
        while stream.response.readline():
            pass
    stream.close()


def test_a_long_poll_is_answered_when_the_daemon_stops(fresh: World) -> None:
    started = fresh.ask("POST", "/v1/authentications", {"audience": AUDIENCE, "nonce": NONCE})
    connection = fresh.connection()
    connection.request("GET", f"{started.headers['Location']}?wait_s=60")
    with ends_soon():
        wait_for(lambda: fresh.do(lambda: True))
        fresh.leave()
        response = connection.getresponse()
    assert response.status == 200
    assert json.loads(response.read())["state"] in {"waiting_for_card", "cancelled"}
    connection.close()


def test_an_event_is_encoded_once_for_each_kind_of_client() -> None:
    encoder = EventEncoder()
    event = Event("E.1", "tap", 1.0, "desk", None, {"outcome": "ok"}, {"sid": "secret"})
    plain = encoder.encode(event, identity=False, form="sse")
    assert encoder.encode(event, identity=False, form="sse") is plain
    assert b"secret" not in plain
    assert plain.startswith(b"id: E.1\nevent: tap\ndata: {")
    own = encoder.encode(event, identity=True, form="ndjson")
    assert json.loads(own)["data"] == {"outcome": "ok", "sid": "secret"}
    assert own.endswith(b"}\n")


def test_a_snapshot_is_not_taken_for_the_event_whose_id_it_bears() -> None:
    encoder = EventEncoder()
    event = Event("E.1", "tap", 1.0, "desk", None, {}, {})
    snapshot = Event("E.1", "snapshot", 2.0, None, None, {}, {})
    assert encoder.encode(event, identity=True, form="sse") != encoder.encode(
        snapshot, identity=True, form="sse"
    )


def test_the_encoder_forgets(shared: World) -> None:
    encoder = EventEncoder()
    for number in range(1000):
        event = Event(f"E.{number}", "tap", 1.0, None, None, {}, {})
        encoder.encode(event, identity=True, form="sse")
    assert len(encoder._encoded) <= 128
