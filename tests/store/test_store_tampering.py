"""Somebody writes to the database who has not the master key."""

from dataclasses import replace

import pytest

from cardd.badges.states import BadgeState
from cardd.errors import Code, Refused
from cardd.kms.messages import Page

pytestmark = pytest.mark.unit


@pytest.fixture
def tampered(peopled):
    """Tell whether a call finds that a row was altered, and says no more than which one."""

    def check(call, *arguments) -> bool:
        with pytest.raises(Refused) as caught:
            call(*arguments)
        assert caught.value.code is Code.REGISTRY_INTEGRITY
        assert set(caught.value.facts) == {"table", "key"}
        assert "Martin" not in str(caught.value)
        return caught.value.facts["table"] in str(caught.value)

    return check


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
    sql("UPDATE badge SET uid = x'00' WHERE id = ?", one.id)
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


@pytest.mark.parametrize(
    "value",
    ["NULL", "''", "x''", "x'00'", "1.5", "1e300", "9223372036854775807", "CAST(x'ff' AS TEXT)",
     "zeroblob(100000)", "'[['", "char(0)", "255", "0", "-1"],
)  # fmt: skip
def test_no_value_in_any_column_is_more_than_a_refusal(peopled, things, sql, tampered, value):
    """Types, sizes and encodings that cardd never writes; the table is stripped of constraints."""
    columns = [row[1] for row in sql("PRAGMA table_info(badge)") if row[1] not in {"id", "search"}]
    plain = sql("SELECT * FROM badge WHERE id = ?", things.badge(1).id)[0]
    strip(sql)
    for column in columns:
        before = sql(f"SELECT {column}, {value} IS {column} FROM badge WHERE id = ?", plain[0])  # noqa: S608
        if before[0][1]:
            continue
        sql(f"UPDATE badge SET {column} = {value} WHERE id = ?", plain[0])  # noqa: S608
        assert tampered(peopled.badge, plain[0])
        sql(f"UPDATE badge SET {column} = ? WHERE id = ?", before[0][0], plain[0])  # noqa: S608
    assert peopled.badge(plain[0]).id == plain[0]


def test_a_genuine_row_under_a_name_that_is_not_its_own_is_found(peopled, things, sql, tampered):
    """A collation that finds everything equal would hand out another badge's row."""
    badge = things.badge(10, number="abcdefgh")
    peopled.add_badge(badge)
    strip(sql, number="number COLLATE NOCASE")
    assert peopled.badge_by_number("abcdefgh") == badge
    assert tampered(peopled.badge_by_number, "ABCDEFGH")


def test_a_genuine_row_under_a_uid_that_is_not_its_own_is_never_given(peopled, things, sql):
    """A view may say one UID where the query looks, and another where it reads."""
    wanted, other = things.badge(1).uid, things.badge(2).uid
    names = [row[1] for row in sql("PRAGMA table_info(badge)")]
    lie = f"CASE WHEN random() % 2 THEN x'{wanted.hex()}' ELSE x'{other.hex()}' END AS uid"
    sql("ALTER TABLE badge RENAME TO hidden")
    chosen = ", ".join(lie if name == "uid" else name for name in names)
    sql(f"CREATE VIEW badge AS SELECT {chosen} FROM hidden WHERE id = '{things.badge(2).id}'")  # noqa: S608
    refused = 0
    for _ in range(200):
        try:
            assert peopled.badge_and_holder(wanted) is None
        except Refused as error:
            refused += error.code is Code.REGISTRY_INTEGRITY
    assert refused > 0


def strip(sql, **declared):
    """Make the table of badges anew without types and constraints."""
    sql("CREATE TABLE bare AS SELECT * FROM badge")
    sql("DROP TABLE badge")
    names = [row[1] for row in sql("PRAGMA table_info(bare)")]
    sql(f"CREATE TABLE badge ({', '.join(declared.get(name, name) for name in names)})")
    sql("INSERT INTO badge SELECT * FROM bare")
