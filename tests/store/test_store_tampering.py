"""Somebody writes to the database who has not the master key."""

from dataclasses import replace

from cardd.badges.states import BadgeState
from cardd.kms.messages import Page


def test_a_badge_given_to_another_holder_is_found(peopled, things, sql, tampered):
    badge = things.badge(1)
    sql("UPDATE badge SET holder_id = ? WHERE id = ?", things.holder(2).id, badge.id)
    assert tampered(peopled.badge_and_holder, badge.uid)
    assert tampered(peopled.badge, badge.id)
    assert tampered(peopled.badge_by_number, badge.number)
    assert tampered(peopled.badge_by_uid, badge.uid)
    assert tampered(peopled.badges_of, things.holder(2).id)
    assert tampered(peopled.badges, Page())


def test_the_uids_of_two_badges_exchanged_are_found(peopled, things, sql, tampered):
    one, other = things.badge(1), things.badge(2)
    sql("UPDATE badge SET uid = ? WHERE id = ?", b"0", one.id)
    sql("UPDATE badge SET uid = ? WHERE id = ?", one.uid, other.id)
    sql("UPDATE badge SET uid = ? WHERE id = ?", other.uid, one.id)
    assert tampered(peopled.badge_and_holder, one.uid)


def test_a_revocation_undone_is_found(peopled, things, sql, tampered):
    badge = peopled.badge(things.badge(1).id)
    peopled.put_badge(replace(badge, state=BadgeState.REVOKED, reason="stolen"))
    sql("UPDATE badge SET state = 'active', reason = NULL WHERE id = ?", badge.id)
    assert tampered(peopled.badge_and_holder, badge.uid)


def test_a_mac_copied_from_another_row_is_found(peopled, things, sql, tampered):
    badge = things.badge(1)
    sql("UPDATE badge SET mac = (SELECT mac FROM badge WHERE id = ?) WHERE id = ?",
        things.badge(2).id, badge.id)  # fmt: skip
    assert tampered(peopled.badge_and_holder, badge.uid)


def test_a_version_rolled_back_in_its_row_is_found(peopled, things, sql, tampered):
    badge = peopled.put_badge(peopled.badge(things.badge(1).id))
    sql("UPDATE badge SET version = 1 WHERE id = ?", badge.id)
    assert tampered(peopled.badge, badge.id)


def test_the_holder_behind_a_badge_altered_is_found_at_the_tap(peopled, things, sql, tampered):
    sql("UPDATE holder SET status = 'ended' WHERE id = ?", things.holder(1).id)
    assert tampered(peopled.badge_and_holder, things.badge(1).uid)
    assert tampered(peopled.holder_by_staff_number, "S00001")
    assert tampered(peopled.holders, Page())


def test_the_holder_behind_a_badge_deleted_is_found_at_the_tap(peopled, things, sql, tampered):
    sql("DELETE FROM holder WHERE id = ?", things.holder(1).id)
    assert tampered(peopled.badge_and_holder, things.badge(1).uid)


def test_a_presence_reopened_or_prolonged_is_found(peopled, sql, tampered):
    sql("UPDATE presence SET expires_at = expires_at + 3600")
    assert tampered(peopled.presence, "sid-1")
    ended = "UPDATE presence SET expires_at = expires_at - 3600, ended_at = 1"
    sql(ended)
    assert tampered(peopled.presence, "sid-1")


def test_a_national_identifier_given_to_another_holder_is_found(peopled, things, sql, tampered):
    peopled.add_holder(things.holder(3, national_ids=("10001234567",)))
    sql("UPDATE holder_national_id SET holder_id = ?", things.holder(2).id)
    assert tampered(peopled.holders_by_national_id, "810001234567")
    sql("DELETE FROM holder_national_id")
    assert peopled.holders_by_national_id("810001234567") == []


def test_a_holder_listed_twice_in_the_index_is_one_person(registry, things, sql):
    registry.add_holder(things.holder(1, national_ids=("10001234567",)))
    sql("CREATE TABLE bare AS SELECT * FROM holder_national_id")
    sql("INSERT INTO bare SELECT * FROM bare")
    sql("DROP TABLE holder_national_id")
    sql("ALTER TABLE bare RENAME TO holder_national_id")
    assert len(registry.holders_by_national_id("810001234567")) == 1


def test_the_certificate_of_a_presence_exchanged_is_found(peopled, things, sql, tampered):
    peopled.add_presence(things.presence(2, badge_id=None, certificate="x5t"))
    sql("UPDATE presence SET certificate = 'other' WHERE sid = 'sid-2'")
    assert tampered(peopled.presence, "sid-2")


def test_a_journal_altered_is_found(peopled, things, sql, tampered):
    uid = peopled.put_journal(things.journal()).uid
    sql("UPDATE journal SET step = 'done'")
    assert tampered(peopled.journal, uid)
