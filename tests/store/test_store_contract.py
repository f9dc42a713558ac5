"""What every registry does, whatever the database."""

import inspect
from dataclasses import replace

import pytest
from sqlalchemy import event

from cardd.assurance.levels import Acr
from cardd.badges.states import BadgeState
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.messages import Page
from cardd.kms.ports import Purpose, Registry, ReplicaMark, StoredKey
from cardd.store.opening import create_registry, open_registry, place
from cardd.store.registry import SqlRegistry


def refused(call, *arguments) -> Code:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.code


@pytest.mark.unit
def test_every_method_of_the_protocol_is_there_with_its_signature():
    promised = {n: f for n, f in vars(Registry).items() if inspect.isfunction(f) and n[0] != "_"}
    assert len(promised) >= 22
    for name, function in promised.items():
        theirs = inspect.signature(function).parameters
        assert list(inspect.signature(getattr(SqlRegistry, name)).parameters) == list(theirs), name


def test_a_holder_is_found_as_it_was_stored(registry, things):
    holder = things.holder(
        given_name="Zoé",
        family_name=None,
        accounts={"unix": "zoe", "ad": "ZOE@chu.example"},
        national_ids=("899700000001",),
        groups=("icu", "night"),
        valid_from=0,
        valid_until=4_102_444_800,
    )
    registry.add_holder(holder)
    assert registry.holder(holder.id) == holder
    assert registry.holder_by_staff_number("S00001") == holder


def test_what_is_not_there_is_none(registry):
    assert registry.holder("x") is None
    assert registry.holder_by_staff_number("x") is None
    assert registry.holders_by_national_id("x") == []
    assert registry.badge("x") is None
    assert registry.badge_by_number("x") is None
    assert registry.badge_by_uid(b"x") is None
    assert registry.badge_and_holder(b"x") is None
    assert registry.badges_of("x") == []
    assert registry.presence("x") is None
    assert registry.open_presences_of_badge("x") == []
    assert registry.journal(b"x") is None
    assert registry.holders(Page()) == ([], None)
    assert registry.badges(Page()) == ([], None)


def test_a_holder_is_not_registered_twice(peopled, things):
    assert refused(peopled.add_holder, things.holder(1, staff_number="other")) is Code.CONFLICT
    assert refused(peopled.add_holder, things.holder(9, staff_number="S00001")) is Code.CONFLICT
    assert len(peopled.holders(Page())[0]) == 2


@pytest.mark.parametrize("field", ["id", "number", "uid"])
def test_a_badge_is_not_registered_twice(peopled, things, field):
    badge = replace(things.badge(9), **{field: getattr(things.badge(1), field)})
    assert refused(peopled.add_badge, badge) is Code.CONFLICT
    assert len(peopled.badges(Page())[0]) == 2


def test_a_badge_of_nobody_registered_is_refused(registry, things):
    assert refused(registry.add_badge, things.badge(holder_id="nobody")) is Code.CONFLICT
    assert registry.badge(things.badge().id) is None


def test_a_badge_is_found_by_each_of_its_names(peopled, things):
    badge = things.badge(2, holder_id=things.holder(2).id)
    assert peopled.badge(badge.id) == badge
    assert peopled.badge_by_number(badge.number) == badge
    assert peopled.badge_by_uid(badge.uid) == badge
    assert peopled.badge_and_holder(badge.uid) == (badge, things.holder(2))


def test_a_holder_is_found_by_each_national_identifier_however_it_was_written(registry, things):
    holder = things.holder(1, national_ids=("8 10001234567", "10001234567", "02a1234567"))
    registry.add_holder(holder)
    registry.add_holder(things.holder(2, national_ids=("810009999999",)))
    for national_id in ("810001234567", "02A1234567"):
        assert registry.holders_by_national_id(national_id) == [holder]
    assert registry.holders_by_national_id("10001234567") == [], "a card has its prefix"


