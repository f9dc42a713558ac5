"""Transactions: what waits for a commit, what drops it, and what a tear leaves."""

import pytest

from simulators.desfire import VirtualDesfire
from simulators.desfire.crypto import KeyType
from simulators.desfire.keys import Key, zero_key
from simulators.faults import Faults, TearMoment, Torn
from tests.simulators.file_side import (
    ABORT,
    COMMIT,
    CREDIT,
    DEBIT,
    EV2_PRODUCTS,
    PRODUCTS,
    card_with,
    change,
    data_file,
    read_records,
    record_file,
    span,
    value_file,
    value_of,
    write,
    write_record,
)
from tests.simulators.reader_side import (
    APP,
    ZEROS,
    D40Reader,
    Ev1Reader,
    Ev2Reader,
    exchange,
    native,
    status,
)

pytestmark = pytest.mark.unit

FILES = (data_file(1, 4), value_file(2, 0, 100, 50), record_file(3), data_file(4, 4, backup=False))
CHANGES = (write(1, 0, b"new."), change(DEBIT, 2, 7), write_record(3, b"rec."))


@pytest.fixture(params=PRODUCTS)
def card(request: pytest.FixtureRequest) -> VirtualDesfire:
    return card_with(request.param, *FILES)


def change_all(card: VirtualDesfire) -> None:
    for frame in CHANGES:
        exchange(card, frame)


def contents(card: VirtualDesfire) -> tuple[bytes, int, bytes]:
    """Return what the three files with a backup hold."""
    exchange(card, b"\x5a" + APP)
    records = exchange(card, b"\xf5\x03")[-3:]
    record = exchange(card, read_records(3)) if any(records) else b""
    return exchange(card, b"\xbd" + span(1, 0, 0)), value_of(card, 2), record


OLD = (bytes(4), 50, b"")
NEW = (b"new.", 43, b"rec.")


def test_a_commit_brings_every_file_of_the_application_at_once(card: VirtualDesfire) -> None:
    change_all(card)
    assert exchange(card, b"\xbd" + span(1, 0, 0)) == OLD[0]
    assert value_of(card, 2) == OLD[1]
    assert exchange(card, b"\xf5\x03")[-3:] == bytes(3)
    exchange(card, COMMIT)
    assert contents(card) == NEW


def test_writes_to_one_backup_file_add_up(card: VirtualDesfire) -> None:
    exchange(card, write(1, 0, b"ab"))
    exchange(card, write(1, 1, b"xy"))
    exchange(card, COMMIT)
    assert contents(card)[0] == b"axy\0"


def test_a_standard_file_does_not_wait(card: VirtualDesfire) -> None:
    exchange(card, write(4, 0, b"now."))
    assert native(card, COMMIT)[0] == 0x0C
    assert exchange(card, b"\xbd" + span(4, 0, 0)) == b"now."


def test_an_abort_drops_everything_that_waits(card: VirtualDesfire) -> None:
    change_all(card)
    exchange(card, ABORT)
    assert native(card, COMMIT)[0] == 0x0C
    assert contents(card) == OLD


@pytest.mark.parametrize("frame", [COMMIT, ABORT])
def test_where_nothing_waits_there_are_no_changes(card: VirtualDesfire, frame: bytes) -> None:
    assert native(card, frame)[0] == 0x0C
    change_all(card)
    exchange(card, frame)
    assert native(card, frame)[0] == 0x0C


@pytest.mark.parametrize("frame", [COMMIT, ABORT])
def test_there_is_no_transaction_at_picc_level(card: VirtualDesfire, frame: bytes) -> None:
    exchange(card, b"\x5a\0\0\0")
    assert native(card, frame)[0] == 0x9D


def test_an_abort_leaves_the_session(card: VirtualDesfire) -> None:
    session = Ev1Reader.authenticate(card, 1)
    session.send(change(CREDIT, 2, 1))
    session.send(ABORT)
    session.send(change(CREDIT, 2, 2))
    session.send(COMMIT)
    assert contents(card)[1] == 52


