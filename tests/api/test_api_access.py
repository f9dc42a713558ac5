"""Who a peer is, what it may do, and in which language it is told."""

import os
import pwd
import socket

import pytest

from cardd.api import catalogue, problems
from cardd.api.access import AccessTable
from cardd.api.negotiation import preferred
from cardd.api.peers import Peer, nameless_uids, peer_of
from cardd.config import Access, Grant
from cardd.errors import Code, StartCode, StartError
from cardd.presence.model import Problem

pytestmark = pytest.mark.unit


def peer(uid: int, *groups: int) -> Peer:
    """Return a peer whose primary group has its uid's number."""
    return Peer(uid, uid, frozenset({uid, *groups}), 1)


def test_the_kernel_names_the_peer_and_its_groups() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with left, right:
        found = peer_of(left)
    assert (found.uid, found.gid, found.pid) == (os.getuid(), os.getgid(), os.getpid())
    assert found.groups == {os.getgid(), *os.getgroups()}


def test_supplementary_groups_are_seen() -> None:
    before = os.getgroups()
    os.setgroups([7001, 7002])
    try:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with left, right:
            assert {7001, 7002} <= peer_of(left).groups
    finally:
        os.setgroups(before)


def test_a_peer_of_too_many_groups_counts_with_its_primary_one() -> None:
    before = os.getgroups()
    os.setgroups(range(7000, 7300))
    try:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with left, right:
            assert peer_of(left).groups == {os.getgid()}
    finally:
        os.setgroups(before)


def test_the_overflow_uid_and_minus_one_name_nobody() -> None:
    assert {65534, 0xFFFFFFFF} <= nameless_uids()


def test_grants_of_users_and_groups_add_up() -> None:
    table = AccessTable.resolve(
        Access(
            grants=(
                Grant(user="1000", rights=("authenticate",), audiences=("a",)),
                Grant(group="50", rights=("authenticate",), audiences=("b",)),
                Grant(group="root", rights=("admin",)),
            )
        )
    )
    standing = table.standing(peer(1000, 50))
    assert standing.rights == {"authenticate", "observe"}
    assert standing.audiences == {"a", "b"}
    assert standing.may_ask_for("b")
    assert not standing.may_ask_for("c")
    assert standing.of_seat
    assert table.standing(peer(1001, 0)).rights == {"admin", "observe"}
    assert table.standing(peer(1001)).rights == set()


def test_a_star_is_any_audience_and_no_audience_is_none() -> None:
    table = AccessTable.resolve(
        Access(
            grants=(
                Grant(user="1", rights=("authenticate",), audiences=("*",)),
                Grant(user="2", rights=("authenticate",)),
            )
        )
    )
    assert table.standing(peer(1)).may_ask_for("https://whatever")
    assert not table.standing(peer(2)).may_ask_for("https://whatever")


def test_root_and_the_daemons_own_user_have_nothing_by_default() -> None:
    table = AccessTable.resolve(Access())
    assert table.standing(peer(0)).rights == set()
    assert table.standing(peer(os.getuid())).rights == set()


def test_an_overflow_uid_in_a_granted_group_may_nothing() -> None:
    table = AccessTable.resolve(Access(grants=(Grant(group="50", rights=("admin",)),)))
    assert table.standing(peer(65534, 50)).rights == set()


@pytest.mark.parametrize(
    "grant",
    [
        Grant(user="no-such-user", rights=("observe",)),
        Grant(group="no-such-group", rights=("observe",)),
        Grant(user="99999999999", rights=("observe",)),
        Grant(user="4294967295", rights=("observe",)),
        Grant(user=pwd.getpwuid(65534).pw_name, rights=("observe",)),
        Grant(user="nul\0", rights=("observe",)),
        Grant(user="٣", rights=("observe",)),
    ],
    ids=lambda grant: repr(grant.user or grant.group),
)
def test_a_grant_to_nobody_is_refused_at_the_start_and_named(grant: Grant) -> None:
    fine = Grant(user="0", rights=("observe",))
    with pytest.raises(StartError) as caught:
        AccessTable.resolve(Access(grants=(fine, grant)))
    assert caught.value.code == StartCode.CONFIG_INVALID
    assert "access.grants, entry 2" in str(caught.value)


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
def test_every_code_has_its_texts_in_both_languages(language: str) -> None:
    for code in Code:
        text = catalogue.text(code, language)
        assert text.title, code
        # What happened, and what to do: two sentences.
        assert text.message.count(".") >= 2, code
        assert text.message.endswith("."), code
    assert set(catalogue._TEXTS[language]) == set(Code)


def test_the_two_languages_differ() -> None:
    for code in Code:
        assert catalogue.text(code, "fr").message != catalogue.text(code, "en").message


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "fr"),
        ("", "fr"),
        ("en", "en"),
        ("en-US,en;q=0.9", "en"),
        ("de, en;q=0.4, fr;q=0.3", "en"),
        ("fr;q=0, *;q=0.1", "en"),
        ("de", "fr"),
        ("en;q=high", "fr"),
        ("en;q=nan", "fr"),
        ("en;q=2", "fr"),
        ("en," * 2000, "fr"),
    ],
)
def test_accept_language_chooses(header: str | None, language: str) -> None:
    assert catalogue.language_of(header) == language


def test_nothing_that_is_offered_may_be_wanted() -> None:
    assert preferred("image/png", ("text/event-stream",)) is None
    assert preferred("*/*;q=0", ("text/event-stream",)) is None


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status_of_an_error(code: Code) -> None:
    assert 400 <= problems.status_of(code) <= 504


def test_a_fact_never_replaces_a_standard_member() -> None:
    problem = Problem(Code.CONFLICT, "d", {"status": 1, "code": "x", "tries_left": 2, "raw": b"\0"})
    shown = problems.members(problem, "en")
    assert (shown["status"], shown["code"], shown["tries_left"]) == (409, "conflict", 2)
