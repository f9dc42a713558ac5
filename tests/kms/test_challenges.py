"""Challenges: random, spent once, by who asked, in time, and not too many."""

import threading

import pytest

from cardd.errors import Code, Refused
from cardd.kms.challenges import LIFETIME_S, MAXIMUM_PER_CLIENT, Challenges

pytestmark = pytest.mark.unit


@pytest.fixture
def time() -> list[float]:
    return [100.0]


@pytest.fixture
def challenges(time: list[float]) -> Challenges:
    return Challenges(lambda: time[0])


def spent(challenges: Challenges, client: str, value: str) -> Code | int:
    try:
        return challenges.spend(client, value)
    except Refused as refused:
        return refused.code


def test_a_challenge_is_spent_once_and_tells_when_it_was_issued(challenges: Challenges) -> None:
    value = challenges.issue("a", 1_800_000_000)
    assert spent(challenges, "a", value) == 1_800_000_000
    assert spent(challenges, "a", value) is Code.TIMEOUT
    assert spent(challenges, "a", "") is Code.TIMEOUT


def test_another_clients_challenge_is_refused_and_stays(challenges: Challenges) -> None:
    value = challenges.issue("a", 7)
    assert spent(challenges, "b", value) is Code.TIMEOUT
    assert spent(challenges, "a", value) == 7


def test_a_challenge_lives_sixty_seconds(challenges: Challenges, time: list[float]) -> None:
    early, late = challenges.issue("a", 1), challenges.issue("a", 1)
    time[0] += LIFETIME_S - 0.001
    assert spent(challenges, "a", early) == 1
    time[0] += 0.001
    assert spent(challenges, "a", late) is Code.TIMEOUT
    assert LIFETIME_S == 60


def test_a_client_has_a_bounded_number_and_hinders_no_other(
    challenges: Challenges, time: list[float]
) -> None:
    first = challenges.issue("a", 1)
    time[0] += 20
    for _ in range(MAXIMUM_PER_CLIENT - 1):
        challenges.issue("a", 1)
    with pytest.raises(Refused) as caught:
        challenges.issue("a", 1)
    assert caught.value.code is Code.RATE_LIMITED
    assert caught.value.facts == {"retry_after": 40}
    challenges.issue("b", 1)
    challenges.spend("a", first)
    challenges.issue("a", 1)
    time[0] += LIFETIME_S
    for _ in range(MAXIMUM_PER_CLIENT):
        challenges.issue("a", 1)


def test_challenges_are_not_alike(challenges: Challenges, time: list[float]) -> None:
    values = set()
    for _ in range(1000):
        values.add(challenges.issue("a", 1))
        time[0] += LIFETIME_S
    assert len(values) == 1000
    assert {len(value) for value in values} == {43}, "256 bits in base64url"


def race(
    challenges: Challenges, value: str, start: threading.Barrier, results: list[Code | int]
) -> None:
    start.wait(5)
    results.append(spent(challenges, "a", value))


def test_one_of_many_threads_spends_a_challenge(challenges: Challenges) -> None:
    for _ in range(50):
        value = challenges.issue("a", 1)
        start = threading.Barrier(4)
        results: list[Code | int] = []
        threads = [
            threading.Thread(target=race, args=(challenges, value, start, results))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert sorted(results, key=str) == [1, *[Code.TIMEOUT] * 3]
