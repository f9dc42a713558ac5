import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardd.clock import SystemClock
from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.kms.audit.lines import GENESIS, Head, write
from cardd.kms.audit.recording import AuditFile, open_audit
from cardd.kms.audit.verification import verify
from cardd.secret import Secret

pytestmark = pytest.mark.unit


class FixedClock:
    def now(self) -> float:
        return 1_800_000_000.25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def opened(path: Path) -> AuditFile:
    return open_audit(path, FixedClock(), "kms-1")


def filled(path: Path, count: int) -> list[bytes]:
    with opened(path) as audit:
        for number in range(count):
            audit.record("tap", badge=f"badge {number}", accepted=True)
    return path.read_bytes().splitlines(keepends=True)


def refusal(action: Callable[[], object]) -> StartError:
    with pytest.raises(StartError) as error:
        action()
    return error.value


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the lines after the first, which says whose record it is."""
    return [json.loads(line) for line in path.read_bytes().splitlines()[1:]]


def count(path: Path) -> int:
    """Return how many lines verify after the first."""
    return verify(path).lines - 1


def test_a_line_says_when_what_and_which_line_came_before(path: Path) -> None:
    with opened(path) as audit:
        audit.record("badge.encoded", durable=True, uid=b"\x04\xff", number="é", count=2, sid=None)
        audit.record("tap", accepted=False)
    begun, *_ = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert (begun["seq"], begun["event"], begun["prev"]) == (1, "audit.begun", "0" * 64)
    assert begun["facts"]["replica"] == "kms-1"
    first, second = documents(path)
    assert list(first) == ["seq", "time", "event", "facts", "prev", "hash"]
    assert (first["seq"], first["event"], first["prev"]) == (2, "badge.encoded", begun["hash"])
    assert first["time"] == "2027-01-15T08:00:00.250Z"
    assert first["facts"] == {"uid": "04ff", "number": "é", "count": 2, "sid": None}
    assert (second["seq"], second["prev"]) == (3, first["hash"])
    assert second["facts"] == {"accepted": False}
    assert count(path) == 2


def test_anybody_can_recompute_a_hash_from_the_line_as_written(path: Path) -> None:
    line = filled(path, 1)[1]
    unhashed = line[: line.rindex(b',"hash":')] + b"}"
    digest = subprocess.run(["sha256sum"], input=unhashed, capture_output=True, check=True).stdout
    assert digest.split()[0].decode() == json.loads(line)["hash"]


def test_the_file_is_its_owners_alone(path: Path) -> None:
    filled(path, 1)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_chain_goes_on_when_the_file_is_opened_again(path: Path) -> None:
    for turn in range(1, 4):
        filled(path, 2)
        assert count(path) == 2 * turn


def test_a_chain_longer_than_what_is_read_at_opening_goes_on(path: Path) -> None:
    filled(path, 1500)
    assert path.stat().st_size > 262_144
    filled(path, 1)
    assert count(path) == 1501


class Colour(StrEnum):
    RED = "red"


@given(
    facts=st.dictionaries(
        st.text(max_size=10).filter(lambda name: name not in {"event", "durable", "self"}),
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text(max_size=50)
        | st.text(alphabet=st.characters(categories=["Cs"]), max_size=3)
        | st.binary(max_size=50)
        | st.just(Colour.RED),
        max_size=6,
    ),
    event=st.text(max_size=20),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_recorded_verifies(path: Path, facts: dict[str, Any], event: str) -> None:
    path.unlink(missing_ok=True)
    with opened(path) as audit:
        audit.record(event, **facts)
    assert count(path) == 1
    assert len(documents(path)[0]["facts"]) == len(facts)


@pytest.mark.parametrize("value", [Secret(b"key"), [Secret(b"key")], 1.5, ("hwk",), {}, object()])
def test_a_secret_or_any_other_type_is_never_recorded(path: Path, value: object) -> None:
    with opened(path) as audit:
        with pytest.raises(TypeError, match="'key'"):
            audit.record("tap", key=value)
        audit.record("tap")
    assert count(path) == 1


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "x" * 20_000])
def test_a_value_too_large_for_a_line_is_refused(path: Path, value: object) -> None:
    with opened(path) as audit:
        with pytest.raises(ValueError, match=r"fit 64 bits|is over"):
            audit.record("tap", value=value)
        audit.record("tap")
    assert count(path) == 1


def edited(lines: list[bytes]) -> list[bytes]:
    lines[4] = lines[4].replace(b"badge 3", b"badge 5")
    return lines


TAMPERING = {
    "edited": (edited, 5),
    "deleted": (lambda lines: lines[:4] + lines[5:], 5),
    "first deleted": (lambda lines: lines[1:], 1),
    "swapped": (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], 5),
    "doubled": (lambda lines: lines[:5] + lines[4:], 6),
    "empty line": (lambda lines: [*lines[:4], b"\n", *lines[4:]], 5),
    "spaced": (lambda lines: [*lines[:4], lines[4].replace(b":", b": ", 1), *lines[5:]], 5),
    "carriage return": (lambda lines: [*lines[:4], lines[4][:-1] + b"\r\n", *lines[5:]], 5),
    "huge number": (lambda lines: [*lines[:4], b'{"seq":' + b"9" * 900 + b"}\n", *lines[5:]], 5),
    "nested": (lambda lines: [*lines[:4], b'{"facts":' * 1500 + b"\n", *lines[5:]], 5),
    "endless line": (lambda lines: [*lines[:4], b"x" * 100_000 + b"\n", *lines[5:]], 5),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_found_and_the_line_named(path: Path, kind: str) -> None:
    change, line = TAMPERING[kind]
    path.write_bytes(b"".join(change(filled(path, 10))))
    for action in (lambda: verify(path), lambda: opened(path)):
        error = refusal(action)
        assert error.code is StartCode.AUDIT_DAMAGED
        assert error.facts["line"] == line
        assert f"line {line} of" in str(error)


def test_a_chain_whose_numbers_skip_is_damaged(path: Path) -> None:
    line, _ = write(Head(4, GENESIS.hash), 0.0, "tap", {})
    path.write_bytes(line)
    for action in (lambda: verify(path), lambda: opened(path)):
        assert refusal(action).facts["line"] == 1


def test_every_flipped_byte_of_a_line_is_found(path: Path) -> None:
    first, *rest = filled(path, 2)
    for position in range(len(first)):
        for flip in (0x01, 0x20, 0x80):
            bad = bytearray(first)
            bad[position] ^= flip
            path.write_bytes(bytes(bad) + b"".join(rest))
            assert refusal(lambda: verify(path)).code is StartCode.AUDIT_DAMAGED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=200).map(lambda content: content + b"\n"))
def test_a_file_of_anything_else_is_damaged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert refusal(lambda: verify(path)).code is StartCode.AUDIT_DAMAGED
    assert refusal(lambda: opened(path)).code is StartCode.AUDIT_DAMAGED


def test_a_line_torn_at_any_byte_is_replaced_by_one_that_shows_it(path: Path) -> None:
    first, second, third = filled(path, 2)
    for length in range(1, len(third)):
        torn = third[:length]
        path.write_bytes(first + second + torn)
        assert refusal(lambda: verify(path)).facts["line"] == 3
        with opened(path) as audit:
            audit.record("tap")
        recovered = documents(path)[1]
        assert recovered["event"] == "audit.recovered"
        assert recovered["facts"]["removed_bytes"] == length
        assert recovered["facts"]["removed_start"] == torn.hex()
        assert count(path) == 3


@pytest.mark.parametrize("zeros", [1, 5000, 100_000])
def test_zeros_that_a_power_cut_left_at_the_end_are_recovered_from(path: Path, zeros: int) -> None:
    lines = filled(path, 2)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:40] + bytes(zeros))
    opened(path).close()
    assert documents(path)[1]["facts"]["removed_bytes"] == 40 + zeros
    assert count(path) == 2


def test_a_power_cut_during_a_recovery_is_recovered_from(path: Path) -> None:
    lines = filled(path, 2)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    opened(path).close()
    interrupted = path.read_bytes()[:-30]
    path.write_bytes(interrupted)
    opened(path).close()
    assert count(path) == 2


def test_an_end_that_is_no_torn_line_is_damage(path: Path) -> None:
    for end in (b"x" * 20_000, b"x" * 400_000):
        path.write_bytes(b"".join(filled(path, 2)) + end)
        assert refusal(lambda: opened(path)).code is StartCode.AUDIT_DAMAGED
        path.unlink()


def test_two_writers_never_share_a_file(path: Path) -> None:
    other = "import sys; from pathlib import Path; from cardd.clock import SystemClock\n"
    other += "from cardd.kms.audit.recording import open_audit\n"
    other += "open_audit(Path(sys.argv[1]), SystemClock(), 'kms-1')"
    with opened(path) as audit:
        assert refusal(lambda: opened(path)).code is StartCode.AUDIT_UNAVAILABLE
        result = subprocess.run(
            [sys.executable, "-c", other, str(path)], capture_output=True, check=False, timeout=30
        )
        assert b"another cardd runs with this configuration" in result.stderr
        audit.record("tap")
    filled(path, 1)
    assert count(path) == 2


def test_what_cannot_be_an_audit_file_is_said_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "audit.jsonl"):
        for action in (lambda: opened(path), lambda: verify(path)):  # noqa: B023
            assert refusal(action).code is StartCode.AUDIT_UNAVAILABLE


def test_lines_of_many_threads_are_one_chain(path: Path) -> None:
    with opened(path) as audit:

        def work(number: int) -> None:
            for turn in range(50):
                audit.record("tap", durable=turn % 10 == 0, thread=number, turn=turn)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert count(path) == 200
    assert {(d["facts"]["thread"], d["facts"]["turn"]) for d in documents(path)} == {
        (number, turn) for number in range(4) for turn in range(50)
    }


class Syncs:
    """Counts the syncs of the system, and fails them while told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = os.fdatasync
        self.failing = False
        self.count = 0
        self.done = threading.Event()
        monkeypatch.setattr("cardd.kms.audit.storage.os.fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        self.count += 1
        try:
            if self.failing:
                raise OSError(5, "Input/output error")
            self._real(descriptor)
        finally:
            self.done.set()


def test_a_durable_line_is_synced_before_the_answer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(monkeypatch)
    with opened(path) as audit:
        audit.record("badge.encoded", durable=True)
        assert syncs.count == 1


def test_other_lines_are_synced_together_soon_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(monkeypatch)
    with opened(path) as audit:
        for _ in range(20):
            audit.record("tap")
        assert syncs.done.wait(20)
        assert syncs.count < 20
    assert count(path) == 20


def test_a_line_that_cannot_be_synced_is_taken_back_and_the_chain_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as audit:
        audit.record("tap", number=1)
        syncs = Syncs(monkeypatch)
        syncs.failing = True
        for durable in (True, False):
            with pytest.raises(KmsUnavailable, match="Input/output error"):
                audit.record("tap", durable=durable, number=2)
        syncs.failing = False
        audit.record("tap", durable=True, number=3)
    assert [document["facts"].get("number") for document in documents(path)] == [1, None, 3]
    assert count(path) == 3


def test_answered_lines_that_the_system_dropped_after_a_failed_sync_are_written_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(monkeypatch)
    with opened(path) as audit:
        syncs.failing = True
        audit.record("tap", number=1)
        assert syncs.done.wait(20)
        with path.open("r+b") as file:  # what a page that was dropped reads as, later
            begun = len(file.readline())
            file.write(bytes(path.stat().st_size - begun))
        with pytest.raises(KmsUnavailable):
            audit.record("tap", number=2)
        syncs.failing = False
        audit.record("tap", number=3)
    assert [document["facts"].get("number") for document in documents(path)] == [1, None, 3]
    assert count(path) == 3


@pytest.mark.parametrize("durable", [True, False])
def test_a_line_that_is_written_in_part_is_taken_back_whole(path: Path, durable: bool) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path) as audit:
        audit.record("tap", number=1, durable=True)
        limit = path.stat().st_size + 50
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            for _ in range(3):
                with pytest.raises(KmsUnavailable, match="File too large"):
                    audit.record("tap", number=2, durable=durable)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert count(path) == 1
        audit.record("tap", number=3)
    assert count(path) == 3


