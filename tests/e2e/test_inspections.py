"""`cardctl badge inspect` as people run it: on any card, with and without the key service."""

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cardd.desfire.applications import ApplicationSettings, KeySettings
from cardd.desfire.card import DesfireCard
from cardd.desfire.command import CommunicationMode
from cardd.desfire.files import FREE, AccessRights, DataFileSettings
from cardd.desfire.keys import DesfireKey, KeyType
from scripts.world import World
from simulators.card import create
from simulators.desfire.picc import VirtualDesfire
from tests.desfire.recorded_card import play

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    """Give a daemon, and an active badge of Alice's in badge.json."""
    with World(light=True) as world:
        world.run("cardd-kms", "init", "--config", "cardd.toml")
        world.start_daemon()
        world.run("cardctl", "holder", "add", "--staff-number", "1001", "--given-name", "Alice")
        world.run("cardd-sim", "new", "desfire-ev2", "--out", "badge.json")
        inserted = world.insert("badge.json")
        world.ask("badge", "enrol", "--holder", "1001")
        world.take_away(inserted)
        yield world


def inspected(world: World, card: str, *options: str) -> Any:
    """Inspect a virtual card; return what the daemon says of it."""
    inserted = world.insert(card)
    try:
        return world.ask("badge", "inspect", *options)
    finally:
        world.take_away(inserted)


def shown(world: World, card: str, *options: str) -> str:
    """Inspect a virtual card; return what a person reads."""
    inserted = world.insert(card)
    try:
        return world.run("cardctl", "badge", "inspect", *options).output
    finally:
        world.take_away(inserted)


def codes(seen: Any) -> set[str]:
    return {finding["code"] for finding in seen["findings"]}


def foreign_card(path: Path) -> None:
    """Make the card of another establishment: its key, an application, a file for everybody."""
    badge, card = VirtualDesfire.factory("ev1"), DesfireCard()
    zero = DesfireKey.zero(KeyType.TDEA2)
    free = DataFileSettings(CommunicationMode.PLAIN, AccessRights(FREE, 0, 0, 0), 16)
    for exchange in (
        card.authenticate_iso(0, zero),
        card.create_application(0xABCDEF, ApplicationSettings(KeySettings.parse(0x0B), 1)),
        card.select_application(0xABCDEF),
        card.authenticate_aes(0, DesfireKey.zero(KeyType.AES)),
        card.create_file(2, free),
    ):
        play(exchange, badge.transmit)
    create(path, badge)


def test_a_factory_card_is_shown_as_open(here: World) -> None:
    here.run("cardd-sim", "new", "desfire-ev3", "--out", "blank.json", "--storage", "8k")
    seen = inspected(here, "blank.json", "--try-default-keys")
    assert (seen["card"]["product"], seen["card"]["storage_bytes"]) == ("ev3", [8192, 8192])
    assert seen["badge"] is None
    assert seen["unavailable"]["code"] == "badge_unknown"
    assert {"default_key", "free_create_delete", "free_listing"} <= codes(seen)
    assert seen["findings"][0]["severity"] == "critical"
    text = shown(here, "blank.json")
    assert "DESFire EV3, 8 KB" in text
    assert "Anybody may create or delete things in the card itself." in text


def test_our_badge_is_shown_with_its_holder_and_its_content(here: World) -> None:
    before = (here.folder / "badge.json").read_bytes()
    seen = inspected(here, "badge.json")
    assert seen["unavailable"] is None
    assert seen["badge"]["holder"]["staff_number"] == "1001"
    assert seen["badge"]["card"]["authenticate_key"] == "own"
    assert seen["badge"]["card"]["differences"] == []
    text = shown(here, "badge.json")
    assert re.search(r"holder +Alice \(1001\)", text)
    assert re.search(r"state +active, expires 20\d\d-", text)
    assert "application F5CA4D (the badge); 2 AES keys" in text
    assert "file 1: standard, 32 bytes, enciphered; read: key 1" in text
    assert (here.folder / "badge.json").read_bytes() == before


def test_a_tap_follows_an_inspection_of_a_badge_that_stays(here: World) -> None:
    inserted = here.insert("badge.json")
    try:
        here.ask("badge", "inspect")
        here.ask("badge", "inspect", "--try-default-keys")
        refused = here.run("cardctl", "--json", "badge", "enrol", "--holder", "1001", expect=1)
    finally:
        here.take_away(inserted)
    assert json.loads(refused.errors)["code"] in {"already_active", "conflict"}