def test_two_holders_with_one_national_identifier_are_both_found(registry, things):
    both = [things.holder(n, national_ids=("10001234567",)) for n in (2, 1)]
    for holder in both:
        registry.add_holder(holder)
    assert registry.holders_by_national_id("810001234567") == both[::-1]


def test_a_national_identifier_follows_the_changes_of_its_holder(registry, things):
    registry.add_holder(things.holder(national_ids=("10001234567", "0123456789")))
    holder = registry.holder(things.holder().id)
    changed = registry.put_holder(replace(holder, national_ids=("0123456789", "10007654321")))
    assert registry.holders_by_national_id("810001234567") == []
    for national_id in ("0123456789", "810007654321"):
        assert registry.holders_by_national_id(national_id) == [changed]
    with pytest.raises(Refused):
        registry.put_holder(replace(holder, national_ids=()))
    assert registry.holders_by_national_id("0123456789") == [changed]


def test_a_holder_that_is_refused_leaves_no_national_identifier(peopled, things):
    taken = things.holder(9, staff_number="S00001", national_ids=("10001234567",))
    assert refused(peopled.add_holder, taken) is Code.CONFLICT
    assert peopled.holders_by_national_id("810001234567") == []


def test_a_presence_of_a_cps_is_found_as_it_was_stored(peopled, things):
    presence = things.presence(7, badge_id=None, certificate="x5t", acr=Acr.STRONG)
    peopled.add_presence(presence)
    assert peopled.presence("sid-7") == presence


def test_a_badge_without_holder_comes_without(registry, things):
    registry.add_badge(things.badge())
    assert registry.badge_and_holder(things.badge().uid) == (things.badge(), None)
    assert registry.badges(Page()) == ([(things.badge(), None)], None)


def test_a_tap_asks_the_database_once(peopled, things):
    asked = []
    engine = peopled._connections._database.engine
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    peopled.badge_and_holder(things.badge(1).uid)
    assert len(asked) == 1


def test_badges_of_a_holder_come_by_number(peopled, things):
    holder = things.holder(1).id
    for n, number in ((7, "B"), (8, "A")):
        peopled.add_badge(things.badge(n, number=number, holder_id=holder))
    assert [badge.number for badge in peopled.badges_of(holder)] == ["00000001", "A", "B"]


def test_a_put_stores_the_next_version_and_returns_it(peopled):
    badge, holder = peopled.badges(Page())[0][0]
    stored = peopled.put_badge(replace(badge, state=BadgeState.REVOKED, reason="lost"))
    assert (stored.version, stored.state) == (2, BadgeState.REVOKED)
    assert peopled.badge(badge.id) == stored
    moved = peopled.put_holder(replace(holder, family_name="Durand"))
    assert moved == replace(holder, family_name="Durand", version=2) == peopled.holder(holder.id)


def test_a_put_of_an_old_version_is_refused_and_changes_nothing(peopled):
    badge = peopled.badges(Page())[0][0][0]
    revoked = peopled.put_badge(replace(badge, state=BadgeState.REVOKED))
    assert refused(peopled.put_badge, replace(badge, state=BadgeState.ACTIVE)) is Code.CONFLICT
    assert peopled.badge(badge.id) == revoked


def test_a_put_of_what_was_never_added_is_refused(registry, things):
    assert refused(registry.put_holder, things.holder()) is Code.CONFLICT
    assert refused(registry.put_badge, things.badge()) is Code.CONFLICT
    assert refused(registry.put_presence, things.presence()) is Code.CONFLICT
    assert refused(registry.put_journal, things.journal(version=3)) is Code.CONFLICT


def test_a_put_that_takes_the_number_of_another_badge_is_refused(peopled, things):
    badge = peopled.badge(things.badge(1).id)
    stolen = replace(badge, number=things.badge(2).number)
    assert refused(peopled.put_badge, stolen) is Code.CONFLICT
    assert peopled.badge(badge.id) == badge


