import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cardd.errors import StartCode, StartError
from cardd.kms.audit.checkpoints import CHECKPOINT, sign
from cardd.kms.audit.lines import BEGUN, GENESIS, Chain, write
from cardd.kms.audit.verification import verify
from tests.kms.audit.audit_world import Scene, new_signer, rewritten

pytestmark = pytest.mark.unit

# Line 1 begins, line 2 is the checkpoint of the start, lines 3 to 22 are taps 0 to 19, line 23 is
# the checkpoint of the stop.
TAPS, LAST = 20, 23


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.run(TAPS)
    return made


def other_badge(document: dict[str, Any]) -> None:
    document["facts"]["badge"] = "another badge"


def test_an_untouched_file_says_how_far_it_is_vouched_for(scene: Scene) -> None:
    report = scene.report()
    assert (report.lines, report.checkpoints, report.covered) == (LAST, 2, LAST - 1)
    assert report.witnessed is not None
    assert report.witnessed.seq == LAST - 1
    assert report.others == ()
    scene.run(3)
    assert scene.report().covered == LAST + 1 + 3


def test_an_edited_line_is_found(scene: Scene) -> None:
    lines = scene.lines()
    lines[9] = lines[9].replace(b"badge 7", b"badge 8")
    scene.write(lines)
    assert scene.finding() == ("edited", 10)


@pytest.mark.parametrize("count", [1, 5])
def test_deleted_lines_are_found(scene: Scene, count: int) -> None:
    lines = scene.lines()
    scene.write(lines[:9] + lines[9 + count :])
    assert scene.finding() == ("deleted", 10)
    missing = "line 10 is missing" if count == 1 else "lines 10 to 14 are missing"
    assert missing in str(scene.refusal())


def test_lines_in_another_order_are_found(scene: Scene) -> None:
    lines = scene.lines()
    lines[9], lines[14] = lines[14], lines[9]
    scene.write(lines)
    error = scene.refusal()
    assert (error.facts["finding"], error.facts["line"]) == ("moved", 10)
    assert "it is line 15" in str(error)


@pytest.mark.parametrize("copied", [5, 9, 12])
def test_a_line_that_was_put_in_is_found(scene: Scene, copied: int) -> None:
    lines = scene.lines()
    scene.write([*lines[:9], lines[copied - 1], *lines[9:]])
    assert scene.finding() == ("inserted", 10)


def test_a_forged_line_that_was_put_in_with_its_own_hash_is_found(scene: Scene) -> None:
    lines = scene.lines()
    forged = rewritten(lines[:10], 10, other_badge)[9]
    scene.write([*lines[:9], forged, *lines[9:]])
    assert scene.finding() == ("inserted", 10)


def test_a_line_that_was_replaced_with_its_own_hash_is_found(scene: Scene) -> None:
    lines = scene.lines()
    scene.write([*rewritten(lines[:10], 10, other_badge), *lines[10:]])
    assert scene.finding() == ("edited", 10)


def test_a_chain_computed_anew_is_found_by_the_next_checkpoint(scene: Scene) -> None:
    scene.write(rewritten(scene.lines(), 10, other_badge))
    assert scene.finding() == ("rewritten", LAST)


def test_a_chain_computed_anew_without_checkpoints_is_found_by_the_witness(scene: Scene) -> None:
    scene.write(rewritten(scene.lines()[:-1], 10, other_badge))
    assert (
        scene.report(witness=False).covered == 1
    )  # which says that the rest is vouched for by nobody
    assert scene.finding(witness=True) == ("rewritten", LAST - 1)


@pytest.mark.parametrize("left", [LAST - 2, 10, 2])
def test_a_tail_that_was_cut_off_is_found_by_the_witness_alone(scene: Scene, left: int) -> None:
    scene.write(scene.lines()[:left])
    assert scene.report(witness=False).lines == left
    error = scene.refusal(witness=True)
    assert (error.facts["finding"], error.facts["line"]) == ("truncated", left)
    assert f"the witness saw line {LAST - 1} at 2027-01-15T08:00:00.000Z" in str(error)


def test_a_file_cut_back_to_an_old_checkpoint_is_found_by_the_witness(scene: Scene) -> None:
    scene.run(5)
    scene.write(scene.lines()[:LAST])
    assert scene.report(witness=False).covered == LAST - 1
    assert scene.finding(witness=True) == ("truncated", LAST)


def test_a_file_cut_within_a_line_is_found(scene: Scene) -> None:
    scene.path.write_bytes(scene.path.read_bytes()[:-20])
    assert scene.finding() == ("cut_short", LAST)


def test_the_file_of_another_replica_is_found(scene: Scene, tmp_path: Path) -> None:
    other = Scene(tmp_path, "kms-2")
    other.run(TAPS)
    scene.write(other.lines())
    error = scene.refusal()
    assert (error.facts["finding"], error.facts["line"]) == ("other_replica", 1)
    assert "'kms-2', not of 'kms-1'" in str(error)


def test_a_fresh_file_in_the_place_of_the_true_one_is_found_by_the_witness(
    scene: Scene, tmp_path: Path
) -> None:
    (tmp_path / "forger").mkdir()
    fresh = Scene(tmp_path / "forger")
    fresh.signer = scene.signer
    fresh.run(3, witnessed=False)
    scene.write(fresh.lines())
    assert scene.report(witness=False).lines == 6
    assert scene.finding(witness=True) == ("unknown_to_witness", None)