def test_nothing_more_is_done_once_somebody_else_wrote_to_the_file(path: Path) -> None:
    with opened(path) as audit:
        audit.record("tap", durable=True)
        with path.open("ab") as file:
            file.write(b"{}\n")
        with pytest.raises(KmsUnavailable, match="another program changed"):
            audit.record("tap")
    assert refusal(lambda: opened(path)).facts["line"] == 3


def test_nothing_more_is_done_once_the_file_was_moved_or_replaced(path: Path) -> None:
    with opened(path) as audit:
        audit.record("tap", durable=True)
        path.rename(path.with_suffix(".1"))
        with pytest.raises(KmsUnavailable, match="No such file"):
            audit.record("tap")
        path.write_bytes(path.with_suffix(".1").read_bytes())
        with pytest.raises(KmsUnavailable, match="another program changed or replaced"):
            audit.record("tap")
        path.with_suffix(".1").replace(path)
        audit.record("tap")
    assert count(path) == 3


def test_a_process_killed_while_it_writes_leaves_every_answered_line(path: Path) -> None:
    writer = (
        "import sys; from pathlib import Path; from cardd.clock import SystemClock\n"
        "from cardd.kms.audit.recording import open_audit\n"
        "audit = open_audit(Path(sys.argv[1]), SystemClock(), 'kms-1')\n"
        "number = 0\n"
        "while True:\n"
        "    audit.record('tap', number=number); print(number, flush=True); number += 1\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", writer, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    answered = [process.stdout.readline() for _ in range(300)]
    process.kill()
    answered += process.stdout.readlines()
    process.wait(10)
    process.stdout.close()
    open_audit(path, SystemClock(), "kms-1").close()
    recorded = [d["facts"]["number"] for d in documents(path) if d["event"] == "tap"]
    assert len(recorded) >= len([line for line in answered if line.endswith("\n")]) >= 300
    assert recorded == list(range(len(recorded)))
    assert count(path) >= len(recorded)


def test_an_audit_closes_though_its_syncing_thread_was_just_about_to_sync(path: Path) -> None:
    audit, closed = opened(path), threading.Event()

    def close() -> None:
        audit.close()
        closed.set()

    class ClosedMeanwhile(threading.Event):
        """Has the file closed at the moment at which the thread has seen what was written."""

        def clear(self) -> None:
            threading.Thread(target=close, daemon=True).start()
            assert self.wait(5)
            super().clear()

    audit._written, before = ClosedMeanwhile(), audit._written
    before.set()  # the thread waits for this one
    assert closed.wait(5)