def test_open_presences_are_those_not_ended(peopled, things):
    peopled.add_presence(things.presence(2))
    peopled.add_presence(things.presence(3, badge_id=things.badge(2).id))
    first = peopled.presence("sid-1")
    ended = peopled.put_presence(replace(first, ended_at=1_795_000_100, end_reason="revoked"))
    assert peopled.presence("sid-1") == ended == replace(ended, version=2)
    assert peopled.open_presences_of_badge(things.badge(1).id) == [things.presence(2)]
    assert refused(peopled.add_presence, things.presence(2)) is Code.CONFLICT


def test_a_journal_is_inserted_then_replaced_then_dropped(registry, things):
    first = registry.put_journal(things.journal())
    assert first == things.journal(version=2) == registry.journal(first.uid)
    second = registry.put_journal(replace(first, step="application made", sealed=b""))
    assert second.version == 3
    assert registry.journal(first.uid) == second
    assert refused(registry.put_journal, replace(first, step="late")) is Code.CONFLICT
    registry.drop_journal(first.uid)
    registry.drop_journal(first.uid)
    assert registry.journal(first.uid) is None


def test_a_second_station_cannot_begin_an_encoding_that_is_under_way(registry, things):
    mine = registry.put_journal(things.journal(client="station-1"))
    assert refused(registry.put_journal, things.journal(client="station-2")) is Code.CONFLICT
    assert registry.journal(mine.uid) == mine


def test_a_badge_has_a_stored_key_of_each_purpose_and_generation(registry, things):
    badge = things.badge(1).id
    keys = [
        StoredKey(badge, purpose, generation, bytes((generation,)) * 40)
        for purpose in (Purpose.APP_MASTER, Purpose.PICC)
        for generation in (1, 2)
    ]
    other = StoredKey(things.badge(2).id, Purpose.PICC, 1, b"other")
    for key in (*reversed(keys), other):
        registry.add_stored_key(key)
    assert registry.stored_keys(badge) == keys
    assert refused(registry.add_stored_key, replace(keys[0], sealed=b"")) is Code.CONFLICT
    changed = registry.put_stored_key(replace(keys[1], sealed=b"new"))
    assert refused(registry.put_stored_key, keys[1]) is Code.CONFLICT
    registry.drop_stored_key(keys[0])
    registry.drop_stored_key(keys[0])
    assert registry.stored_keys(badge) == [changed, *keys[2:]]
    assert registry.stored_keys(other.badge_id) == [other]


def test_a_registry_knows_which_it_is_and_how_far_it_has_come(url, sealer, sql):
    registry = create_registry(place(url), sealer)
    identity = registry.identity()
    assert (len(identity.id), identity.opened, identity.version) == (16, 0, 1)
    later = registry.put_identity(replace(identity, opened=1, keystore_counter=7))
    assert refused(registry.put_identity, identity) is Code.CONFLICT
    registry.close()
    again = open_registry(place(url), sealer)
    assert again.identity() == later == replace(identity, opened=1, keystore_counter=7, version=2)
    sql("UPDATE registry_identity SET opened = 0")
    assert refused(again.identity) is Code.REGISTRY_INTEGRITY
    sql("DELETE FROM registry_identity")
    assert refused(again.identity) is Code.REGISTRY_INTEGRITY
    again.close()


def test_each_replica_has_a_mark_of_its_own(registry, sql):
    assert registry.replica_mark("kms-1") is None
    mark = ReplicaMark("kms-1", 1, "ab" * 16, 7, "cd" * 32, '{"picc":1}')
    registry.add_replica_mark(mark)
    assert refused(registry.add_replica_mark, mark) is Code.CONFLICT
    registry.add_replica_mark(replace(mark, replica="kms-2"))
    later = registry.put_replica_mark(replace(mark, number=2))
    assert refused(registry.put_replica_mark, mark) is Code.CONFLICT
    assert registry.replica_mark("kms-1") == later == replace(mark, number=2, version=2)
    assert registry.replica_mark("kms-2") == replace(mark, replica="kms-2")
    sql("UPDATE replica_mark SET number = 1 WHERE replica = 'kms-1'")
    assert refused(registry.replica_mark, "kms-1") is Code.REGISTRY_INTEGRITY