def test_a_foreign_card_is_shown_with_what_it_tells(here: World) -> None:
    foreign_card(here.folder / "foreign.json")
    seen = inspected(here, "foreign.json")
    (application,) = seen["card"]["applications"]
    assert (application["aid"], application["key_type"]) == ("ABCDEF", "aes")
    assert {"other_applications", "free_access_file"} <= codes(seen)
    assert seen["badge"] is None
    text = shown(here, "foreign.json")
    assert "Anybody may use file 2 of application ABCDEF: read." in text
    assert "file 2: standard, 16 bytes, in clear; read: anybody" in text


def test_a_card_with_a_random_uid_cannot_be_a_badge(here: World) -> None:
    badge, card = VirtualDesfire.factory("ev2"), DesfireCard()
    play(card.authenticate_iso(0, DesfireKey.zero(KeyType.TDEA2)), badge.transmit)
    play(card.set_picc_configuration(random_uid_for_ever=True), badge.transmit)
    create(here.folder / "random.json", badge)
    seen = inspected(here, "random.json")
    assert (seen["card"]["uid_kind"], seen["card"]["uid"][:2]) == ("random", "08")
    assert seen["card"]["told_uid"] is None
    assert seen["card"]["originality"]["state"] in {"not-checked", "not-supported"}
    assert "random_uid" in codes(seen)


def registry(world: World, statement: str) -> sqlite3.Connection:
    """Do something to the registry behind the daemon's back."""
    connection = sqlite3.connect(world.folder / "registry.db", isolation_level=None)
    connection.execute(statement)
    return connection


def test_a_registry_that_is_locked_for_writing_does_not_matter(here: World) -> None:
    with contextlib.closing(registry(here, "BEGIN EXCLUSIVE")):
        assert inspected(here, "badge.json")["badge"] is not None


def test_without_the_key_service_a_card_is_still_shown(here: World) -> None:
    registry(here, "ALTER TABLE badge RENAME TO away").close()
    try:
        seen = inspected(here, "badge.json")
        text = shown(here, "badge.json")
    finally:
        registry(here, "ALTER TABLE away RENAME TO badge").close()
    assert seen["badge"] is None
    assert seen["unavailable"]["code"] == "kms_unavailable"
    assert [one["aid"] for one in seen["card"]["applications"]] == ["F5CA4D"]
    assert "application F5CA4D" in text
    assert inspected(here, "badge.json")["badge"] is not None, "and it comes back"


def test_findings_are_said_in_french_too(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    here.run("cardd-sim", "new", "desfire-ev1", "--out", "vierge.json")
    assert "N'importe qui peut créer ou supprimer dans la carte elle-même." in shown(
        here, "vierge.json"
    )


def test_a_virtual_card_is_original_where_its_test_key_is_configured() -> None:
    with World(light=True) as world:
        world.run("cardd-sim", "new", "desfire-ev2", "--out", "card.json")
        listing = world.run("cardd-sim", "show", "card.json").output
        (key,) = re.findall(r"\b04[0-9A-F]{112}\b", listing)
        text = world.configuration.read_text()
        world.configuration.write_text(
            text.replace("[badge]\n", f'[badge]\noriginality_test_keys = ["{key}"]\n')
        )
        world.run("cardd-kms", "init", "--config", "cardd.toml")
        world.start_daemon()
        seen = inspected(world, "card.json")
    assert seen["card"]["originality"] == {
        "state": "genuine", "key": "virtual card", "test": True
    }  # fmt: skip
    assert "test_signature" in codes(seen)


def test_a_key_for_virtual_cards_that_is_none_stops_the_start() -> None:
    with World(light=True) as world:
        text = world.configuration.read_text()
        world.configuration.write_text(
            text.replace("[badge]\n", f'[badge]\noriginality_test_keys = ["04{"11" * 56}"]\n')
        )
        world.run("cardd-kms", "init", "--config", "cardd.toml")
        ended = world.run("cardd", "--config", "cardd.toml", expect=None)
    assert ended.code != 0
    assert "config_invalid" in ended.errors
    assert "originality_test_keys" in ended.errors
