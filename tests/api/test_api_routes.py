"""What each route answers, on a real socket."""

import jwt
import pytest

from cardd.badges import numbers
from simulators.desfire.picc import VirtualDesfire
from tests.api.face_world import AGENT, AUDIENCE, NONCE, OBSERVER, READER, STRANGER, World, as_uid

pytestmark = pytest.mark.unit


def test_status_says_what_can_be_offered(shared: World) -> None:
    answer = shared.ask("GET", "/v1/status")
    assert answer.status == 200
    assert answer.headers["x-stability"] == "stable"
    why = "there is no root certificate in /etc/cardd/trust/roots (trust.roots)"
    assert answer.json["can"] == {"badge": True, "cps": False, "why": None, "why_cps": why}
    assert answer.json["site"] == {"issuer": "https://cardd.test", "device": "desk-1"}
    assert answer.json["api"]["version"] == "1.0"


def test_a_tap_gives_an_assertion_that_the_published_keys_verify(fresh: World) -> None:
    receipt = fresh.encode(given_name="Ana", family_name="Roux")
    started = fresh.ask("POST", "/v1/authentications", {"audience": AUDIENCE, "nonce": NONCE})
    assert started.status == 202
    assert started.headers["Location"] == f"/v1/authentications/{started.json['id']}"
    assert started.json["state"] == "waiting_for_card"
    fresh.desk.put(fresh.badges[0])
    ended = started
    while ended.json["state"] not in {"succeeded", "failed"}:
        ended = fresh.ask("GET", f"{started.headers['Location']}?wait_s=10")
    result = ended.json["result"]
    assert result["holder"]["given_name"] == "Ana"
    assert result["card"] == {"type": "badge", "badge": receipt.badge}
    assert result["reader"] == READER
    (key,) = fresh.ask("GET", "/v1/jwks").json["keys"]
    claims = jwt.decode(
        result["assertion"], jwt.PyJWK(key).key, algorithms=["ES256"], audience=AUDIENCE
    )
    assert claims["nonce"] == NONCE
    assert claims["sid"] == result["sid"]


def test_a_presence_gives_further_assertions_until_it_is_ended(fresh: World) -> None:
    fresh.encode()
    sid = signed_in(fresh)
    order = {"audience": "https://other.test", "nonce": NONCE}
    answer = fresh.ask("POST", f"/v1/presences/{sid}/assertions", order)
    assert answer.status == 200
    claims = jwt.decode(answer.json["assertion"], options={"verify_signature": False})
    assert (claims["aud"], claims["sid"]) == ("https://other.test", sid)
    active = fresh.ask("PUT", f"/v1/presences/{sid}/activity", {"idle_since": 4e9})
    assert active.json["sid"] == sid
    (listed,) = fresh.ask("GET", "/v1/presences").json["items"]
    assert listed["sid"] == sid
    assert fresh.ask("GET", f"/v1/presences/{sid}").json == listed
    assert fresh.ask("DELETE", f"/v1/presences/{sid}").status == 204
    assert fresh.ask("POST", f"/v1/presences/{sid}/assertions", order).json["code"] == "not_found"
    assert fresh.ask("GET", "/v1/presences").json == {"items": []}


def signed_in(world: World) -> str:
    """Tap the first badge and return the sid."""
    started = world.ask("POST", "/v1/authentications", {"audience": AUDIENCE, "nonce": NONCE})
    world.desk.put(world.badges[0])
    path = f"/v1/authentications/{started.json['id']}?wait_s=10"
    while (ended := world.ask("GET", path).json)["state"] in {"waiting_for_card", "in_progress"}:
        pass
    assert ended["state"] == "succeeded", ended
    return str(ended["result"]["sid"])


