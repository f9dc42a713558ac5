"""Requests that are refused, and how: always a problem, never HTML, a trace or a 5xx."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardd.api.models import Activity, Revocation
from cardd.errors import Code, Refused
from cardd.kms.messages import NewHolder
from cardd.presence.model import AuthenticationRequest, EnrolmentRequest
from tests.api.face_world import AUDIENCE, NONCE, Answer, World

pytestmark = pytest.mark.unit

AUTHENTICATIONS = "/v1/authentications"
GOOD = {"audience": AUDIENCE, "nonce": NONCE}


def assert_problem(answer: Answer, status: int, code: str = "invalid_request") -> None:
    """Check every member that a problem always has."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert (answer.status, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"urn:cardd:problem:{code}"
    assert problem["user_message"]
    assert problem["title"]
    assert problem["detail"]
    assert answer.headers["x-stability"] in {"stable", "experimental"}
    assert "Traceback" not in answer.raw.decode()


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {**GOOD, "surprise": 1},
        {**GOOD, "nonce": "short"},
        {**GOOD, "nonce": NONCE + "\n"},
        {**GOOD, "nonce": 7},
        {**GOOD, "audience": ""},
        {**GOOD, "wait_s": -1},
        {**GOOD, "wait_s": "1"},
        {**GOOD, "timeout_s": 301},
        {**GOOD, "methods": []},
        {**GOOD, "methods": ["telepathy"]},
    ],
    ids=str,
)
def test_a_body_that_is_not_as_documented_is_refused(shared: World, body: Any) -> None:
    raw = json.dumps(body).encode()
    answer = shared.ask(
        "POST", AUTHENTICATIONS, raw=raw, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 400)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe", b'{"audience":"\\ud800"}', b"[" * 60_000, b'{"a":' * 10_000, b"NaN"],
    ids=lambda raw: repr(raw[:12]),
)
def test_a_body_that_is_no_json_is_refused(shared: World, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert_problem(shared.ask("POST", AUTHENTICATIONS, raw=raw, headers=headers), 400)


def test_a_wrong_content_type_or_encoding_is_415(shared: World) -> None:
    raw = json.dumps(GOOD).encode()
    for headers in (
        {"Content-Type": "text/plain"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ):
        assert_problem(shared.ask("POST", AUTHENTICATIONS, raw=raw, headers=headers), 415)


def test_a_body_over_64_kib_is_413_announced_or_chunked(shared: World) -> None:
    headers = {"Content-Type": "application/json"}
    raw = b" " * (64 * 1024 + 1)
    assert_problem(shared.ask("POST", AUTHENTICATIONS, raw=raw, headers=headers), 413)
    connection = shared.connection()
    connection.request(
        "POST", AUTHENTICATIONS, body=iter([raw[:40_000]] * 3), headers=headers, encode_chunked=True
    )
    response = connection.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["code"] == "invalid_request"
    connection.close()


def test_a_wrong_method_is_405_and_says_which_are_right(shared: World) -> None:
    answer = shared.ask("PATCH", AUTHENTICATIONS)
    assert_problem(answer, 405)
    assert answer.headers["Allow"] == "POST"
    assert_problem(shared.ask("OPTIONS", "/v1/status"), 405)
    assert shared.ask("HEAD", "/v1/status").status == 405


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/status", "/v1/status/", "/v1//status", "/%00", "/v1/%2e%2e/status"]
)
def test_an_unknown_path_is_404(shared: World, path: str) -> None:
    assert_problem(shared.ask("GET", path), 404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/status?verbose=1",
        "/v1/authentications/x?wait_s=61",
        "/v1/authentications/x?wait_s=nan",
        "/v1/authentications/x?wait_s=inf",
        "/v1/authentications/x?wait_s=1&wait_s=2",
        "/v1/authentications/x?wait_s=",
        "/v1/authentications/x?wait_s=%ff",
    ],
)
def test_a_query_that_is_not_as_documented_is_refused(shared: World, path: str) -> None:
    assert_problem(shared.ask("GET", path), 400)


def test_a_page_of_no_sense_is_refused(shared: World) -> None:
    for query in ("limit=0", "limit=501", "limit=x", "cursor=%00", "q=" + "a" * 129, "page=2"):
        answer = shared.ask("GET", f"/v1/badges?{query}", admin=True)
        assert answer.status in {200, 400}, query
        if query != "cursor=%00":
            assert_problem(answer, 400)


