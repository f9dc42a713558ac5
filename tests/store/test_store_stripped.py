"""Somebody makes the tables of an SQLite file anew, without types, constraints or honesty."""

import pytest

from cardd.errors import Code, Refused

pytestmark = pytest.mark.unit


@pytest.fixture
def url(sqlite_url):
    return sqlite_url


def test_a_holder_listed_twice_in_the_index_is_one_person(registry, things, sql):
    registry.add_holder(things.holder(1, national_ids=("10001234567",)))
    sql("CREATE TABLE bare AS SELECT * FROM holder_national_id")
    sql("INSERT INTO bare SELECT * FROM bare")
    sql("DROP TABLE holder_national_id")
    sql("ALTER TABLE bare RENAME TO holder_national_id")
    assert len(registry.holders_by_national_id("810001234567")) == 1


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
