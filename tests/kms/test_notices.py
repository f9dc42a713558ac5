"""What a client hears: its own presences alone, in order, and all of it after it was away."""

import pytest

from cardd.kms.messages import Notice, PresenceEnded, Resync
from cardd.kms.notices import MOST_KEPT, Notices, Told

pytestmark = pytest.mark.unit

ONE, TWO, THREE = (PresenceEnded(sid, "badge_revoked") for sid in ("1", "2", "3"))


@pytest.fixture
def notices() -> Notices:
    return Notices()


def test_a_client_hears_of_its_own_presences_alone(notices: Notices) -> None:
    mine: list[Notice] = []
    theirs: list[Notice] = []
    notices.watch("mine", mine.append)
    notices.watch("theirs", theirs.append)
    notices.tell("mine", ONE)
    notices.tell("theirs", TWO)
    assert (mine, theirs) == ([ONE], [TWO])


def test_nothing_is_heard_after_the_end(notices: Notices) -> None:
    heard: list[Notice] = []
    stop = notices.watch("a", heard.append)
    stop()
    stop()
    notices.tell("a", ONE)
    assert heard == []


def test_a_listener_that_raises_keeps_nothing_from_the_others(notices: Notices) -> None:
    def fail(_notice: Notice) -> None:
        raise RuntimeError("on purpose")

    heard: list[Notice] = []
    notices.watch("a", fail)
    notices.watch("a", heard.append)
    notices.tell("a", ONE)
    assert heard == [ONE]


def followed(notices: Notices, client: str, since: str | None) -> list[Told]:
    told: list[Told] = []
    notices.follow(client, told.append, since)()
    return told


def test_whoever_comes_back_hears_what_was_told_meanwhile(notices: Notices) -> None:
    heard: list[Told] = []
    stop = notices.follow("a", heard.append, None)
    assert [told.notice for told in heard] == [Resync()], "nothing is known of the time before"
    notices.tell("a", ONE)
    stop()
    notices.tell("a", TWO)
    notices.tell("b", TWO)
    notices.tell("a", THREE)
    missed = followed(notices, "a", heard[-1].id)
    assert [told.notice for told in missed] == [TWO, THREE]
    assert followed(notices, "a", missed[-1].id) == []
    assert [told.notice for told in followed(notices, "a", heard[0].id)] == [ONE, TWO, THREE]


@pytest.mark.parametrize("since", ["", "x", "-1", "-", "other-1", "{epoch}-99", "{epoch}-", "²"])
def test_a_place_that_is_not_known_gives_a_resync(notices: Notices, since: str) -> None:
    notices.tell("a", ONE)
    (now,) = followed(notices, "a", None)
    epoch = now.id.rpartition("-")[0]
    told = followed(notices, "a", since.format(epoch=epoch))
    assert [each.notice for each in told] == [Resync()]


def test_a_place_of_another_process_or_too_long_ago_gives_a_resync(notices: Notices) -> None:
    (start,) = followed(notices, "a", None)
    assert [told.notice for told in followed(Notices(), "a", start.id)] == [Resync()]
    for number in range(MOST_KEPT):
        notices.tell("b", PresenceEnded(str(number), "r"))
    assert followed(notices, "a", start.id) == [], "all of them are still known, and none is mine"
    notices.tell("b", ONE)
    assert [told.notice for told in followed(notices, "a", start.id)] == [Resync()]
