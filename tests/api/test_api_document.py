"""The OpenAPI document, and every real answer against it."""

import json
import re
from typing import Any

import pytest

from cardd.api import admin, agents, cards
from simulators.desfire.picc import VirtualDesfire
from tests.api.face_world import AUDIENCE, NONCE, READER, Answer, World
from tests.api.json_schema import Mismatch, check

pytestmark = pytest.mark.unit


class Checked:
    """Asks over the admin socket, and holds each answer against the document."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.document = world.ask("GET", "/openapi.json", admin=True).json
        self.covered: set[tuple[str, str]] = set()

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        answer = self.world.ask(method, path, body, admin=True, **options)
        self.hold(method, path, answer.status, answer.headers["Content-Type"], answer)
        return answer

    def hold(self, method: str, path: str, status: int, media: str | None, answer: Any) -> None:
        template, operation = self.operation(method, path.partition("?")[0])
        if status < 400:
            self.covered.add((method, template))
        response = operation["responses"].get(str(status), operation["responses"]["default"])
        if "content" not in response:
            assert answer.raw == b""
            return
        assert media is not None
        schema = response["content"][media.partition(";")[0]]["schema"]
        check(answer.json, schema, self.document)
        if isinstance(answer, Answer):
            assert answer.headers["x-stability"] == operation["x-stability"] or status >= 400

    def operation(self, method: str, path: str) -> tuple[str, Any]:
        for template, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                return template, operations[method.lower()]
        raise AssertionError(f"{path} is not in the document")


class Line:
    """One event of a stream, as an answer."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.json = json.loads(raw)


def test_every_route_answers_as_the_document_says(fresh: World) -> None:
    api = Checked(fresh)
    for path in ("/v1/status", "/v1/readers", "/v1/presences", "/v1/jwks"):
        api.ask("GET", path)
    person = api.ask("POST", "/v1/holders", {"staff_number": "A1", "given_name": "Ana"}).json
    api.ask("GET", "/v1/holders?limit=1")
    api.ask("GET", f"/v1/holders/{person['id']}")
    order = {"action": "encode", "holder": person["id"], "reader": READER}
    fresh.desk.put(VirtualDesfire.factory("ev2"))
    badge = fresh.desk.badge
    assert badge is not None
    receipt = ended(api, api.ask("POST", "/v1/enrolments", order))["result"]
    api.ask("GET", "/v1/badges")
    rekeyed = ended(api, api.ask("POST", "/v1/enrolments", {"action": "rekey", "generation": 1}))
    assert rekeyed["result"]["type"] == "rekeyed"
    fresh.desk.take()
    started = api.ask("POST", "/v1/authentications", {"audience": AUDIENCE, "nonce": NONCE})
    fresh.desk.put(badge)
    sid = ended(api, started)["result"]["sid"]
    api.ask("GET", "/v1/presences")
    api.ask("GET", "/v1/readers")
    api.ask("GET", f"/v1/presences/{sid}")
    api.ask("POST", f"/v1/presences/{sid}/assertions", {"audience": AUDIENCE, "nonce": NONCE})
    api.ask("PUT", f"/v1/presences/{sid}/activity", {"idle_since": 1})
    api.ask("DELETE", f"/v1/presences/{sid}")
    api.ask("POST", f"/v1/badges/{receipt['badge']}/revoke", {"reason": "stolen"})
    wiped = ended(api, api.ask("POST", "/v1/enrolments", {"action": "wipe"}))
    assert wiped["result"]["type"] == "wiped"
    fresh.desk.take()
    cancelled = api.ask("POST", "/v1/authentications", {"audience": AUDIENCE, "nonce": NONCE})
    api.ask("DELETE", cancelled.headers["Location"])
    enrolment = api.ask("POST", "/v1/enrolments", {"action": "prepare"})
    api.ask("DELETE", enrolment.headers["Location"])
    events(api)
    refusals(api)
    everything = {
        (method.upper(), path)
        for path, operations in api.document["paths"].items()
        for method in operations
    }
    # Those of a CPS are held against it with a card: tests/e2e/test_cps_routes.py.
    assert everything - api.covered == {(route.method, route.path) for route in cards.ROUTES}


def ended(api: Checked, started: Answer) -> Any:
    """Wait for an operation's success."""
    path = f"{started.headers['Location']}?wait_s=10"
    while (seen := api.ask("GET", path).json)["state"] in {"waiting_for_card", "in_progress"}:
        pass
    assert seen["state"] == "succeeded", seen
    return seen


def events(api: Checked) -> None:
    """Hold the first events of a stream against the document."""
    connection = api.world.connection(admin=True)
    connection.request("GET", "/v1/events", headers={"Accept": "application/x-ndjson"})
    response = connection.getresponse()
    api.hold("GET", "/v1/events", 200, response.headers["Content-Type"], Line(response.readline()))
    connection.close()


def refusals(api: Checked) -> None:
    """Hold problems against the document."""
    api.ask("GET", "/v1/authentications/none")
    api.ask("GET", "/v1/presences/none")
    api.ask("POST", "/v1/authentications/none/pin", {"card": "none", "pin": "1234"})
    api.ask("GET", "/v1/cards/none")
    api.ask("POST", "/v1/cards/none/pin/change", {"old": "1234", "new": "4321"})
    api.ask("POST", "/v1/cards/none/pin/unblock", {"code": "12345678", "new": "4321"})
    api.ask("POST", "/v1/authentications", {})
    api.ask("POST", "/v1/holders", {"staff_number": "A1"})


def test_the_check_itself_finds_what_does_not_fit(shared: World) -> None:
    api = Checked(shared)
    schema = api.document["components"]["schemas"]["Status"]
    status = shared.ask("GET", "/v1/status").json
    check(status, schema, api.document)
    for spoilt in (
        {**status, "can": {"badge": "yes", "cps": False, "why": None}},
        {name: value for name, value in status.items() if name != "site"},
        {**status, "sources": [{"name": "x", "health": "odd", "why": None}]},
    ):
        with pytest.raises(Mismatch):
            check(spoilt, schema, api.document)


def test_each_face_describes_its_own_routes_and_no_others(shared: World) -> None:
    main = shared.ask("GET", "/openapi.json").json
    both = shared.ask("GET", "/openapi.json", admin=True).json
    assert main["openapi"] == both["openapi"] == "3.1.0"
    assert set(main["paths"]) == {route.path for route in (*agents.ROUTES, *cards.ROUTES)}
    assert set(both["paths"]) - set(main["paths"]) == {route.path for route in admin.ROUTES}


def test_request_bodies_and_queries_forbid_what_they_do_not_list(shared: World) -> None:
    document = shared.ask("GET", "/openapi.json", admin=True).json
    names = []
    for operations in document["paths"].values():
        for operation in operations.values():
            names.append(operation["operationId"])
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                component = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
                assert component["additionalProperties"] is False, component["title"]
    assert len(names) == len(set(names))
