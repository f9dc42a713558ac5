"""The file system of a virtual card against a model: plain data, and a log that a commit replays.

The rights are free and nothing is protected: what the model holds is what the files do.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.desfire import VirtualDesfire
from tests.examples import examples
from tests.simulators.file_side import (
    ABORT,
    COMMIT,
    CREDIT,
    DEBIT,
    LIMITED_CREDIT,
    PRODUCTS,
    card_with,
    change,
    data_file,
    read_records,
    record_file,
    span,
    update_record,
    value_file,
    write,
    write_record,
)
from tests.simulators.reader_side import APP, exchange, native

pytestmark = pytest.mark.unit

OK, NO_CHANGES, PERMISSION, PARAMETER, BOUNDARY, DUPLICATE, NO_FILE = (
    0x00,
    0x0C,
    0x9D,
    0x9E,
    0xBE,
    0xDE,
    0xF0,
)

# Mostly commands that fit their file: every refusal drops the open transaction.
FRESH = st.sampled_from([5, 6, 7, 5, 6, 7, 0])
OFFSETS = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3])
BYTES = st.sampled_from([b"a", b"b", b"c", b"de", b"f", b"g", b"hi", b"jkl", b"m", b""])
AMOUNTS = st.sampled_from([1, 2, 3, 0, 1, 2, 4, 5, 8, 30, 99, -1])
CHANGES = st.sampled_from([DEBIT, CREDIT, LIMITED_CREDIT, DEBIT])
DATA = st.sampled_from([0, *[1] * 8, 5, 6])
VALUES = st.sampled_from([*[2] * 9, *[8] * 3, 5, 6])
RECORDS = st.sampled_from([*[3] * 6, *[4] * 9, 5])
PLACES = st.sampled_from([0, 0, 0, 1, 1, 2])


# How often each command comes, and what it is called with.
CALLS = {
    "write_data": (8, (DATA, OFFSETS, BYTES)),
    "change_value": (16, (VALUES, CHANGES, AMOUNTS)),
    "write_a_record": (16, (RECORDS, OFFSETS, BYTES)),
    "update_a_record": (4, (RECORDS, PLACES, OFFSETS, BYTES)),
    "clear_records": (1, (RECORDS,)),
    "read_some_records": (2, (RECORDS, st.integers(0, 2), st.integers(0, 2))),
    "commit": (24, ()),
    "abort": (1, ()),
    "leave_the_field": (1, ()),
    "create_data": (1, (FRESH, st.integers(1, 40), st.booleans())),
    "create_value": (1, (FRESH, st.integers(0, 100), st.integers(0, 1))),
    "create_records": (1, (FRESH, st.integers(1, 8), st.integers(2, 4), st.booleans())),
    "delete": (1, (FRESH,)),
}
NAMES = [name for name, (times, _) in CALLS.items() for _ in range(times)]
COMMANDS = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), *CALLS[name][1]))


class Refused(Exception):
    """The model says that the card refuses."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:02X}")
        self.status = status


@dataclass
class Data:
    """A standard or backup data file."""

    content: bytes
    backup: bool

    def write(self, offset: int, data: bytes) -> None:
        if not data:
            raise Refused(PARAMETER)
        if offset + len(data) > len(self.content):
            raise Refused(BOUNDARY)
        self.content = self.content[:offset] + data + self.content[offset + len(data) :]

    def settle(self) -> None:
        """Nothing more happens at a commit."""


@dataclass
class Value:
    """A value file; the lists are the transaction's."""

    value: int
    lower: int
    upper: int
    refundable_at_all: bool
    counted_anyway: bool
    refundable: int = 0
    debits: list[int] = field(default_factory=list)
    refunds: list[int] = field(default_factory=list)

    def move(self, by: int) -> None:
        if not self.lower <= self.value + by <= self.upper:
            raise Refused(BOUNDARY)
        self.value += by

    def change(self, ins: int, amount: int) -> None:
        if ins == LIMITED_CREDIT and not self.refundable_at_all:
            raise Refused(PERMISSION)
        if amount < 0:
            raise Refused(PARAMETER)
        if ins == LIMITED_CREDIT:
            if self.refunds or amount > self.refundable:
                raise Refused(BOUNDARY)
            self.refunds.append(amount)
        if ins == DEBIT:
            self.debits.append(amount)
        self.move(-amount if ins == DEBIT else amount)

    def settle(self) -> None:
        if self.refunds:
            self.refundable = 0
        if self.debits and (self.refundable_at_all or self.counted_anyway):
            self.refundable = sum(self.debits)
        self.debits, self.refunds = [], []