def test_a_refused_card_fails_the_operation_with_a_problem_in_the_language_asked_for(
    fresh: World,
) -> None:
    receipt = fresh.encode()
    fresh.keys.revoke_badge(receipt.badge, "lost")
    started = fresh.ask("POST", "/v1/authentications", {"audience": AUDIENCE, "nonce": NONCE})
    fresh.desk.put(fresh.badges[0])
    path = f"/v1/authentications/{started.json['id']}?wait_s=10"
    headers = {"Accept-Language": "en"}
    while (ended := fresh.ask("GET", path, headers=headers).json)["state"] != "failed":
        assert ended["state"] in {"waiting_for_card", "in_progress"}
    assert ended["problem"]["code"] == "badge_revoked"
    assert "badge office" in ended["problem"]["user_message"]
    assert "result" not in ended


def test_an_authentication_may_be_waited_for_and_cancelled(fresh: World) -> None:
    order = {"audience": AUDIENCE, "nonce": NONCE, "wait_s": 0.05}
    started = fresh.ask("POST", "/v1/authentications", order)
    assert started.status == 202
    path = started.headers["Location"]
    assert fresh.ask("DELETE", path).status == 204
    assert fresh.ask("GET", path).json["state"] == "cancelled"


def test_an_operation_is_its_owners_alone(shared: World) -> None:
    started = shared.ask("POST", "/v1/authentications", {"audience": AUDIENCE, "nonce": NONCE})
    script = """
client = Client(sys.argv[1])
codes = []
for call in (client.poll_authentication, client.cancel_authentication):
    try:
        call(sys.argv[2])
    except CarddProblem as problem:
        codes.append([problem.status, problem.code])
print(json.dumps(codes))
"""
    seen = as_uid(AGENT, script, str(shared.main), started.json["id"])
    assert seen == [[404, "not_found"], [404, "not_found"]]
    path = started.headers["Location"]
    assert shared.ask("GET", path).json["state"] == "waiting_for_card"
    assert (
        shared.ask("GET", path.replace("authentications", "enrolments"), admin=True).status == 404
    )
    shared.ask("DELETE", path)


def test_an_audience_that_the_grant_does_not_list_is_forbidden(shared: World) -> None:
    answer = shared.ask("POST", "/v1/authentications", {"audience": "https://evil", "nonce": NONCE})
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


def test_people_and_badges_are_kept_over_the_admin_socket(fresh: World) -> None:
    added = fresh.ask("POST", "/v1/holders", {"staff_number": "A1"}, admin=True)
    assert added.status == 201
    again = fresh.ask("POST", "/v1/holders", {"staff_number": "A1"}, admin=True)
    assert (again.status, again.json["code"]) == (409, "conflict")
    listed = fresh.ask("GET", "/v1/holders?limit=1&q=A1", admin=True).json
    assert [item["id"] for item in listed["items"]] == [added.json["id"]]
    receipt = fresh.encode()
    (badge,) = fresh.ask("GET", "/v1/badges", admin=True).json["items"]
    assert badge["number"] == receipt.number
    path = f"/v1/badges/{receipt.number}/revoke"
    assert fresh.ask("POST", path, {"reason": "lost"}, admin=True).json["state"] == "revoked"
    unknown = fresh.ask(
        "POST", f"/v1/badges/{numbers.draw()}/revoke", {"reason": "lost"}, admin=True
    )
    assert (unknown.status, unknown.json["code"]) == (404, "not_found")
    misread = fresh.ask("POST", "/v1/badges/none/revoke", {"reason": "lost"}, admin=True)
    assert (misread.status, misread.json["code"]) == (400, "invalid_request")


def test_the_main_socket_has_no_admin_routes(shared: World) -> None:
    for method, path in (("GET", "/v1/badges"), ("POST", "/v1/holders"), ("GET", "/v1/holders")):
        answer = shared.ask(method, path, {} if method == "POST" else None)
        assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_the_right_decides_on_the_admin_socket_not_its_mode(fresh: World) -> None:
    fresh.admin.chmod(0o666)
    script = """
client = AdminClient(sys.argv[1])
codes = []
for call in (client.badges, client.holders, lambda: client.revoke("x", "lost"), client.readers):
    try:
        call()
    except CarddProblem as problem:
        codes.append(problem.code)
print(json.dumps(codes))
"""
    assert as_uid(AGENT, script, str(fresh.admin)) == ["forbidden"] * 3