@pytest.mark.parametrize(
    "frame",
    ["5A" + APP.hex(), "BD 01 000000 050000", "DC 02 FFFFFF7F", "6C 09", "99", "AF", "EB 01"],
    ids=["same application", "boundary", "limit", "no file", "no command", "no frame", "type"],
)
def test_a_selection_or_any_error_drops_what_waits(card: VirtualDesfire, frame: str) -> None:
    change_all(card)
    status(card, frame)
    assert native(card, COMMIT)[0] == 0x0C
    assert contents(card) == OLD


def test_a_command_that_is_none_drops_it_too(card: VirtualDesfire) -> None:
    change_all(card)
    assert card.transmit(b"\x80\x00\x00\x00") == b"\x6e\x00"
    assert native(card, COMMIT)[0] == 0x0C


def test_an_error_of_class_00_drops_it_too(card: VirtualDesfire) -> None:
    change_all(card)
    assert card.transmit(bytes.fromhex("00B0970000")) == b"\x6a\x82"
    assert native(card, COMMIT)[0] == 0x0C


@pytest.mark.parametrize("leave", ["reset", "power_on"])
def test_power_loss_drops_what_waits(card: VirtualDesfire, leave: str) -> None:
    change_all(card)
    getattr(card, leave)()
    exchange(card, b"\x5a" + APP)
    assert native(card, COMMIT)[0] == 0x0C
    assert contents(card) == OLD


def test_an_error_of_a_d40_session_drops_what_waits_and_leaves_the_session() -> None:
    """As libfreefare's test: it clears again after a refused write, and does not authenticate."""
    card = VirtualDesfire.factory("ev1")
    exchange(card, b"\xca" + APP + b"\x0f\x03")
    exchange(card, b"\x5a" + APP)
    exchange(card, record_file(1, rights="2222"))
    D40Reader.authenticate(card, 2)
    exchange(card, b"\xeb\x01")
    assert native(card, write_record(1, b"x"))[0] == 0x9D
    assert native(card, COMMIT)[0] == 0x0C
    exchange(card, b"\xeb\x01")
    exchange(card, COMMIT)


@pytest.mark.parametrize("product", PRODUCTS)
def test_an_authentication_leaves_what_waits(product: str) -> None:
    """As libfreefare's tests under 0A, 1A and AA: written with one key, committed with another."""
    card = card_with(product, data_file(1, 4, rights="F022"))
    Ev1Reader.authenticate(card, 2).send(write(1, 0, b"new."))
    other = Ev1Reader.authenticate(card, 1)
    other.send(COMMIT)
    exchange(card, b"\x5a" + APP)
    session = Ev1Reader.authenticate(card, 2)
    assert session.send(b"\xbd" + span(1, 0, 0)) == b"new."


@pytest.mark.parametrize("product", EV2_PRODUCTS)
def test_the_first_authentication_of_ev2_begins_a_transaction_of_its_own(product: str) -> None:
    card = card_with(product, *FILES)
    change_all(card)
    Ev2Reader.authenticate(card, 1)
    exchange(card, b"\x5a" + APP)
    assert contents(card) == OLD


def test_a_failed_authentication_drops_what_waits(card: VirtualDesfire) -> None:
    change_all(card)
    assert native(card, b"\xaa\x01")[0] == 0xAF
    assert native(card, b"\xaf" + bytes(32))[0] == 0xAE
    assert native(card, COMMIT)[0] == 0x0C


def test_new_settings_of_a_file_do_not_drop_what_waits_for_it(card: VirtualDesfire) -> None:
    change_all(card)
    assert status(card, "5F 01 00 EEEF") == 0
    exchange(card, COMMIT)
    assert contents(card) == NEW
    assert exchange(card, b"\xf5\x01")[2:4] == b"\xee\xef"


def test_a_deleted_file_takes_what_waits_for_it_along(card: VirtualDesfire) -> None:
    change_all(card)
    exchange(card, b"\xdf\x01")
    exchange(card, value_file(1))
    exchange(card, COMMIT)
    assert value_of(card, 1) == 0
    assert value_of(card, 2) == NEW[1]