def test_a_transaction_is_all_or_nothing(registry, things):
    def interrupted():
        with registry.atomically():
            registry.add_holder(things.holder())
            registry.add_badge(things.badge(holder_id=things.holder().id))
            assert registry.badge_and_holder(things.badge().uid) is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert registry.holder(things.holder().id) is None
    with registry.atomically():
        registry.add_holder(things.holder())
        registry.put_journal(things.journal())
    assert registry.holder(things.holder().id) == things.holder()
    assert registry.journal(things.journal().uid) is not None


def test_an_inner_transaction_is_part_of_the_outer_one(registry, things):
    def interrupted():
        with registry.atomically():
            with registry.atomically():
                registry.add_holder(things.holder())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert registry.holder(things.holder().id) is None


def test_an_inner_transaction_that_fails_leaves_the_rest_to_the_outer_one(registry, things):
    def refused_at_its_second_step():
        with registry.atomically():
            registry.add_holder(things.holder(2))
            registry.add_holder(things.holder(1))

    with registry.atomically():
        registry.add_holder(things.holder(1))
        with pytest.raises(Refused):
            refused_at_its_second_step()
        with registry.atomically():
            registry.add_holder(things.holder(3))
    assert [h.id for h in registry.holders(Page())[0]] == [things.holder(n).id for n in (1, 3)]


def test_a_conflict_does_not_end_the_transaction(registry, things):
    registry.add_badge(things.badge(1))
    with registry.atomically():
        assert refused(registry.add_badge, things.badge(2, number="00000001")) is Code.CONFLICT
        registry.add_badge(things.badge(2, number="00000002"))
    assert registry.badge_by_number("00000002") == things.badge(2)


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
def test_text_that_no_database_keeps_is_refused(registry, things, text):
    assert refused(registry.add_holder, things.holder(family_name=text)) is Code.INVALID_REQUEST
    assert refused(registry.put_journal, things.journal(step=text)) is Code.INVALID_REQUEST
    assert registry.holders(Page()) == ([], None)


def test_a_number_that_no_database_keeps_is_refused(registry, things):
    for number in (1 << 63, -(1 << 63) - 1):
        holder = things.holder(valid_until=number)
        assert refused(registry.add_holder, holder) is Code.INVALID_REQUEST
    assert registry.holders(Page()) == ([], None)


def test_a_look_up_with_text_that_is_not_unicode_is_refused(registry):
    assert refused(registry.holder, "\udcff") is Code.INVALID_REQUEST
    assert refused(registry.holders, Page(q="\udcff")) is Code.INVALID_REQUEST


def test_a_closed_registry_is_unavailable(peopled, things):
    peopled.ping()
    peopled.close()
    peopled.close()
    for call in (peopled.ping, lambda: peopled.holder("x"), peopled.atomically().__enter__):
        with pytest.raises(KmsUnavailable):
            call()


def test_rows_of_an_older_generation_of_the_master_are_read_and_renewed(
    registry, sealer, things, sql
):
    registry.add_holder(things.holder())
    sealer.generation = 2
    holder = registry.holder(things.holder().id)
    assert sql("SELECT mac_generation FROM holder") == [(1,)]
    assert registry.holder(registry.put_holder(holder).id).version == 2
    assert sql("SELECT mac_generation FROM holder") == [(2,)]


def test_masters_that_do_not_answer_make_the_registry_unavailable(peopled, sealer, things):
    sealer.answers = False
    with pytest.raises(KmsUnavailable):
        peopled.badge_and_holder(things.badge().uid)
    sealer.answers = True
    assert peopled.badge_and_holder(things.badge().uid)