@pytest.mark.parametrize("time", [10**12, 10**30, -(2**63) - 1])
def test_a_time_beyond_all_registries_is_refused_or_kept(shared: World, time: int) -> None:
    holder = {"staff_number": f"T{time}"[:60], "valid_from": time}
    answer = shared.ask("POST", "/v1/holders", holder, admin=True)
    assert answer.status in {201, 400}, answer.raw
    listed = shared.ask("GET", "/v1/holders", admin=True)
    assert listed.status == 200


def test_a_web_page_is_refused(shared: World) -> None:
    answer = shared.ask("GET", "/v1/status", headers={"Origin": "https://evil.test"})
    assert_problem(answer, 403)


def test_a_body_where_none_belongs_is_refused(shared: World) -> None:
    assert_problem(shared.ask("GET", "/v1/status", raw=b"{}"), 400)


def test_an_expectation_other_than_continue_is_417(shared: World) -> None:
    assert_problem(shared.ask("GET", "/v1/status", headers={"Expect": "miracles"}), 417)


def test_messages_follow_the_language_asked_for(shared: World) -> None:
    french = shared.ask("GET", "/v1/nowhere")
    assert french.headers["Content-Language"] == "fr"
    assert french.json["title"] == "Introuvable"
    english = shared.ask("GET", "/v1/nowhere", headers={"Accept-Language": "fr;q=0.5, en-GB"})
    assert english.json["title"] == "Not found"


def test_an_unexpected_error_shows_nothing_of_the_inside(fresh: World) -> None:
    def break_down() -> None:
        raise RuntimeError("the key is 0123")

    fresh.workstation.status = break_down  # type: ignore[method-assign,assignment]
    answer = fresh.ask("GET", "/v1/status")
    assert_problem(answer, 500, "internal_error")
    assert "0123" not in answer.raw.decode()
    assert "RuntimeError" not in answer.raw.decode()


def test_a_busy_answer_says_when_to_come_back(fresh: World) -> None:
    def refuse() -> None:
        raise Refused(Code.RATE_LIMITED, "too many", retry_after=7, status="no member is replaced")

    fresh.workstation.status = refuse  # type: ignore[method-assign,assignment]
    answer = fresh.ask("GET", "/v1/status")
    assert_problem(answer, 429, "rate_limited")
    assert answer.headers["Retry-After"] == "7"
    assert answer.json["retry_after"] == 7


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
MODELS = (AuthenticationRequest, EnrolmentRequest, NewHolder, Activity, Revocation)
MEMBERS = st.sampled_from(sorted({name for each in MODELS for name in each.__struct_fields__}))
BODIES = st.dictionaries(MEMBERS, JSON_VALUES, max_size=6) | JSON_VALUES
TARGETS = st.sampled_from(
    [
        ("POST", "/v1/authentications", GOOD),
        ("POST", "/v1/presences/none/assertions", GOOD),
        ("PUT", "/v1/presences/none/activity", {"idle_since": 1}),
        ("POST", "/v1/holders", {"staff_number": "X"}),
        ("POST", "/v1/badges/none/revoke", {"reason": "lost"}),
        ("POST", "/v1/enrolments", {"action": "encode", "timeout_s": 0.01}),
    ]
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(target=TARGETS, body=BODIES, near=st.booleans())
def test_no_body_whatever_gives_a_server_error(
    shared: World, target: tuple[str, str, dict[str, Any]], body: Any, near: bool
) -> None:
    method, path, good = target
    if near and isinstance(body, dict):
        body = {**good, **body}
    if isinstance(body, dict):
        body.pop("wait_s", None) if isinstance(body.get("wait_s"), int | float) else None
    answer = shared.ask(method, path, body, admin=True)
    assert answer.status < 500 or answer.json["code"] == "kms_unavailable", answer.raw
    if answer.status in {200, 202} and "Location" in answer.headers:
        shared.ask("DELETE", answer.headers["Location"], admin=True)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(max_size=300))
def test_no_bytes_whatever_give_a_server_error(shared: World, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert shared.ask("POST", "/v1/holders", raw=raw, headers=headers, admin=True).status == 400
