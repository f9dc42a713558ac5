"""Threads, and processes as far as the database sees them, that change the same rows."""

import threading
from dataclasses import replace

from cardd.badges.states import BadgeState
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.messages import Page
from cardd.store.opening import create_registry, open_registry, place
from tests.limits import SOON_S


def test_a_registry_is_there_again_when_it_is_opened_again(url, sealer, things):
    registry = create_registry(place(url), sealer)
    registry.add_holder(things.holder())
    registry.close()
    again = open_registry(place(url), sealer)
    assert again.holder(things.holder().id) == things.holder()
    again.close()


def test_two_threads_that_change_one_badge_do_not_both_succeed(peopled, things):
    badge, count = peopled.badge(things.badge(1).id), 8
    outcomes, barrier = [], threading.Barrier(count)

    def change(state):
        barrier.wait(10)
        try:
            outcomes.append(peopled.put_badge(replace(badge, state=state)))
        except Refused as refusal:
            outcomes.append(refusal.code)

    states = [BadgeState.REVOKED, BadgeState.SUSPENDED] * (count // 2)
    run_all([threading.Thread(target=change, args=(state,)) for state in states])
    assert outcomes.count(Code.CONFLICT) == count - 1
    assert peopled.badge(badge.id) in outcomes


def test_an_unfinished_transaction_is_not_seen_by_another_thread(registry, things):
    seen = []
    with registry.atomically():
        registry.add_holder(things.holder())
        run_all([threading.Thread(target=lambda: seen.append(registry.holders(Page())))])
    assert seen == [([], None)]


def test_what_a_transaction_read_does_not_change_before_its_end(peopled, things):
    """A revocation and a tap of one badge wait for each other."""
    badge, order, revoking = peopled.badge(things.badge(1).id), [], threading.Event()

    def revoke():
        revoking.set()
        peopled.put_badge(replace(badge, state=BadgeState.REVOKED))
        order.append("revoked")

    revoker = threading.Thread(target=revoke)
    with peopled.atomically():
        found, _ = peopled.badge_and_holder(badge.uid)
        revoker.start()
        assert revoking.wait(SOON_S)
        peopled.add_presence(things.presence(9))
        assert peopled.badge_and_holder(badge.uid)[0] == found
        order.append("tapped")
    revoker.join(SOON_S)
    assert order == ["tapped", "revoked"]


def test_who_waited_for_a_change_sees_it(peopled, things):
    """Two desks that give one person a badge at once: the second knows of the first's."""
    holder, counted = things.holder(1).id, []
    barrier = threading.Barrier(2)

    def give(n):
        barrier.wait(SOON_S)
        with peopled.atomically():
            assert peopled.holder(holder)
            counted.append(len(peopled.badges_of(holder)))
            peopled.add_badge(things.badge(n, holder_id=holder))

    run_all([threading.Thread(target=give, args=(n,)) for n in (20, 21)])
    assert sorted(counted) == [1, 2]


def test_transactions_that_cross_end_with_a_code_and_lose_nothing(peopled, things):
    """Each holds what the other wants next: the database gives one of them up."""
    ids, barrier = [things.badge(1).id, things.badge(2).id], threading.Barrier(2)
    outcomes = []

    def change(first, second, reason):
        try:
            with peopled.atomically():
                badge = peopled.badge(first)
                barrier.wait(1)
                other = peopled.badge(second)
                peopled.put_badge(replace(badge, reason=reason))
                peopled.put_badge(replace(other, reason=reason))
        except (KmsUnavailable, Refused, threading.BrokenBarrierError) as error:
            outcomes.append(error)

    run_all(
        [
            threading.Thread(target=change, args=(*order, f"r{at}"))
            for at, order in enumerate((ids, ids[::-1]))
        ]
    )
    assert 1 <= len(outcomes) <= 2
    reasons = {peopled.badge(each).reason for each in ids}
    assert len(reasons) == 1, "all of one, or nothing"


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
        assert not thread.is_alive()