@dataclass
class Records:
    """A record file; `fresh`, `edited` and `cleared` are the transaction's."""

    size: int
    most: int
    cyclic: bool
    records: list[bytes] = field(default_factory=list)
    fresh: bytes | None = None
    edited: dict[int, bytes] = field(default_factory=dict)
    cleared: bool = False

    def _within(self, offset: int, data: bytes) -> None:
        if not data:
            raise Refused(PARAMETER)
        if offset + len(data) > self.size:
            raise Refused(BOUNDARY)

    def write(self, offset: int, data: bytes) -> None:
        self._within(offset, data)
        if self.cleared or self.edited:
            raise Refused(PERMISSION)
        if self.fresh is None:
            if not self.cyclic and len(self.records) == self.most:
                raise Refused(BOUNDARY)
            self.fresh = bytes(self.size)
        self.fresh = self.fresh[:offset] + data + self.fresh[offset + len(data) :]

    def update(self, place: int, offset: int, data: bytes) -> None:
        self._within(offset, data)
        if self.cleared or self.fresh is not None or (self.edited and place not in self.edited):
            raise Refused(PERMISSION)
        if place >= len(self.records):
            raise Refused(BOUNDARY)
        old = self.edited.get(place, self.records[::-1][place])
        self.edited = {place: old[:offset] + data + old[offset + len(data) :]}

    def clear(self) -> None:
        self.cleared, self.fresh, self.edited = True, None, {}

    def settle(self) -> None:
        for place, record in self.edited.items():
            self.records[len(self.records) - 1 - place] = record
        if self.fresh is not None:
            self.records.append(self.fresh)
            if self.cyclic and len(self.records) == self.most:
                del self.records[0]
        if self.cleared:
            self.records.clear()
        self.cleared, self.fresh, self.edited = False, None, {}


Act = Callable[[Any], None]


def attempt(file: object, kind: type, act: Act) -> int:
    """Return the status of a command on a file that may be missing or of another kind."""
    if file is None:
        return NO_FILE
    if not isinstance(file, kind):
        return PARAMETER
    try:
        act(file)
    except Refused as refused:
        return refused.status
    return OK


