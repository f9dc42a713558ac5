"""How many badges a client may begin with in an hour, and what the audit keeps of the rest."""

import json
from pathlib import Path

import pytest

from cardd import assembly
from cardd.errors import Code, Refused
from cardd.kms import messages as m
from cardd.kms.limits import BadgeLimits, Repeats
from cardd.kms.ports import Client, Right
from tests.kms.kms_world import configuration

pytestmark = pytest.mark.unit


def client(most: int | None, name: str = "desk") -> Client:
    return Client(name, "desk-1", frozenset(Right), badges_per_hour=most)


def test_the_hour_slides_and_tells_when_the_next_badge_may_come() -> None:
    now = [0.0]
    limits = BadgeLimits(lambda: now[0])
    for second in (0.0, 600.0):
        now[0] = second
        limits.count(client(2))
    now[0] = 1000.0
    with pytest.raises(Refused) as caught:
        limits.count(client(2))
    assert caught.value.code is Code.RATE_LIMITED
    assert caught.value.facts["retry_after"] == 2600
    limits.count(client(2, "another"))
    now[0] = 3600.0
    limits.count(client(2))
    with pytest.raises(Refused) as again:
        limits.count(client(2))
    assert again.value.facts["retry_after"] == 600


def test_a_limit_that_was_lowered_waits_until_enough_is_past() -> None:
    now = [0.0]
    limits = BadgeLimits(lambda: now[0])
    for second in range(5):
        now[0] = second * 60.0
        limits.count(client(5))
    with pytest.raises(Refused) as caught:
        limits.count(client(2))
    assert caught.value.facts["retry_after"] == 3600 + 180 - 240


def test_nobody_counts_the_embedded_client() -> None:
    limits = BadgeLimits(lambda: 0.0)
    for _ in range(1000):
        limits.count(client(None))


def test_a_refusal_is_recorded_once_a_minute_with_how_many_were_left_out() -> None:
    now = [0.0]
    repeats = Repeats(lambda: now[0])
    assert repeats.due("a") == 0
    assert [repeats.due("a") for _ in range(3)] == [None, None, None]
    assert repeats.due("b") == 0
    now[0] = 60.0
    assert repeats.due("a") == 3


def test_what_is_over_the_limit_is_refused_and_audited_but_not_without_end(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    assembly.create_key_service(config)
    with assembly.open_kms(config) as kms:
        service = kms.for_client(client(2))
        for number in range(20):
            with pytest.raises(Refused) as caught:
                service.begin(m.Tap(uid=bytes((4, 1, 2, 3, 4, 5, number))))
            expected = Code.BADGE_UNKNOWN if number < 2 else Code.RATE_LIMITED
            assert caught.value.code is expected
        assert 0 < caught.value.facts["retry_after"] <= 3600
    lines = map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines())
    refused = [line["facts"]["code"] for line in lines if line["event"] == "refused"]
    assert refused == ["badge_unknown", "badge_unknown", "rate_limited"]


def test_an_application_that_is_not_the_clients_is_refused(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    assembly.create_key_service(config)
    with assembly.open_kms(config) as kms:
        for aids, code in (({"F5CA4D"}, Code.BADGE_UNKNOWN), ({"F5CA4E"}, Code.FORBIDDEN)):
            only = Client("desk", "d", frozenset(Right), aids=frozenset(aids))
            with pytest.raises(Refused) as caught:
                kms.for_client(only).begin(m.Tap(uid=bytes.fromhex("04010203040506")))
            assert caught.value.code is code
