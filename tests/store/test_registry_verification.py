"""What a verification of the registry finds, each by its own name; and what it leaves alone."""

import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cardd.badges.states import BadgeState
from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.audit.lines import GENESIS, parse, write
from cardd.kms.ports import Purpose, StoredKey
from cardd.store import tables
from cardd.store.opening import open_registry, place
from cardd.store.verification.audited import open_audited
from cardd.store.verification.findings import Fault
from cardd.store.verification.walking import Verification
from tests.limits import SOON_S


class Audit:
    """The lines that a key service would have written."""

    def __init__(self):
        self.entries, self._head = [], GENESIS

    def record(self, event, **facts):
        line, self._head = write(self._head, 1_795_000_000.0, event, facts)
        self.entries.append(parse(line[:-1]))

    def badge(self, badge, event="encode.done", **facts):
        self.record(
            event,
            badge=badge.id,
            badge_version=badge.version,
            state=badge.state.value,
            holder=badge.holder_id,
            **facts,
        )

    def holder(self, holder):
        self.record("holder.added", holder=holder.id, holder_version=holder.version)


@pytest.fixture
def audit(peopled, things):
    """The audit of the registry of `peopled`."""
    audit = Audit()
    for n in (1, 2):
        audit.holder(things.holder(n))
        audit.badge(things.badge(n, holder_id=things.holder(n).id))
    return audit


@pytest.fixture
def found(url, sealer, audit):
    """Verify against audits; return the findings as (fault, table, key), and their texts."""

    def verify(*audits):
        with open_audited() as audited:
            for at, each in enumerate(audits or (audit,)):
                audited.take(f"audit-{at}", each.entries)
            run = Verification(place(url), sealer, audited)
            findings = list(run.findings())
        verify.counts = run.counts
        verify.texts = [finding.text for finding in findings]
        assert not any("Martin" in str(finding) for finding in findings)
        return [(finding.fault, finding.table, finding.key) for finding in findings]

    return verify


def revoked(peopled, badge_id, audit=None):
    badge = peopled.badge(badge_id)
    after = peopled.put_badge(replace(badge, state=BadgeState.REVOKED, reason="stolen"))
    if audit is not None:
        audit.badge(after, "badge.revoked", reason="stolen")
    return after


def test_a_registry_that_nobody_touched_has_no_fault(peopled, things, found):
    peopled.put_journal(things.journal(5))
    peopled.add_stored_key(StoredKey(things.badge(1).id, Purpose.PICC, 1, b"sealed"))
    peopled.add_holder(things.holder(3, national_ids=("10001234567",)))
    assert found() == []
    assert (found.counts.rows, found.counts.audited, found.counts.unknown) == (9, 4, 1)


def test_a_swapped_holder_is_named(peopled, things, found, sql):
    one, two = things.badge(1).id, things.badge(2).id
    sql("UPDATE badge SET holder_id = ? WHERE id = ?", things.holder(2).id, one)
    sql("UPDATE badge SET holder_id = NULL WHERE id = ?", two)
    assert sorted(found()) == [
        (Fault.HOLDER_SWAPPED, "badge", one),
        (Fault.HOLDER_SWAPPED, "badge", two),
    ]
    assert any(f"it was holder {things.holder(1).id}'s" in text for text in found.texts)


def test_a_revocation_written_over_is_named_also_without_an_audit(peopled, things, found, sql):
    badge = revoked(peopled, things.badge(1).id)
    sql("UPDATE badge SET state = 'active', reason = NULL WHERE id = ?", badge.id)
    assert found(Audit()) == [(Fault.REVOCATION_UNDONE, "badge", badge.id)]
    assert "revocation (stolen) was undone" in found.texts[0]


def test_another_change_of_the_state_is_named(peopled, things, found, sql):
    sql("UPDATE badge SET state = 'suspended', reason = 'lost' WHERE id = ?", things.badge(1).id)
    assert found() == [(Fault.STATE_CHANGED, "badge", things.badge(1).id)]
    assert "from active to 'suspended'" in found.texts[0]


def row_of(sql, table, column, key):
    return sql(f"SELECT * FROM {table} WHERE {column} = ?", key)[0]  # noqa: S608


def put_back(sql, table, column, row):
    names = [c.name for c in tables.metadata.tables[table].columns]
    if len(sql(f"SELECT {', '.join(names)} FROM {table} WHERE {column} = ?", row[0])) == 1:  # noqa: S608
        sql(f"DELETE FROM {table} WHERE {column} = ?", row[0])  # noqa: S608
    marks = ", ".join("?" for _ in row)
    sql(f"INSERT INTO {table} VALUES ({marks})", *row)  # noqa: S608


