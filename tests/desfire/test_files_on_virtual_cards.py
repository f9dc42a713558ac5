"""The driver and the virtual card, which share no code, agree on files in every mechanism."""

from collections.abc import Callable
from typing import Any

import pytest

from cardd.desfire.applications import PICC_AID, ApplicationSettings, KeySettings
from cardd.desfire.card import DesfireCard
from cardd.desfire.command import CommunicationMode
from cardd.desfire.files import (
    FREE,
    AccessRights,
    DataFileSettings,
    FileSettings,
    RecordFileSettings,
    ValueFileSettings,
    mode_of,
)
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import CardStatusError
from cardd.iso7816.exchange import Exchange
from simulators.desfire import VirtualDesfire
from tests.desfire.recorded_card import play

pytestmark = pytest.mark.unit

PLAIN, MAC, FULL = CommunicationMode.PLAIN, CommunicationMode.MAC, CommunicationMode.FULL
AID = 0xF58A3C
KEY_0 = AccessRights(0, 0, 0, 0)

Call = Callable[[Exchange[Any]], Any]

MECHANISMS: dict[str, tuple[str, KeyType, Callable[[DesfireCard, DesfireKey], Exchange[None]]]] = {
    "d40": ("ev1", KeyType.TDEA2, lambda card, key: card.authenticate_legacy(0, key)),
    "iso": ("ev1", KeyType.TDEA3, lambda card, key: card.authenticate_iso(0, key)),
    "aes": ("ev1", KeyType.AES, lambda card, key: card.authenticate_aes(0, key)),
    "ev2": ("ev2", KeyType.AES, lambda card, key: card.authenticate_ev2_first(0, key)),
    "ev3": ("ev3", KeyType.AES, lambda card, key: card.authenticate_ev2_first(0, key)),
}


@pytest.fixture(params=MECHANISMS)
def mechanism(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[PLAIN, MAC, FULL], ids=lambda mode: mode.name.lower())
def mode(request: pytest.FixtureRequest) -> CommunicationMode:
    return CommunicationMode(request.param)


def authenticated(mechanism: str) -> tuple[DesfireCard, Call]:
    """Return a card in an empty application, authenticated to its master key, and its driver."""
    product, key_type, authenticate = MECHANISMS[mechanism]
    picc, card = VirtualDesfire.factory(product), DesfireCard()

    def run(exchange: Exchange[Any]) -> Any:
        return play(exchange, picc.transmit)

    run(card.select_application(PICC_AID))
    run(card.authenticate_iso(0, DesfireKey.zero(KeyType.TDEA2)))
    run(card.create_application(AID, ApplicationSettings(KeySettings(), 2, key_type)))
    run(card.select_application(AID))
    run(authenticate(card, DesfireKey.zero(key_type)))
    return card, run


def files_of(mode: CommunicationMode) -> dict[int, FileSettings]:
    return {
        1: DataFileSettings(mode, KEY_0, 200),
        2: DataFileSettings(mode, KEY_0, 200, backup=True),
        3: ValueFileSettings(mode, KEY_0, -1000, 1000, -5, limited_credit=True),
        4: RecordFileSettings(mode, KEY_0, 40, 4),
        5: RecordFileSettings(mode, KEY_0, 40, 4, cyclic=True),
    }


def test_files_are_told_as_they_were_created(mechanism: str, mode: CommunicationMode):
    card, run = authenticated(mechanism)
    for number, file in files_of(mode).items():
        run(card.create_file(number, file))
    assert set(run(card.get_file_ids())) == set(files_of(mode))
    for number in (1, 2, 4, 5):
        assert run(card.get_file_settings(number)) == files_of(mode)[number]
    value = run(card.get_file_settings(3))
    assert (value.lower_limit, value.upper_limit, value.limited_credit) == (-1000, 1000, True)
    assert run(card.get_value(3, mode)) == -5


def test_data_is_read_as_it_was_written(mechanism: str, mode: CommunicationMode):
    card, run = authenticated(mechanism)
    run(card.create_file(1, files_of(mode)[1]))
    run(card.create_file(2, files_of(mode)[2]))
    data = bytes(range(150))
    run(card.write_data(1, 20, data, mode))
    assert run(card.read_data(1, 0, 200, mode)) == bytes(20) + data + bytes(30)
    run(card.write_data(2, 20, data, mode))
    assert run(card.read_data(2, 0, 200, mode)) == bytes(200)
    run(card.commit_transaction())
    assert run(card.read_data(2, 20, 150, mode)) == data


