"""Node's jose verifies what cardd and a CPS sign: nothing of it was written here.

Installed by scripts/node-modules (make test).
"""

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.world import ISSUER
from simulators.link import insert
from tests.e2e.conftest import Issued, another_root, issued
from tests.e2e.cps_world import AUDIENCE, PIN, cps_desk
from tests.e2e.daemon_world import wait_for

__all__ = ["another_root", "issued"]

pytestmark = [pytest.mark.peers, pytest.mark.timeout(120)]

FOLDER = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def login(issued: Issued) -> Iterator[dict[str, Any]]:
    """What a relying party has after a login: two signatures, its nonce, the keys it trusts."""
    nonce = secrets.token_urlsafe(32)
    with cps_desk(issued.folder) as desk, desk.admin.events(timeout_s=20) as events:
        next(events)
        with insert(issued.card(), desk.address):
            seen = wait_for(events, "card.identified")
            ids = [seen.data["identity"]["SubjectNameID"]]
            desk.admin.add_holder("1001", national_ids=ids)
            result = desk.give(desk.asked(nonce=nonce), PIN).result
        assert result is not None
        yield {
            "assertion": result.assertion,
            "jwks": desk.admin.jwks(),
            "proof": result.evidence,
            "roots": roots(issued),
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "nonce": nonce,
        }


def roots(issued: Issued) -> list[str]:
    return [each.read_text() for each in issued.pki.roots.iterdir()]


def jose(login: dict[str, Any], **changes: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "verify.mjs"], cwd=FOLDER, input=json.dumps({**login, **changes}),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_it_verifies_the_assertion_and_the_proof_with_the_root_alone(
    login: dict[str, Any],
) -> None:
    ended = jose(login)
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert seen["assertion"]["acr"] == "urn:cardd:acr:strong"
    assert seen["assertion"]["card"]["type"] == "cps"
    assert seen["proof"]["purpose"] == "login"
    assert seen["proof"]["kms_challenge"]


def altered(compact: str) -> str:
    header, claims, signature = compact.split(".")
    middle = len(claims) // 2
    other = "A" if claims[middle] != "A" else "B"
    return f"{header}.{claims[:middle]}{other}{claims[middle + 1 :]}.{signature}"


def test_it_refuses_what_was_altered_or_is_not_for_it(
    login: dict[str, Any], another_root: Issued
) -> None:
    for changes in (
        {"proof": altered(login["proof"])},
        {"assertion": altered(login["assertion"])},
        {"roots": roots(another_root)},
        {"audience": "https://another.test"},
        {"nonce": secrets.token_urlsafe(32)},
        {"issuer": "urn:another"},
        {"assertion": login["proof"]},
        {"proof": login["assertion"]},
    ):
        assert jose(login, **changes).returncode == 1, changes
