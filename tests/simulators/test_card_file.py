"""Card files: state that stays, whatever happens to the file or the insertion."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators import card as card_files
from simulators.card import CardFileError
from simulators.desfire import VirtualDesfire
from simulators.desfire.crypto import KeyType
from simulators.desfire.keys import Key, zero_key
from simulators.faults import Faults, TearMoment
from simulators.link import insert
from tests.simulators.reader_side import APP, ZEROS, Ev1Reader, exchange, make_application
from tests.simulators.virtual_reader import VirtualReader

pytestmark = pytest.mark.unit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "badge.json"
    card_files.create(path, VirtualDesfire.factory("ev1"))
    return path


def personalise(card: VirtualDesfire) -> None:
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send_full(b"\x5c\x01", bytes(range(24)) + b"\x07")
    session.send_full(b"\xc4\x80", bytes(range(16)) + b"\x01", bare=True)
    exchange(card, b"\xca" + APP + b"\x0f\x82")
    exchange(card, b"\xca\x01\x00\x00\x0b\x41")
    exchange(card, b"\x5a" + APP)
    exchange(card, bytes.fromhex("CD0100EEEE200000"))
    exchange(card, bytes.fromhex("3D0100000004000061626364"))
    Ev1Reader.authenticate(card, 0, Key(KeyType.AES, bytes(range(16)), 7))


def test_everything_on_the_chip_survives_an_insertion(path: Path) -> None:
    with card_files.hold(path) as held:
        personalise(held.card)
        held.transmit(bytes.fromhex("FFCA000000"))
        chip = held.card.chip
    assert card_files.load(path).chip == chip


def test_each_command_is_on_the_disk_before_its_answer(path: Path) -> None:
    with card_files.hold(path) as held:
        assert held.transmit(b"\x90\xca\0\0\x05" + APP + b"\x0f\x82\0") == b"\x91\0"
        assert APP in card_files.load(path).chip.applications


def test_a_session_does_not_survive_an_insertion(path: Path) -> None:
    with card_files.hold(path) as held:
        make_application(held.card)
        Ev1Reader.authenticate(held.card)
        held.transmit(bytes.fromhex("FFCA000000"))
    assert Ev1Reader.authenticate(card_files.load(path), 0, zero_key(KeyType.DES))


@pytest.mark.parametrize(("tear", "there"), [("before", False), ("after", True)])
def test_a_torn_command_is_on_the_disk_or_is_not(path: Path, tear: TearMoment, there: bool) -> None:
    faults = Faults(tear_after=1, tear=tear)
    with (
        VirtualReader() as reader,
        card_files.hold(path) as held,
        insert(held, reader.address, faults=faults),
    ):
        reader.accept()
        reader.send(b"\x90\xca\0\0\x05" + APP + b"\x0f\x82\0")
        assert reader.card_is_gone()
    assert (APP in card_files.load(path).chip.applications) is there


def test_a_held_file_is_refused_to_a_second_insertion_even_after_a_save(path: Path) -> None:
    with card_files.hold(path) as held:
        for aid in (b"\x01\0\0", b"\x02\0\0"):
            with pytest.raises(CardFileError, match="in a reader already"), card_files.hold(path):
                pytest.fail("held twice")
            held.transmit(b"\x90\xca\0\0\x05" + aid + b"\x0f\x82\0")
    with card_files.hold(path) as again:
        assert len(again.card.chip.applications) == 2


def test_a_save_leaves_nothing_else_in_the_folder_and_lets_nobody_read(path: Path) -> None:
    with card_files.hold(path) as held:
        held.transmit(b"\x90\xca\0\0\x05" + APP + b"\x0f\x82\0")
    assert [entry.name for entry in path.parent.iterdir()] == ["badge.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_save_that_fails_leaves_the_old_card(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with card_files.hold(path) as held:
        monkeypatch.setattr("os.fsync", full_disk)
        with pytest.raises(CardFileError, match="No space left"):
            held.transmit(b"\x90\xca\0\0\x05" + APP + b"\x0f\x82\0")
        monkeypatch.undo()
    assert card_files.load(path).chip.applications == {}
    assert [entry.name for entry in path.parent.iterdir()] == ["badge.json"]


def test_a_new_card_never_replaces_a_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(CardFileError, match="exists"):
        card_files.create(path, VirtualDesfire.factory("ev2"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": "x"}', "[" * 100_000])
def test_what_is_no_card_file_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(CardFileError, match="damaged or no card file"), card_files.hold(path):
        pytest.fail("that is no card")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CardFileError, match="does not exist"):
        card_files.load(tmp_path / "none.json")
    with pytest.raises(CardFileError, match="cannot be read"):
        card_files.load(tmp_path)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_flipped_byte_is_noticed_or_means_nothing(path: Path, place: int, flip: int) -> None:
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[place % len(damaged)] ^= flip
    copy = path.parent / "copy.json"
    copy.write_bytes(damaged)
    try:
        card = card_files.load(copy)
    except CardFileError:
        return
    assert card.chip == card_files.load(path).chip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uid", "04"),
        ("uid", "zz"),
        ("settings", 256),
        ("product", "ev9"),
        ("master", {"type": "RSA", "value": "", "version": 0}),
        ("master", {"type": "AES", "value": "00", "version": 0}),
        ("used_bytes", -1),
        ("extra", 1),
    ],
)
def test_a_card_with_a_field_that_cannot_be_is_refused(field: str, value: object) -> None:
    stored = {**VirtualDesfire.factory("ev1").to_json(), field: value}
    with pytest.raises(ValueError, match=r".+"):
        VirtualDesfire.from_json(stored)


NEWER_FIELDS = ("storage_kib", "ats", "sak", "originality_key")
NEWER_APPLICATION_FIELDS = (
    "value_files", "record_files", "iso_file_ids", "key_type", "iso_id", "df_name"
)  # fmt: skip


def test_a_card_file_from_before_still_loads() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    stored = card.to_json()
    for name in NEWER_FIELDS:
        del stored[name]
    for name in NEWER_APPLICATION_FIELDS:
        del stored["applications"][0][name]
    older = VirtualDesfire.from_json(stored)
    assert older.chip == replace(card.chip, originality_key=b"")
    assert older.transmit(bytes.fromhex("903C0000010000")) == b"\x91\x1c"


def test_everything_new_on_a_chip_is_stored() -> None:
    card = VirtualDesfire.factory("ev3", uid=bytes.fromhex("04112233445566778899"), storage_kib=16)
    exchange(card, b"\xca" + APP + bytes.fromhex("0FA2 1011 6361726464"))
    changed = replace(card.chip, ats=bytes.fromhex("0875778102637264"), sak=b"\x04\x28")
    again = VirtualDesfire.from_json(VirtualDesfire(changed).to_json())
    assert again.chip == changed
    assert again.chip.applications[APP].df_name == b"cardd"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("storage_kib", 16),
        ("storage_kib", 3),
        ("uid", "04112233"),
        ("used_bytes", 6000),
        ("originality_key", "00" * 27),
        ("ats", "00"),
        ("sak", "20"),
    ],
)
def test_what_an_ev1_of_4_kib_cannot_be_is_refused(field: str, value: object) -> None:
    stored = {**VirtualDesfire.factory("ev1").to_json(), field: value}
    with pytest.raises(ValueError, match=field):
        VirtualDesfire.from_json(stored)


def test_two_applications_of_one_aid_are_refused() -> None:
    card = VirtualDesfire.factory("ev1")
    make_application(card)
    stored = card.to_json()
    stored["applications"] *= 2
    with pytest.raises(ValueError, match="one AID"):
        VirtualDesfire.from_json(stored)


def test_the_file_is_json_that_says_what_it_is(path: Path) -> None:
    document = json.loads(path.read_text())
    assert document["format"] == "cardd-sim card 1"
    assert VirtualDesfire.from_json(document["card"]).chip.master.value == ZEROS
