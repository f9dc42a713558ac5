"""Rows: there and back, and the bytes that are sealed."""

import hmac
import string
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.assurance.levels import Acr
from cardd.assurance.presence import PresenceRecord
from cardd.badges.model import Badge, Holder, HolderStatus, Picc, Scheme
from cardd.badges.states import BadgeState
from cardd.errors import Code, Refused
from cardd.kms.ports import Journal, Purpose, RegistryIdentity, StoredKey
from cardd.store import rows, tables
from cardd.store.sealing import MastersSealer, TableSeal, canonical

pytestmark = pytest.mark.unit

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
json_safe = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
number = st.integers(-(1 << 63), (1 << 63) - 1)
maybe_text, maybe_number = st.none() | text, st.none() | number
texts = st.lists(json_safe, max_size=4).map(tuple)
version = st.integers(1, 1 << 40)

cards = st.tuples(text, st.none()) | st.tuples(st.none(), text)


def presence(
    card: tuple[str | None, str | None], sid: str, holder_id: str, *rest
) -> PresenceRecord:
    return PresenceRecord(sid, holder_id, *card, *rest)


ENTITIES = {
    "holder": st.builds(
        Holder,
        text,
        text,
        maybe_text,
        maybe_text,
        st.dictionaries(json_safe, json_safe, max_size=3),
        texts,
        texts,
        maybe_number,
        maybe_number,
        st.sampled_from(HolderStatus),
        version,
    ),
    "badge": st.builds(
        Badge,
        text,
        st.binary(max_size=10),
        number,
        text,
        st.sampled_from(Scheme),
        number,
        st.sampled_from(BadgeState),
        st.sampled_from(Picc),
        maybe_number,
        maybe_text,
        maybe_text,
        maybe_number,
        maybe_number,
        version,
    ),
    "presence": st.builds(
        presence,
        cards,
        *[text] * 4,
        number,
        st.sampled_from(Acr),
        texts,
        number,
        maybe_number,
        maybe_text,
        version,
    ),
    "journal": st.builds(
        Journal,
        st.binary(max_size=10),
        text,
        text,
        text,
        st.binary(),
        text,
        number,
        number,
        version,
    ),
    "stored_key": st.builds(
        StoredKey, text, st.sampled_from(Purpose), st.integers(1, 255), st.binary(), version
    ),
    "registry_identity": st.builds(
        RegistryIdentity, st.binary(max_size=16), number, number, number, version
    ),
}
STORED = (*(rows.HOLDER, rows.BADGE, rows.PRESENCE, rows.JOURNAL, rows.STORED_KEY, rows.IDENTITY),)
KINDS = {kind.table.name: kind for kind in STORED}
value = st.none() | text | number | st.binary(max_size=20)


@pytest.mark.parametrize("name", KINDS)
@given(st.data())
def test_an_entity_comes_back_from_its_row(name, data):
    kind, entity = KINDS[name], data.draw(ENTITIES[name])
    values = kind.values(entity)
    assert kind.entity(values) == entity
    assert len(values) == len(kind.table.columns) - 2
    assert {type(v) for v in values} <= {str, bytes, int, type(None)}


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_an_entity_is_a_column_in_its_place(name):
    columns = [c.name for c in KINDS[name].table.columns]
    entity = {
        "holder": Holder,
        "badge": Badge,
        "presence": PresenceRecord,
        "journal": Journal,
        "stored_key": StoredKey,
        "registry_identity": RegistryIdentity,
    }
    derived = {"search", "mac_generation", "mac"}
    assert [c for c in columns if c not in derived] == [f.name for f in fields(entity[name])]


# An index that the sealed rows confirm or contradict (test_store_tampering writes to it), and a
# note that the sealed one of schema_version confirms or contradicts (test_store_migrations).
CONFIRMED_ELSEWHERE = {tables.holder_national_id, tables.alembic_version}
SEALED = [table for table in tables.metadata.sorted_tables if table not in CONFIRMED_ELSEWHERE]


@pytest.mark.parametrize("table", SEALED, ids=lambda t: t.name)
def test_every_table_is_sealed(table):
    assert [c.name for c in table.columns][-2:] == ["mac_generation", "mac"]


@given(st.lists(value, max_size=6), st.lists(value, max_size=6))
def test_two_rows_have_the_same_bytes_only_where_they_are_the_same(one, other):
    same = [(type(v), v) for v in one] == [(type(v), v) for v in other]
    assert (canonical(b"", one) == canonical(b"", other)) == same


@given(st.lists(text, min_size=2, max_size=2), st.integers(0, 20))
def test_text_does_not_move_from_one_column_to_the_next_unseen(pair, at):
    joined = "".join(pair)
    moved = [joined[:at], joined[at:]]
    assert (canonical(b"", pair) == canonical(b"", moved)) == (pair == moved)


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_value_swapped_between_two_rows_is_found(name, data, make_seal):
    kind, seal = KINDS[name], make_seal(KINDS[name].table)
    one, other = (list(kind.values(data.draw(ENTITIES[name]))) for _ in range(2))
    one += seal.seal(one)
    other += seal.seal(other)
    at = data.draw(st.integers(0, len(one) - 1))
    seal.check(one)
    swapped = [*one[:at], other[at], *one[at + 1 :]]
    if swapped == one:
        return
    with pytest.raises(Refused) as caught:
        seal.check(swapped)
    assert caught.value.code is Code.REGISTRY_INTEGRITY


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_any_single_change_is_found(name, data, make_seal):
    kind, seal = KINDS[name], make_seal(KINDS[name].table)
    row = list(kind.values(data.draw(ENTITIES[name])))
    row += seal.seal(row)
    at = data.draw(st.integers(0, len(row) - 1))
    changed = data.draw(value | st.floats() | st.just("\udcff") | st.just("1") | st.just(b"1"))
    if type(changed) is type(row[at]) and changed == row[at]:
        return
    row[at] = changed
    with pytest.raises(Refused) as caught:
        seal.check(row)
    assert caught.value.code is Code.REGISTRY_INTEGRITY


def test_a_row_does_not_verify_in_another_table(make_seal):
    values = ["k", 1]
    seal = make_seal(tables.schema_version)
    row = [*values, *seal.seal(values)]
    seal.check(row)
    with pytest.raises(Refused):
        make_seal(tables.journal).check(row)


def test_the_canonical_bytes_are_what_they_were():
    """Whoever changes these bytes makes every registry in service unreadable."""
    assert canonical(b"head", ["né", None, -5, b"\0:", ""]) == b"headT3:n\xc3\xa9NI-5;B2:\0:T0:"


def test_json_has_one_text_per_value():
    assert rows.json_text({"b": "é", "a": '"'}) == '{"a":"\\"","b":"é"}'
    assert rows.json_text(("1", "2")) == '["1","2"]'
    assert not set(string.whitespace) & set(rows.json_text({"a": "1", "b": "2"}))


def test_the_masters_seal_under_their_purpose_registry():
    class Masters:
        def current(self, purpose):
            return 7 if purpose is Purpose.REGISTRY else 1

        def mac(self, purpose, generation, message):
            return b"%b %d %b" % (purpose.encode(), generation, message)

    sealer = MastersSealer(Masters())
    assert sealer.current() == 7
    assert sealer.mac(6, b"row") == b"registry 6 row"


@pytest.fixture(scope="module")
def make_seal():
    class Sealer:
        def current(self):
            return 1

        def mac(self, generation, message):
            return hmac.digest(b"key%d" % generation, message, "sha256")

    return lambda table: TableSeal(table, Sealer())