def test_a_value_counts_once_it_is_committed(mechanism: str, mode: CommunicationMode):
    card, run = authenticated(mechanism)
    run(card.create_file(3, files_of(mode)[3]))
    run(card.credit(3, 100, mode))
    assert run(card.get_value(3, mode)) == -5
    run(card.commit_transaction())
    run(card.debit(3, 30, mode))
    run(card.commit_transaction())
    assert run(card.get_value(3, mode)) == 65
    assert run(card.get_file_settings(3)).value == 30
    run(card.limited_credit(3, 30, mode))
    run(card.commit_transaction())
    assert run(card.get_value(3, mode)) == 95
    run(card.debit(3, 95, mode))
    run(card.abort_transaction())
    assert run(card.get_value(3, mode)) == 95
    with pytest.raises(CardStatusError) as refusal:
        run(card.credit(3, 2000, mode))
    assert refusal.value.facts["name"] == "BOUNDARY_ERROR"


@pytest.mark.parametrize(("number", "kept"), [(4, 3), (5, 3)], ids=["linear", "cyclic"])
def test_records_come_oldest_first(mechanism: str, mode: CommunicationMode, number: int, kept: int):
    card, run = authenticated(mechanism)
    run(card.create_file(number, files_of(mode)[number]))
    written = [bytes((each,)) * 40 for each in range(3 if number == 4 else 5)]
    for record in written:
        run(card.write_record(number, 0, record[:30], mode))
        run(card.write_record(number, 30, record[30:], mode))
        run(card.commit_transaction())
    assert run(card.get_file_settings(number)).current_records == kept
    assert run(card.read_records(number, 0, 3, 40, mode)) == tuple(written[-3:])
    assert run(card.read_records(number, 1, 1, 40, mode)) == (written[-2],)
    assert run(card.read_records(number, 1, 2, 40, mode)) == tuple(written[-3:-1])
    run(card.clear_record_file(number))
    run(card.commit_transaction())
    assert run(card.get_file_settings(number)).current_records == 0


@pytest.mark.parametrize("mechanism", ["ev2", "ev3"])
def test_a_record_is_updated_where_it_stands(mechanism: str, mode: CommunicationMode):
    card, run = authenticated(mechanism)
    run(card.create_file(4, files_of(mode)[4]))
    for each in range(2):
        run(card.write_record(4, 0, bytes((each,)) * 40, mode))
        run(card.commit_transaction())
    run(card.update_record(4, 1, 10, b"new", mode))
    run(card.commit_transaction())
    older = bytes(10) + b"new" + bytes(27)
    assert run(card.read_records(4, 0, 2, 40, mode)) == (older, b"\x01" * 40)


def test_changed_settings_hold(mechanism: str):
    card, run = authenticated(mechanism)
    run(card.create_file(1, DataFileSettings(FULL, KEY_0, 20)))
    run(card.write_data(1, 0, b"open", FULL))
    everyone = AccessRights(FREE, FREE, FREE, FREE)
    run(card.change_file_settings(1, MAC, everyone))
    assert run(card.get_file_settings(1)) == DataFileSettings(MAC, everyone, 20)
    run(card.change_file_settings(1, FULL, KEY_0, change_is_free=True))
    assert run(card.get_file_settings(1)) == DataFileSettings(FULL, KEY_0, 20)


def test_what_is_free_to_read_is_read_in_plain_in_a_session_too(mechanism: str):
    card, run = authenticated(mechanism)
    file = DataFileSettings(FULL, AccessRights(FREE, 0, 1, 0), 20)
    run(card.create_file(1, file))
    run(card.write_data(1, 0, b"open", mode_of(file, 0, "write", "read_write")))
    assert mode_of(file, 0, "read", "read_write") is PLAIN
    assert run(card.read_data(1, 0, 4, PLAIN)) == b"open"
    run(card.select_application(AID))
    assert run(card.read_data(1, 0, 4, PLAIN)) == b"open"


def test_iso_identifiers_are_told_as_they_were_given():
    picc, card = VirtualDesfire.factory("ev1"), DesfireCard()
    settings = ApplicationSettings(KeySettings(), 1, KeyType.AES, iso_file_ids=True)
    exchanges: list[Exchange[Any]] = [
        card.authenticate_iso(0, DesfireKey.zero(KeyType.TDEA2)),
        card.create_application(AID, settings, iso_file_id=0x1111),
        card.select_application(AID),
        card.authenticate_aes(0, DesfireKey.zero(KeyType.AES)),
        card.create_file(1, DataFileSettings(PLAIN, KEY_0, 20), iso_file_id=0x1234),
        card.create_file(4, RecordFileSettings(PLAIN, KEY_0, 20, 2), iso_file_id=0x3456),
    ]
    for exchange in exchanges:
        play(exchange, picc.transmit)
    assert set(play(card.get_iso_file_ids(), picc.transmit)) == {0x1234, 0x3456}