def test_an_encoding_is_driven_over_the_admin_socket(fresh: World) -> None:
    person = fresh.ask("POST", "/v1/holders", {"staff_number": "A1"}, admin=True).json
    order = {"action": "encode", "holder": person["id"], "reader": READER}
    started = fresh.ask("POST", "/v1/enrolments", order, admin=True)
    assert (started.status, started.headers["x-stability"]) == (202, "experimental")
    fresh.desk.put(VirtualDesfire.factory("ev2"))
    path = f"{started.headers['Location']}?wait_s=10"
    while (ended := fresh.ask("GET", path, admin=True).json)["state"] in {
        "waiting_for_card",
        "in_progress",
    }:
        pass
    assert ended["state"] == "succeeded", ended
    assert ended["result"]["type"] == "encoded"
    assert ended["result"]["holder"]["staff_number"] == "A1"


def test_an_encoding_for_nobody_is_refused_before_a_badge_is_asked_for(fresh: World) -> None:
    fresh.ask("POST", "/v1/holders", {"staff_number": "A1"}, admin=True)
    order = {"action": "encode", "holder": "A2", "reader": READER}
    refused = fresh.ask("POST", "/v1/enrolments", order, admin=True)
    assert (refused.status, refused.json["code"]) == (404, "not_found")
    assert fresh.ask("GET", "/v1/holders/A1", admin=True).json["staff_number"] == "A1"


@pytest.mark.parametrize(
    "order",
    [
        {"action": "wipe", "holder": "A1"},
        {"action": "encode", "generation": 2},
        {"action": "rekey", "try_default_keys": True},
        {"action": "rekey", "generation": 256},
        {"action": "burn"},
    ],
)
def test_an_order_that_would_be_followed_in_part_is_refused(
    shared: World, order: dict[str, object]
) -> None:
    refused = shared.ask("POST", "/v1/enrolments", order, admin=True)
    assert (refused.status, refused.json["code"]) == (400, "invalid_request")


WHO = """
client = Client(sys.argv[1])
codes = []
for call in (client.status, client.jwks, client.readers, client.presences, lambda: client.events(),
             lambda: client.start_authentication("https://app.test"),
             lambda: client.assertion(sys.argv[2], "https://app.test"),
             lambda: client.end_presence(sys.argv[2])):
    try:
        call()
        codes.append("ok")
    except CarddProblem as problem:
        codes.append(problem.code)
print(json.dumps(codes))
"""


def test_an_observer_sees_but_neither_asserts_nor_ends(fresh: World) -> None:
    fresh.encode()
    sid = signed_in(fresh)
    assert as_uid(OBSERVER, WHO, str(fresh.main), sid) == ["ok"] * 5 + ["forbidden"] * 3
    assert as_uid(STRANGER, WHO, str(fresh.main), sid) == ["ok"] * 2 + ["forbidden"] * 6
    assert fresh.ask("GET", f"/v1/presences/{sid}").status == 200


def test_an_observer_learns_no_identity(fresh: World) -> None:
    fresh.encode(given_name="Ana", family_name="Secrète")
    sid = signed_in(fresh)
    script = """
client = Client(sys.argv[1])
with client.events(timeout_s=10) as events:
    snapshot = next(events)
listing = [client._get("/v1/readers"), client._get("/v1/presences")]
print(json.dumps([snapshot.data, listing]))
"""
    seen = str(as_uid(OBSERVER, script, str(fresh.main)))
    assert READER in seen
    for secret in (sid, "Ana", "Secr", "S0001", "holder", "acr"):
        assert secret not in seen
    own = str(as_uid(AGENT, script, str(fresh.main)))
    assert sid in own
    assert "Ana" in own


def test_the_overflow_uid_is_refused(shared: World) -> None:
    answers = as_uid(65534, WHO, str(shared.main), "sid")
    assert answers == ["forbidden"] * 8
