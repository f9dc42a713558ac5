"""The main job on a real PC/SC stack and on the built-in reader: encode, tap, assert, revoke."""

import base64
import json
import subprocess
from collections.abc import Iterator

import jwt
import pytest

from cardd.client import CarddProblem
from scripts.world import ISSUER
from simulators.desfire.picc import VirtualDesfire
from simulators.link import insert
from tests.e2e.daemon_world import EVENT_S, Desk, enrolled, on_air, wait_for
from tests.e2e.daemon_world import desk as new_desk

NONCE = "n" * 22
AUDIENCE = "https://sso.test"


@pytest.fixture(
    params=[
        pytest.param("built-in", marks=pytest.mark.unit),
        pytest.param("pcscd", marks=pytest.mark.pcscd),
    ]
)
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    on_pcscd = request.param == "pcscd"
    with new_desk(request.getfixturevalue("pcscd") if on_pcscd else None) as made:
        yield made


def verified(desk: Desk, assertion: str, nonce: str) -> dict[str, object]:
    """Verify an assertion as a relying party does: pinned algorithm, type, issuer, audience."""
    key = jwt.PyJWKSet.from_dict(desk.admin.jwks()).keys[0]
    assert jwt.get_unverified_header(assertion)["typ"] == "cardd-auth+jwt"
    claims: dict[str, object] = jwt.decode(
        assertion, key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER
    )
    assert claims["nonce"] == nonce
    return claims


@pytest.mark.parametrize("product", ["ev1", "ev2"])
def test_a_tap_gives_events_a_presence_and_a_verifiable_assertion(desk: Desk, product: str) -> None:
    badge, holder = enrolled(desk, product)
    with desk.admin.events(timeout_s=EVENT_S) as events:
        assert next(events).type == "snapshot"
        with insert(badge, desk.address):
            tap = wait_for(events, "tap", outcome="succeeded")
        started = wait_for(events, "presence.started")
    assert tap.data["holder"]["id"] == holder
    assert tap.data["acr"] == "urn:cardd:acr:one-factor"
    sid = tap.data["sid"]
    assert sid == started.data["sid"]
    claims = verified(desk, desk.admin.assertion(sid, AUDIENCE, NONCE), NONCE)
    assert claims["sub"] == holder
    assert claims["sid"] == sid
    assert claims["device"] == "desk-1"


def test_a_tap_of_a_known_badge_is_four_commands_three_of_them_on_air(desk: Desk) -> None:
    badge, _ = enrolled(desk)
    badge.commands.clear()
    with desk.admin.events(timeout_s=EVENT_S) as events:
        with insert(badge, desk.address):
            wait_for(events, "tap", outcome="succeeded")
        wait_for(events, "card.removed")
    uid = [command for command in badge.commands if command[:2] == b"\xff\xca"]
    assert len(uid) == 1
    assert [command[1] for command in on_air(badge)] == [0x5A, 0x71, 0xAF]
    assert len(badge.commands) == 4


def test_an_authentication_takes_the_next_card_and_signs_for_its_audience(desk: Desk) -> None:
    badge, holder = enrolled(desk)
    started = desk.admin.start_authentication(AUDIENCE, NONCE, timeout_s=20)
    assert started.state == "waiting_for_card"
    with insert(badge, desk.address):
        ended = desk.admin.poll_authentication(started.id, wait_s=10)
        while ended.state in {"waiting_for_card", "in_progress"}:
            ended = desk.admin.poll_authentication(started.id, wait_s=10)
    assert ended.result is not None
    assert ended.result.holder.id == holder
    assert verified(desk, ended.result.assertion, NONCE)["sub"] == holder


def test_a_revoked_badge_ends_its_presence_and_is_refused(desk: Desk) -> None:
    badge, _ = enrolled(desk)
    number = desk.admin.badges().items[0].number
    with desk.admin.events(timeout_s=EVENT_S) as events:
        with insert(badge, desk.address):
            started = wait_for(events, "presence.started")
        wait_for(events, "card.removed")
        desk.admin.revoke(number, "stolen")
        ended = wait_for(events, "presence.ended", reason="badge_revoked")
        assert ended.data["sid"] == started.data["sid"]
        with pytest.raises(CarddProblem) as caught:
            desk.admin.assertion(started.data["sid"], AUDIENCE, NONCE)
        assert caught.value.code == "not_found"
        with insert(badge, desk.address):
            wait_for(events, "tap", outcome="refused", code="badge_revoked")


def test_another_persons_tap_switches_the_presence(desk: Desk) -> None:
    mine, _ = enrolled(desk, number="A1")
    theirs, colleague = enrolled(desk, number="A2")
    with desk.admin.events(timeout_s=EVENT_S) as events:
        with insert(mine, desk.address):
            started = wait_for(events, "presence.started")
        with insert(theirs, desk.address):
            switched = wait_for(events, "presence.switched")
    assert switched.data["from"]["sid"] == started.data["sid"]
    assert switched.data["to"]["holder"]["id"] == colleague
    assert [p.holder.id for p in desk.admin.presences()] == [colleague]


def test_an_unknown_badge_is_named_so_and_gets_no_command(desk: Desk) -> None:
    stranger = VirtualDesfire.factory("ev2")
    with desk.admin.events(timeout_s=EVENT_S) as events:
        with insert(stranger, desk.address):
            wait_for(events, "tap", outcome="refused", code="badge_unknown")
        wait_for(events, "card.removed")
    assert on_air(stranger) == []


def test_curl_alone_sees_the_tap_and_gets_an_assertion(desk: Desk) -> None:
    badge, holder = enrolled(desk)
    unix = ["curl", "-sS", "--max-time", "20", "--unix-socket", str(desk.socket)]
    with subprocess.Popen(
        [*unix, "-N", "http://cardd/v1/events"], stdout=subprocess.PIPE, text=True
    ) as stream:
        assert stream.stdout is not None
        tap = None
        for line in stream.stdout:
            event = json.loads(line[6:]) if line.startswith("data: ") else {}
            if event.get("type") == "snapshot":
                with insert(badge, desk.address):
                    tap = next(
                        parsed
                        for text in stream.stdout
                        if text.startswith("data: ")
                        and (parsed := json.loads(text[6:]))["type"] == "tap"
                    )
                break
        stream.kill()
    assert tap is not None
    assert tap["data"]["holder"]["id"] == holder
    asked = subprocess.run(
        [
            *unix,
            "--json",
            json.dumps({"audience": AUDIENCE, "nonce": NONCE}),
            f"http://cardd/v1/presences/{tap['data']['sid']}/assertions",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert verified(desk, json.loads(asked.stdout)["assertion"], NONCE)["sub"] == holder


def test_no_key_and_no_uid_reaches_the_log_even_at_debug_level(desk: Desk) -> None:
    badge, _ = enrolled(desk)
    with desk.admin.events(timeout_s=EVENT_S) as events:
        with insert(badge, desk.address):
            wait_for(events, "tap", outcome="succeeded")
        wait_for(events, "card.removed")
    state = badge.to_json()
    secrets = [state["master"]["value"], state["uid"]]
    secrets += [key["value"] for key in state["applications"][0]["keys"]]
    assert len(secrets) == 4
    log = desk.daemon_log().lower()
    assert "apdu" in log, "each exchange is traced"
    for secret in secrets:
        raw = bytes.fromhex(secret)
        for form in (secret, raw.hex(" "), base64.b64encode(raw).decode().rstrip("=")):
            assert form.lower() not in log