class World:
    """A card and the model of it; each method runs a command on both."""

    def __init__(self, product: str) -> None:
        self.ev1 = product == "ev1"
        self.card = card_with(product)
        self.files: dict[int, Any] = {}
        self.log: list[tuple[int, Act]] = []
        self.used = self.card.chip.used_bytes
        self.create_data(0, 8, backup=False)
        self.create_data(1, 8, backup=True)
        self.create_value(2, 50, 1)
        self.create_value(8, 50, 0)
        self.create_records(3, 4, 4, cyclic=False)
        self.create_records(4, 4, 3, cyclic=True)

    def expected(self, number: int, kind: type, act: Act) -> int:
        """Return the status of a command on a file, and note it down if it is OK."""
        replayed = deepcopy(self.files)
        for other, earlier in self.log:
            earlier(replayed[other])
        status = attempt(replayed.get(number), kind, act)
        if status:
            self.log.clear()
            return status
        if isinstance(replayed[number], Data) and not replayed[number].backup:
            act(self.files[number])
        else:
            self.log.append((number, act))
        return OK

    def create(self, number: int, frame: bytes, file: object, cost: int) -> None:
        status = DUPLICATE if number in self.files else OK
        assert native(self.card, frame)[0] == status
        if status:
            self.log.clear()
        else:
            self.files[number] = file
            self.used += cost

    def create_data(self, number: int, size: int, backup: bool) -> None:
        cost = (32 if size <= 32 else 64) * (2 if backup else 1)
        self.create(number, data_file(number, size, backup=backup), Data(bytes(size), backup), cost)

    def create_value(self, number: int, value: int, option: int) -> None:
        file = Value(value, 0, 100, bool(option), self.ev1)
        self.create(number, value_file(number, 0, 100, value, option), file, 32)

    def create_records(self, number: int, size: int, most: int, cyclic: bool) -> None:
        frame = record_file(number, size, most, cyclic=cyclic)
        self.create(number, frame, Records(size, most, cyclic), 32)

    def delete(self, number: int) -> None:
        there = number in self.files
        assert native(self.card, bytes((0xDF, number)))[0] == (OK if there else NO_FILE)
        self.files.pop(number, None)
        self.log = [entry for entry in self.log if there and entry[0] != number]

    def write_data(self, number: int, offset: int, data: bytes) -> None:
        status = self.expected(number, Data, lambda file: file.write(offset, data))
        assert native(self.card, write(number, offset, data))[0] == status

    def change_value(self, number: int, ins: int, amount: int) -> None:
        status = self.expected(number, Value, lambda file: file.change(ins, amount))
        assert native(self.card, change(ins, number, amount))[0] == status

    def write_a_record(self, number: int, offset: int, data: bytes) -> None:
        status = self.expected(number, Records, lambda file: file.write(offset, data))
        assert native(self.card, write_record(number, data, offset))[0] == status

    def update_a_record(self, number: int, place: int, offset: int, data: bytes) -> None:
        if self.ev1:
            return
        status = self.expected(number, Records, lambda file: file.update(place, offset, data))
        assert native(self.card, update_record(number, place, data, offset))[0] == status

    def clear_records(self, number: int) -> None:
        status = self.expected(number, Records, lambda file: file.clear())
        assert native(self.card, bytes((0xEB, number)))[0] == status

    def commit(self) -> None:
        assert native(self.card, COMMIT)[0] == (OK if self.log else NO_CHANGES)
        touched = {number for number, _ in self.log}
        for number, act in self.log:
            act(self.files[number])
        for number in touched:
            self.files[number].settle()
        self.log.clear()

    def abort(self) -> None:
        assert native(self.card, ABORT)[0] == (OK if self.log else NO_CHANGES)
        self.log.clear()

    def leave_the_field(self) -> None:
        """Tear the card away, and take it up again from what it keeps."""
        self.card = VirtualDesfire.from_json(self.card.to_json())
        exchange(self.card, b"\x5a" + APP)
        self.log.clear()

    def read_some_records(self, number: int, first: int, count: int) -> None:
        file = self.files.get(number)
        if not isinstance(file, Records):
            return
        newest_first = file.records[::-1][first:]
        if len(newest_first) < max(count, 1):
            assert native(self.card, read_records(number, first, count)) == bytes((BOUNDARY,))
            self.log.clear()
            return
        wanted = newest_first[: count or None][::-1]
        assert exchange(self.card, read_records(number, first, count)) == b"".join(wanted)

    def compare(self) -> None:
        """Read everything: the card shows what was committed."""
        assert exchange(self.card, b"\x6f") == bytes(sorted(self.files))
        assert self.card.chip.used_bytes == self.used
        for number, file in self.files.items():
            details = exchange(self.card, bytes((0xF5, number)))[4:]
            if isinstance(file, Data):
                assert exchange(self.card, b"\xbd" + span(number, 0, 0)) == file.content
            elif isinstance(file, Value):
                answer = exchange(self.card, bytes((0x6C, number)))
                assert int.from_bytes(answer, "little", signed=True) == file.value
                assert int.from_bytes(details[8:12], "little") == file.refundable
            else:
                assert int.from_bytes(details[6:], "little") == len(file.records)
                if file.records:
                    records = exchange(self.card, read_records(number))
                    assert records == b"".join(file.records)


@pytest.mark.fuzz
@examples(60)
@given(product=st.sampled_from(PRODUCTS), commands=st.lists(COMMANDS, min_size=60, max_size=80))
def test_a_card_does_with_its_files_what_the_model_does(
    product: str, commands: list[tuple[Any, ...]]
) -> None:
    world = World(product)
    for name, *arguments in commands:
        getattr(world, name)(*arguments)
        world.compare()