def test_a_revocation_undone_by_an_old_row_is_found_by_the_audit(
    peopled, things, found, sql, audit
):
    old = row_of(sql, "badge", "id", things.badge(1).id)
    badge = revoked(peopled, things.badge(1).id, audit)
    put_back(sql, "badge", "id", old)
    assert peopled.badge(badge.id).state is BadgeState.ACTIVE, "its MAC is good"
    assert found() == [(Fault.OLD_ROW, "badge", badge.id)]
    assert "version 1 of it" in found.texts[0]
    assert "version 2 as revoked: badge.revoked at" in found.texts[0]
    assert "(line 5 of audit-0)" in found.texts[0]
    assert found(Audit()) == [], "which nothing else knows"


def test_a_presence_reopened_by_an_old_row_is_found_by_the_audit(peopled, found, sql, audit):
    old = row_of(sql, "presence", "sid", "sid-1")
    ended = peopled.put_presence(replace(peopled.presence("sid-1"), ended_at=9))
    audit.record("presence.ended", sid=ended.sid, presence_version=ended.version)
    put_back(sql, "presence", "sid", old)
    assert found() == [(Fault.OLD_ROW, "presence", "sid-1")]


def test_rows_that_were_deleted_are_named(peopled, things, found, sql):
    one, two = things.badge(1).id, things.holder(2).id
    sql("DELETE FROM badge WHERE id = ?", one)
    sql("DELETE FROM holder WHERE id = ?", two)
    faults = found()
    assert (Fault.MISSING, "badge", one) in faults
    assert (Fault.MISSING, "holder", two) in faults
    assert (Fault.REFERENCE, "badge", things.badge(2).id) in faults
    assert (Fault.REFERENCE, "presence", "sid-1") in faults
    assert len(faults) == 4


def test_a_row_copied_to_another_id_is_named(peopled, things, found, sql):
    row = list(row_of(sql, "badge", "id", things.badge(1).id))
    names = [c.name for c in tables.badge.columns]
    for name, value in (("id", "f" * 32), ("uid", b"\x04copy12"), ("number", "COPY")):
        row[names.index(name)] = value
    put_back(sql, "badge", "id", row)
    assert found() == [(Fault.COPIED, "badge", "f" * 32)]
    assert f"a copy of row {things.badge(1).id}" in found.texts[0]


def test_a_stored_key_moved_to_another_badge_is_named(peopled, things, found, sql):
    one, two = (StoredKey(things.badge(n).id, Purpose.PICC, 1, bytes((n,)) * 32) for n in (1, 2))
    for key in (one, two):
        peopled.add_stored_key(key)
    sql("DELETE FROM stored_key WHERE badge_id = ?", two.badge_id)
    sql(
        "INSERT INTO stored_key SELECT ?, purpose, generation, sealed, version, mac_generation, "
        "mac FROM stored_key",
        two.badge_id,
    )
    assert found() == [(Fault.COPIED, "stored_key", f"{two.badge_id}/picc/1")]
    sql("DELETE FROM stored_key WHERE badge_id = ?", one.badge_id)
    assert found() == [(Fault.ALTERED, "stored_key", f"{two.badge_id}/picc/1")]


def test_a_version_written_over_is_named(peopled, things, found, sql, audit):
    badge = revoked(peopled, things.badge(1).id, audit)
    sql("UPDATE badge SET version = 7 WHERE id = ?", badge.id)
    assert found() == [(Fault.VERSION_CHANGED, "badge", badge.id)]
    assert "from 2 to 7" in found.texts[0]


@pytest.mark.parametrize(
    ("table", "change", "key"),
    [
        ("holder", "staff_number = 'S777' WHERE staff_number = 'S00001'", f"{1:032x}"),
        ("presence", "expires_at = expires_at + 3600", "sid-1"),
        ("journal", "step = 'done'", "04000000000005"),
        ("registry_identity", "opened = 0, restored = 9", None),
        ("badge", "mac_generation = 200 WHERE number = '00000001'", f"{1:032x}"),
    ],
)
def test_any_other_change_is_found_in_every_table(peopled, things, found, sql, table, change, key):
    peopled.put_journal(things.journal(5))
    key = key or peopled.identity().id.hex()
    sql(f"UPDATE {table} SET {change}")  # noqa: S608
    assert found() == [(Fault.ALTERED, table, key)]


def test_rows_put_into_what_has_one_row_are_named(peopled, found, sql):
    sql("INSERT INTO registry_identity SELECT ?, opened, keystore_counter, restored, version, "
        "mac_generation, mac FROM registry_identity", b"another")  # fmt: skip
    assert {(fault, table) for fault, table, _ in found()} == {
        (Fault.IDENTITY, "registry_identity"),
        (Fault.COPIED, "registry_identity"),
    }


