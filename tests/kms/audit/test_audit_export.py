import csv
import io
import json

import pytest

from cardd.kms.audit.export import COLUMNS, Selection, parse_time, write_csv, write_json
from cardd.kms.audit.lines import GENESIS, Entry, parse, write

pytestmark = pytest.mark.unit

DAY_S = 86_400
NOON = 1_800_014_400.0 + 4 * 3600  # 2027-01-15T16:00:00Z


def made(*events: str) -> list[Entry]:
    """Return a line a day."""
    head, found = GENESIS, []
    for number, event in enumerate(events):
        line, head = write(head, NOON + number * DAY_S, event, {"holder": "=1+1", "é": 'a"b,c'})
        found.append(parse(line[:-1]))
    return found


@pytest.mark.parametrize(
    ("text", "end", "time"),
    [
        ("2027-01-15", False, "2027-01-15T00:00:00.000Z"),
        ("2027-01-15", True, "2027-01-16T00:00:00.000Z"),
        ("2027-01-15T08:00", True, "2027-01-15T08:00:00.000Z"),
        ("2027-01-15T08:00:30.5+01:00", False, "2027-01-15T07:00:30.500Z"),
        ("2027-01-15 08:00Z", True, "2027-01-15T08:00:00.000Z"),
    ],
)
def test_a_time_is_understood(text: str, end: bool, time: str) -> None:
    assert parse_time(text, end=end) == time


@pytest.mark.parametrize("text", ["", "yesterday", "2027-13-01", "15/01/2027"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|month"):
        parse_time(text)


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (Selection(), [1, 2, 3, 4]),
        (Selection(since=parse_time("2027-01-16")), [2, 3, 4]),
        (Selection(before=parse_time("2027-01-16", end=True)), [1, 2]),
        (Selection(events=("badge.*",)), [2, 3]),
        (Selection(events=("tap", "badge.revoked")), [1, 3, 4]),
        (Selection(parse_time("2027-01-16"), parse_time("2027-01-17"), ("badge.*",)), [2]),
    ],
)
def test_the_lines_that_are_meant_come_out(selection: Selection, numbers: list[int]) -> None:
    entries = made("tap", "badge.encoded", "badge.revoked", "tap")
    assert [entry.seq for entry in selection.of(entries)] == numbers


def test_json_lines_are_those_of_the_file() -> None:
    out = io.StringIO()
    entries = made("tap", "tap")
    write_json(entries, out)
    assert [parse(line.encode()) for line in out.getvalue().splitlines()] == entries


def test_csv_keeps_every_fact_and_gives_a_spreadsheet_nothing_to_compute() -> None:
    out = io.StringIO()
    write_csv(made("tap"), out)
    header, row = csv.reader(io.StringIO(out.getvalue()))
    assert tuple(header) == COLUMNS
    assert json.loads(row[3]) == {"holder": "=1+1", "é": 'a"b,c'}
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
