"""The routes of a CPS: what they answer, who may use them, what they let slip."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from simulators.cps import VirtualCps
from simulators.link import insert
from tests.api.json_schema import check
from tests.e2e.conftest import Issued
from tests.e2e.cps_world import AUDIENCE, PIN, WRONG, CpsDesk, cps_desk
from tests.e2e.daemon_world import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

AGENT = 4242
ANOTHER = 4243
GRANTS = f"""
[[access.grants]]
user = "{AGENT}"
rights = ["authenticate"]
audiences = ["{AUDIENCE}"]

[[access.grants]]
user = "{ANOTHER}"
rights = ["authenticate"]
audiences = ["{AUDIENCE}"]

[logs]
level = "debug"
"""


@pytest.fixture(scope="module")
def desk(issued: Issued) -> Iterator[CpsDesk]:
    with cps_desk(issued.folder, changes=(("\n[logs]\n", GRANTS),)) as made:
        made.folder.chmod(0o755)
        yield made


@pytest.fixture
def card(desk: CpsDesk, issued: Issued) -> Iterator[VirtualCps]:
    """A card in the reader, known and still fresh."""
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        card = issued.card()
        with insert(card, desk.address):
            wait_for(events, "card.identified")
            yield card
        wait_for(events, "card.removed")


@pytest.fixture(scope="module", autouse=True)
def holder(desk: CpsDesk, issued: Issued) -> str:
    with desk.admin.events(timeout_s=20) as events:
        next(events)
        with insert(issued.card(), desk.address):
            seen = wait_for(events, "card.identified")
        wait_for(events, "card.removed")
    ids = [seen.data["identity"]["SubjectNameID"]]
    return desk.admin.add_holder("1001", national_ids=ids).id


def held(desk: CpsDesk, method: str, path: str, template: str, body: Any = None) -> Any:
    """Call a route, and hold its answer against the document."""
    document = desk.admin._get("/openapi.json")
    if method == "GET":
        answer = desk.admin._get(path)
    else:
        answer = desk.admin._call(method, path, body=body, wait_s=30)
    responses = document["paths"][template][method.lower()]["responses"]
    ((_, success),) = [each for each in responses.items() if each[0] in {"200", "204"}]
    if "content" not in success:
        assert answer is None
        return None
    check(answer, success["content"]["application/json"]["schema"], document)
    return answer


def test_the_answers_are_as_the_document_says(desk: CpsDesk, card: VirtualCps) -> None:
    handle = desk.cps().card
    held(desk, "GET", f"/v1/cards/{handle}", "/v1/cards/{card}")
    change = {"old": PIN, "new": "4321"}
    held(desk, "POST", f"/v1/cards/{handle}/pin/change", "/v1/cards/{card}/pin/change", change)
    unblock = {"code": "12345678", "new": PIN}
    held(desk, "POST", f"/v1/cards/{handle}/pin/unblock", "/v1/cards/{card}/pin/unblock", unblock)
    asked = desk.asked()
    one = f"/v1/authentications/{asked.id}"
    held(desk, "GET", one, "/v1/authentications/{id}")
    for pin, state in ((WRONG, "pin_required"), (PIN, "succeeded")):
        order = {"card": handle, "pin": pin}
        answer = held(desk, "POST", f"{one}/pin", "/v1/authentications/{id}/pin", order)
        assert answer["state"] == state
    held(desk, "GET", one, "/v1/authentications/{id}")


def as_uid(uid: int, desk: CpsDesk, script: str, *arguments: str) -> Any:
    """Run a script as another user, with a client; return the JSON that it prints."""
    preamble = (
        "import json, os, sys\n"
        "from cardd.client import *\n"
        f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n"
        "client = Client(sys.argv[1], language='en')\n"
    )
    command = [sys.executable, "-c", preamble + script, str(desk.socket), *arguments]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True, text=True)
    return json.loads(done.stdout)


TRY = """
try:
    seen = client.give_pin(sys.argv[2], sys.argv[3], sys.argv[4], use_last_try=len(sys.argv) > 5)
    print(json.dumps(seen.state))
except CarddProblem as problem:
    print(json.dumps([problem.status, problem.code]))
"""
BEGIN = """
seen = client.start_authentication(sys.argv[2], methods=["cps"], wait_s=10)
print(json.dumps([seen.id, seen.pin.card]))
"""


def test_nobody_gives_the_pin_for_what_another_user_started(
    desk: CpsDesk, card: VirtualCps
) -> None:
    name, handle = as_uid(AGENT, desk, BEGIN, AUDIENCE)
    sent = len(card.commands)
    assert as_uid(ANOTHER, desk, TRY, name, handle, PIN) == [404, "not_found"]
    assert len(card.commands) == sent
    assert as_uid(AGENT, desk, TRY, name, handle, PIN) == "succeeded"


def test_the_last_try_needs_a_right(desk: CpsDesk, card: VirtualCps) -> None:
    name, handle = as_uid(AGENT, desk, BEGIN, AUDIENCE)
    sent = len(card.commands)
    assert as_uid(AGENT, desk, TRY, name, handle, PIN, "last") == [403, "forbidden"]
    assert len(card.commands) == sent
    assert as_uid(AGENT, desk, TRY, name, handle, PIN) == "succeeded"


def test_no_pin_is_in_the_log_not_even_when_everything_is_logged(
    desk: CpsDesk, card: VirtualCps
) -> None:
    asked = desk.asked()
    desk.give(asked, "86420975")
    assert desk.give(asked, PIN).state == "succeeded"
    log = desk.daemon_log()
    assert "api.request" in log
    for secret in ("86420975", b"86420975".hex(), b"86420975".hex().upper()):
        assert secret not in log


def test_a_reader_gives_back_a_card_that_no_login_wants_any_more(
    desk: CpsDesk, card: VirtualCps
) -> None:
    asked = desk.asked(timeout_s=1.0)
    ended = desk.until(asked, "failed")
    assert ended.problem.code == "timeout"
    assert desk.give(desk.asked(), PIN).state == "succeeded"