def test_a_value_that_two_rows_have_is_named(peopled, things, found, sql):
    """Somebody takes the constraint away, and gives a badge the number of another."""
    sql("CREATE TABLE bare AS SELECT * FROM presence")
    sql("INSERT INTO bare SELECT * FROM presence")
    sql("ALTER TABLE presence RENAME TO hidden")
    sql("ALTER TABLE bare RENAME TO presence")
    assert found() == [(Fault.DUPLICATE, "presence", "sid-1")]


def test_the_index_of_national_identifiers_is_held_against_the_people(peopled, things, found, sql):
    peopled.add_holder(things.holder(3, national_ids=("10001234567",)))
    sql("INSERT INTO holder_national_id VALUES ('810009999999', ?)", things.holder(1).id)
    assert found() == [(Fault.INDEX, "holder_national_id", things.holder(1).id)]
    sql("DELETE FROM holder_national_id")
    assert found() == [(Fault.INDEX, "holder_national_id", things.holder(3).id)]


def test_what_two_replicas_recorded_counts_together(peopled, things, found, sql, audit):
    old = row_of(sql, "badge", "id", things.badge(1).id)
    other = Audit()
    revoked(peopled, things.badge(1).id, other)
    assert found(audit) == []
    assert found.counts.unknown == 1, "it is newer than that audit says"
    assert found(other, audit) == []
    assert found.counts.unknown == 0
    put_back(sql, "badge", "id", old)
    assert found(audit, other) == [(Fault.OLD_ROW, "badge", things.badge(1).id)]


def test_a_change_under_way_is_waited_for_and_is_no_fault(peopled, things, found, audit):
    """The audit has its line already, and the registry not yet its row."""
    badge = peopled.badge(things.badge(1).id)
    audit.badge(replace(badge, version=2, state=BadgeState.REVOKED), "badge.revoked")
    faults, begun = [], threading.Event()

    def look():
        begun.set()
        faults.extend(found())

    verifier = threading.Thread(target=look)
    with peopled.atomically():
        peopled.put_badge(replace(badge, state=BadgeState.REVOKED))
        verifier.start()
        assert begun.wait(SOON_S)
    verifier.join(SOON_S)
    assert faults == []


def test_a_registry_in_use_is_verified_as_it_was_at_one_moment(peopled, url, sealer, things, found):
    """Readers and writers go on; what is added meanwhile is not half seen."""
    stop, wrote = threading.Event(), []

    def write_on():
        n = 100
        while not stop.is_set():
            with peopled.atomically():
                peopled.add_holder(things.holder(n))
                peopled.add_badge(things.badge(n, holder_id=things.holder(n).id))
            wrote.append(n)
            n += 1

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        while len(wrote) < 3:
            assert found() == []
        assert found() == []
    finally:
        stop.set()
        writer.join(SOON_S)
    assert wrote


def test_more_rows_than_a_page_are_read_as_a_stream(peopled, things, found, sql):
    with peopled.atomically():
        for n in range(100, 2600):
            peopled.add_holder(things.holder(n))
    sql("UPDATE holder SET status = 'ended' WHERE staff_number = 'S02599'")
    assert found() == [(Fault.ALTERED, "holder", f"{2599:032x}")]
    assert found.counts.rows > 2500


def test_a_registry_of_another_version_is_not_verified(peopled, found, sql):
    sql("UPDATE schema_version SET version = 2")
    with pytest.raises(StartError) as caught:
        found()
    assert caught.value.code is StartCode.REGISTRY_UNAVAILABLE, "its seal is not that of version 2"


def test_masters_that_do_not_answer_verify_nothing(peopled, found, sealer):
    sealer.answers = False
    with pytest.raises(KmsUnavailable):
        found()


def test_a_table_that_is_gone_is_said(peopled, found, sql):
    sql("DROP TABLE stored_key")
    with pytest.raises(StartError) as caught:
        found()
    assert caught.value.code is StartCode.REGISTRY_UNAVAILABLE


def test_it_changes_nothing(peopled, url, sealer, found, sql, things):
    before = [sql(f"SELECT * FROM {name} ORDER BY 1") for name in ("badge", "holder")]  # noqa: S608
    sql("UPDATE badge SET state = 'revoked'")
    tampered = sql("SELECT * FROM badge ORDER BY 1")
    assert len(found()) == 2
    assert sql("SELECT * FROM badge ORDER BY 1") == tampered
    assert sql("SELECT * FROM holder ORDER BY 1") == before[1]
    open_registry(place(url), sealer).close()


@pytest.mark.unit
def test_the_document_names_every_fault():
    text = (Path(__file__).parents[2] / "docs" / "registry.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == sorted_as_there(text)


def sorted_as_there(text):
    return sorted(Fault, key=lambda fault: text.index(f"| `{fault}` |"))
