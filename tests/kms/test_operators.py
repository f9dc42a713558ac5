"""The operators' record: who is one, and what is not believed."""

import os
from pathlib import Path

import msgspec
import pytest

from cardd.errors import CeremonyCode, CeremonyError
from cardd.kms import operators
from cardd.kms.masters.passphrases import Argon2idCost
from cardd.kms.masters.soft import SoftMasters
from cardd.kms.operators import Record, appointed, require_passphrase, require_two
from cardd.kms.ports import Purpose
from cardd.secret import Secret

pytestmark = pytest.mark.unit

CHEAP = Argon2idCost(memory_kib=1024, iterations=1, lanes=1)


def passphrase(name: str) -> Secret:
    return Secret(f"{name} has a long passphrase".encode())


def masters() -> SoftMasters:
    keys = {(purpose, 1): Secret(os.urandom(16)) for purpose in Purpose}
    return SoftMasters(keys, dict.fromkeys(Purpose, 1), Secret(os.urandom(32)), Secret(b""), 1)


def record(*names: str, counter: int = 1) -> Record:
    made = tuple(appointed(name, passphrase(name), CHEAP) for name in names)
    return Record(counter=counter, operators=made)


def refusal(code: CeremonyCode, *arguments: object) -> str:
    function, *rest = arguments
    assert callable(function)
    with pytest.raises(CeremonyError) as caught:
        function(*rest)
    assert caught.value.code is code
    return str(caught.value)


def test_an_operator_is_known_by_their_own_passphrase_alone() -> None:
    two = record("anne", "bruno")
    require_passphrase(two, "anne", passphrase("anne"))
    for name, given in (("anne", "bruno"), ("bruno", "anne"), ("chantal", "anne")):
        refusal(CeremonyCode.OPERATOR_REFUSED, require_passphrase, two, name, passphrase(given))
    refusal(CeremonyCode.OPERATOR_REFUSED, require_passphrase, two, "anne", Secret(b""))


@pytest.mark.parametrize("name", ["", "Anne", "anne b", "-anne", "a" * 33, "anne\n", "é"])
def test_what_is_no_name_is_refused(name: str) -> None:
    refusal(CeremonyCode.OPERATOR_REFUSED, appointed, name, passphrase("x"), CHEAP)


def test_a_short_passphrase_is_refused() -> None:
    refusal(CeremonyCode.OPERATOR_REFUSED, appointed, "anne", Secret(b"eleven char"), CHEAP)


def test_one_person_is_not_two() -> None:
    require_two(("anne", "bruno"))
    assert "anne cannot approve twice" in refusal(
        CeremonyCode.OPERATOR_TWICE, require_two, ("anne", "anne")
    )


def test_a_record_reads_back_under_its_own_masters_alone(tmp_path: Path) -> None:
    path, mine = tmp_path / "operators", masters()
    assert operators.read(path, mine, 0) is None
    written = record("anne", "bruno")
    operators.write(path, mine, written)
    assert operators.read(path, mine, 1) == written
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"anne" not in path.read_bytes()
    refusal(CeremonyCode.OPERATORS_DAMAGED, operators.read, path, masters(), 1)


def test_a_record_that_was_changed_is_not_believed_whichever_byte_it_was(tmp_path: Path) -> None:
    path, mine = tmp_path / "operators", masters()
    operators.write(path, mine, record("anne", "bruno"))
    good = path.read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0x40
        path.write_bytes(bad)
        refusal(CeremonyCode.OPERATORS_DAMAGED, operators.read, path, mine, 0)
    for cut in (b"", good[:-1], good + b"\0", good * 400):
        path.write_bytes(cut)
        refusal(CeremonyCode.OPERATORS_DAMAGED, operators.read, path, mine, 0)


def test_a_record_older_than_the_audit_knows_and_one_that_is_gone_are_found(tmp_path: Path) -> None:
    path, mine = tmp_path / "operators", masters()
    operators.write(path, mine, record("anne", "bruno", counter=2))
    found = operators.read(path, mine, 2)
    assert found is not None
    refusal(CeremonyCode.OPERATORS_DAMAGED, operators.read, path, mine, 3)
    path.unlink()
    refusal(CeremonyCode.OPERATORS_MISSING, operators.read, path, mine, 1)


def test_one_operator_makes_no_record(tmp_path: Path) -> None:
    mine, path = masters(), tmp_path / "operators"
    alone = msgspec.json.encode(
        {"counter": 1, "operators": [msgspec.to_builtins(record("anne", "bruno").operators[0])]}
    )
    path.write_bytes(mine.seal(alone, b"cardd operators v1"))
    refusal(CeremonyCode.OPERATORS_DAMAGED, operators.read, path, mine, 0)


def test_nothing_of_a_passphrase_is_in_a_repr() -> None:
    two = record("anne", "bruno")
    assert two.operators[0].verifier.hex() not in repr(two)
    assert repr(two.operators[0].verifier) not in repr(two)