def test_a_new_record_that_the_witness_was_told_of_names_the_one_before(scene: Scene) -> None:
    scene.path.rename(scene.path.with_suffix(".old"))
    scene.run(2)
    (other,) = scene.report().others
    assert other.seq == LAST - 1


@pytest.mark.parametrize("flip", range(5))
def test_a_checkpoint_with_a_wrong_signature_is_found(scene: Scene, flip: int) -> None:
    jws = json.loads(scene.lines()[-1])["facts"]["jws"]
    at = -10 - flip
    forged = jws[:at] + ("A" if jws[at] != "A" else "B") + jws[at + 1 :]

    def forge(document: dict[str, Any]) -> None:
        document["facts"]["jws"] = forged

    scene.write(rewritten(scene.lines(), LAST, forge))
    error = scene.refusal()
    assert (error.facts["finding"], error.facts["line"]) == ("checkpoint_invalid", LAST)
    assert "its signature is wrong" in str(error)


def test_a_checkpoint_by_another_key_is_found(scene: Scene) -> None:
    scene.signer = new_signer()
    assert scene.finding() == ("checkpoint_invalid", 2)
    assert "not among the given ones" in str(scene.refusal())


@pytest.mark.parametrize("jws", ["", "x", "a.b.c", None, 5, "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_checkpoint_is_found(scene: Scene, jws: object) -> None:
    scene.write(rewritten(scene.lines(), LAST, lambda line: line["facts"].update(jws=jws)))
    assert scene.finding() == ("checkpoint_invalid", LAST)


def test_an_assertion_is_no_checkpoint(scene: Scene) -> None:
    claims = {"replica": "kms-1", "chain": "0" * 32, "seq": LAST - 1, "hash": "0" * 64, "iat": 1}
    jws = scene.signer.sign(claims, "cardd-auth+jwt")
    scene.write(rewritten(scene.lines(), LAST, lambda line: line["facts"].update(jws=jws)))
    assert "a JWS for something else" in str(scene.refusal())


def test_an_old_checkpoint_again_is_found(scene: Scene) -> None:
    old = json.loads(scene.lines()[1])["facts"]["jws"]
    scene.write(rewritten(scene.lines(), LAST, lambda line: line["facts"].update(jws=old)))
    assert scene.finding() == ("checkpoint_invalid", LAST)


def test_the_checkpoint_of_another_file_is_found(scene: Scene, tmp_path: Path) -> None:
    other = Scene(tmp_path, "kms-2")
    other.signer = scene.signer
    other.run(TAPS)
    jws = json.loads(other.lines()[-1])["facts"]["jws"]
    scene.write(rewritten(scene.lines(), LAST, lambda line: line["facts"].update(jws=jws)))
    assert "another place or another file" in str(scene.refusal())


def test_a_witness_speaks_the_same_in_any_order_among_other_lines_and_twice(
    scene: Scene, tmp_path: Path
) -> None:
    other = Scene(tmp_path, "kms-2")
    other.signer = scene.signer
    other.run(5)
    scene.run(5)
    own, foreign = (each.witness.read_text().splitlines() for each in (scene, other))
    received = [f"Nov 22 19:00:00 kms-1 cardd-kms 12 - {jws}" for jws in reversed(own)]
    torn = own[0][:-5]
    scene.witness.write_text("\n".join([*received, "sshd: hello", *foreign, torn, *own, ""]))
    assert scene.report().witnessed is not None
    scene.write(scene.lines()[:5])
    assert scene.finding(witness=True) == ("truncated", 5)


def test_a_witness_with_a_forged_checkpoint_is_found(scene: Scene) -> None:
    forger = Scene(scene.path.parent, "kms-1")
    (jws, *_) = scene.witness.read_text().splitlines()
    head, payload, signature = jws.split(".")
    scene.witness.write_text(f"{head}.{payload}.{'A' * len(signature)}\n")
    assert scene.finding(witness=True) == ("witness_invalid", None)
    assert forger.signer is not scene.signer


@pytest.mark.parametrize("which", ["path", "witness"])
def test_a_file_that_is_not_there_is_said_by_name(scene: Scene, which: str) -> None:
    missing: Path = getattr(scene, which)
    missing.unlink()
    with pytest.raises(StartError, match=missing.name) as caught:
        scene.report()
    assert caught.value.code is StartCode.AUDIT_UNAVAILABLE


def test_an_empty_file_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch()
    with pytest.raises(StartError, match="it is empty"):
        verify(path)


def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    peaks = []
    for folder, taps in (("short", 21_000), ("long", 63_000)):
        (tmp_path / folder).mkdir()
        scene = Scene(tmp_path / folder)
        write_long(scene, taps)
        tracemalloc.start()
        report = scene.report()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.witnessed is not None
    # A hash of each of the last 20,000 lines is kept, and no line.
    assert peaks[1] < peaks[0] + 500_000


def write_long(scene: Scene, taps: int) -> None:
    """Write a file as the key service does, by the same functions, without its disk."""
    lines, head = [], GENESIS
    chain = Chain(scene.replica, "ab" * 16)
    line, head = write(head, 0.0, BEGUN, {"replica": chain.replica, "chain": chain.id})
    lines.append(line)
    for number in range(taps):
        line, head = write(head, 0.0, "tap", {"number": number})
        lines.append(line)
    jws = sign(scene.signer, chain, head, 0.0)
    scene.write([*lines, write(head, 0.0, CHECKPOINT, {"jws": jws})[0]])
    scene.witness.write_text(jws + "\n")