def test_deleting_the_one_file_that_waits_leaves_no_changes(card: VirtualDesfire) -> None:
    exchange(card, write(1, 0, b"new."))
    exchange(card, b"\xdf\x01")
    assert native(card, COMMIT)[0] == 0x0C


@pytest.mark.parametrize("product", EV2_PRODUCTS)
@pytest.mark.parametrize(("option", "expected"), [("00", 0), ("01", 0x9E), ("0000", 0x7E)])
def test_a_commit_may_say_that_it_wants_no_transaction_mac(
    product: str, option: str, expected: int
) -> None:
    card = card_with(product, *FILES)
    change_all(card)
    assert status(card, "C7" + option) == expected
    assert contents(card) == (OLD if expected else NEW)


def test_ev1_knows_no_option_of_commit() -> None:
    card = card_with("ev1", *FILES)
    change_all(card)
    assert status(card, "C7 00") == 0x7E
    assert status(card, "A7 00") == 0x7E


def test_commit_and_abort_carry_a_mac_in_a_session() -> None:
    card = card_with("ev2", *FILES)
    session = Ev2Reader.authenticate(card, 1)
    for frame in CHANGES:
        exchange(card, frame)
        session.counter += 1
    assert session.send(COMMIT) == b""
    assert contents(card) == NEW


def test_a_commit_with_a_wrong_mac_changes_nothing() -> None:
    card = card_with("ev2", *FILES)
    Ev2Reader.authenticate(card, 1)
    change_all(card)
    assert native(card, COMMIT + bytes(8))[0] == 0x1E
    assert contents(card) == OLD


def run_through(faults: Faults, card: VirtualDesfire, frames: tuple[bytes, ...]) -> None:
    """Send frames over a link that tears."""
    for frame in frames:
        body = bytes((len(frame) - 1,)) + frame[1:] if len(frame) > 1 else b""
        faults.transmit(card.transmit, b"\x90" + frame[:1] + b"\0\0" + body + b"\0")


@pytest.mark.parametrize("tear", ["before", "after"])
@pytest.mark.parametrize("moment", range(1, len(CHANGES) + 2))
def test_a_tear_leaves_the_files_of_before_or_of_after_the_commit(
    card: VirtualDesfire, tear: TearMoment, moment: int
) -> None:
    faults = Faults(tear_after=moment, tear=tear)
    with pytest.raises(Torn):
        run_through(faults, card, (*CHANGES, COMMIT))
    again = VirtualDesfire.from_json(card.to_json())
    committed = moment == len(CHANGES) + 1 and tear == "after"
    assert contents(again) == (NEW if committed else OLD)


def test_a_write_that_breaks_off_between_frames_drops_what_waits() -> None:
    card = card_with("ev1", data_file(1, 200), value_file(2, 0, 100, 50), record_file(3))
    exchange(card, change(DEBIT, 2, 7))
    assert native(card, b"\x3d" + span(1, 0, 200) + bytes(52)) == b"\xaf"
    assert native(card, COMMIT)[0] == 0xCA
    assert native(card, COMMIT)[0] == 0x0C
    assert value_of(card, 2) == 50


def test_what_waits_is_not_on_the_chip(card: VirtualDesfire) -> None:
    chip = card.chip
    change_all(card)
    assert card.chip is chip
    exchange(card, COMMIT)
    assert card.chip is not chip


def test_another_application_has_a_transaction_of_its_own(card: VirtualDesfire) -> None:
    exchange(card, b"\x5a\0\0\0")
    Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES)).send(bytes.fromhex("CA 010000 0F 81"))
    exchange(card, b"\x5a" + APP)
    change_all(card)
    exchange(card, bytes.fromhex("5A 010000"))
    Ev1Reader.authenticate(card, 0, Key(KeyType.AES, ZEROS))
    assert native(card, COMMIT)[0] == 0x0C
    assert contents(card) == OLD
