"""`inspect` through a real key service: what it tells of a badge, and that it changes nothing."""

import json
from pathlib import Path

import msgspec
import pytest

from cardd import assembly
from cardd.badges.inspection.facts import KeyMatch
from cardd.badges.model import Badge, Scheme
from cardd.badges.states import BadgeState, RevocationReason
from cardd.config import Config
from cardd.desfire.applications import KeySettings
from cardd.desfire.card import DesfireCard
from cardd.desfire.command import CommunicationMode, Ins
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.errors import Code, Refused
from cardd.iso7816.exchange import Exchange
from cardd.kms import messages as m
from cardd.kms.badge_keys import KeySource
from cardd.kms.masters import keystore
from cardd.kms.masters.slots import CredentialFile
from cardd.kms.ports import KeyService, Purpose, Right
from cardd.secret import Secret
from simulators.desfire.picc import VirtualDesfire
from tests.kms.kms_world import (
    Cut,
    MovedClock,
    Relay,
    configuration,
    encoded,
    holder,
    key_service,
    refusal,
)

pytestmark = pytest.mark.unit

AID = 0xF5CA4D
SCHEMES = ("ev1", "ev2")
READS = {
    Ins.SELECT_APPLICATION,
    Ins.AUTHENTICATE_AES,
    Ins.AUTHENTICATE_EV2_FIRST,
    Ins.ADDITIONAL_FRAME,
    Ins.GET_KEY_SETTINGS,
    Ins.GET_KEY_VERSION,
    Ins.FREE_MEM,
    Ins.GET_APPLICATION_IDS,
    Ins.GET_CARD_UID,
    Ins.GET_FILE_IDS,
    Ins.GET_FILE_SETTINGS,
    Ins.READ_DATA,
}


def inspected(
    service: KeyService, badge: VirtualDesfire, *, try_other_keys: bool = False
) -> m.Inspected:
    outcome = Relay(service, badge).run(m.Inspect(badge.uid, try_other_keys))
    assert isinstance(outcome, m.Inspected)
    return outcome


def keys_of(config: Config, uid: bytes, generation: int = 1) -> dict[Purpose, DesfireKey]:
    """Derive what a badge's keys should be, from the keystore file."""
    path = Path(config.kms.masters.removeprefix("soft:"))
    assert config.kms.credential_file is not None
    masters = keystore.open_keystore(path, CredentialFile(config.kms.credential_file))
    row = Badge("00" * 16, uid, AID, "N", Scheme.EV1_AES, generation, BadgeState.ACTIVE)
    source = KeySource(masters, config.badge)
    purposes = (Purpose.PICC, Purpose.APP_MASTER, Purpose.AUTHENTICATE)
    return {purpose: source.derive(purpose, row) for purpose in purposes}


def do(badge: VirtualDesfire, *exchanges: Exchange[None]) -> None:
    """Do something to a badge behind the registry's back."""
    badge.reset()
    for exchange in exchanges:
        commands = next(exchange, None)
        while commands is not None:
            answers = tuple(badge.transmit(command) for command in commands)
            try:
                commands = exchange.send(answers)
            except StopIteration:
                commands = None


def with_keys(badge: VirtualDesfire, config: Config, **others: DesfireKey) -> None:
    """Give a badge other keys than its own, by name: picc, master, authenticate."""
    own, card = keys_of(config, badge.uid), DesfireCard()
    master = own[Purpose.APP_MASTER]
    steps: list[Exchange[None]] = [card.select_application(AID), card.authenticate_aes(0, master)]
    if "authenticate" in others:
        old = own[Purpose.AUTHENTICATE]
        steps.append(card.change_key(1, others["authenticate"], old_key=old))
    if "master" in others:
        steps.append(card.change_key(0, others["master"]))
    if "picc" in others:
        steps += [card.select_application(0), card.authenticate_aes(0, own[Purpose.PICC])]
        steps.append(card.change_key(0, others["picc"]))
    do(badge, *steps)


@pytest.mark.parametrize("product", SCHEMES)
def test_a_badge_of_ours_is_as_the_registry_says(service: KeyService, product: str) -> None:
    badge = VirtualDesfire.factory(product)
    who = holder(service)
    receipt = encoded(service, badge, who.id)
    seen = inspected(service, badge)
    assert seen.registry.number == receipt.number
    assert seen.registry.state == "active"
    assert not seen.registry.expired
    assert seen.holder is not None
    assert seen.holder.id == who.id
    card = seen.card
    assert (card.picc_key, card.master_key, card.authenticate_key) == ("own", "own", "own")
    assert card.differences == ()
    assert card.listed == ("F5CA4D",)
    assert card.free_bytes == badge.chip.free_bytes
    assert card.picc is not None
    assert card.picc.key_versions == (receipt.generation,)
    assert card.application is not None
    assert card.application.key_type == "aes"
    assert card.application.key_versions == (receipt.generation,) * 2
    (file,) = card.application.files or ()
    assert (file.number, file.type, file.mode, file.size_bytes) == (1, "standard", "full", 32)
    assert (file.read, file.write, file.read_write, file.change) == (1, 0, "never", 0)


@pytest.mark.parametrize("try_other_keys", [False, True])
@pytest.mark.parametrize("product", SCHEMES)
def test_nothing_on_the_badge_changes(
    service: KeyService, product: str, try_other_keys: bool
) -> None:
    badge = VirtualDesfire.factory(product)
    encoded(service, badge)
    before = badge.to_json()
    relay = Relay(service, badge)
    relay.run(m.Inspect(badge.uid, try_other_keys))
    assert {command[1] for command in relay.sent} <= READS
    assert badge.to_json() == before


def test_a_factory_card_is_none_of_ours(service: KeyService) -> None:
    badge = VirtualDesfire.factory("ev2")
    assert refusal(service, badge, m.Inspect(badge.uid)) is Code.BADGE_UNKNOWN


def test_it_needs_its_right(config: Config, clock: MovedClock) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "EMBEDDED_RIGHTS", frozenset(Right) - {Right.INSPECT})
        with key_service(config, clock) as service:
            badge = VirtualDesfire.factory("ev2")
            encoded(service, badge)
            assert refusal(service, badge, m.Inspect(badge.uid)) is Code.FORBIDDEN


def test_it_is_in_the_audit_with_what_the_badge_answered_to(
    service: KeyService, config: Config
) -> None:
    badge = VirtualDesfire.factory("ev2")
    receipt = encoded(service, badge)
    inspected(service, badge)
    lines = [json.loads(line) for line in config.kms.audit.read_text().splitlines()]
    begun, done = (line for line in lines if str(line.get("event", "")).startswith("inspect"))
    assert (begun["event"], done["event"]) == ("inspect.begun", "inspect.done")
    facts = done["facts"]
    assert facts["badge"] == receipt.badge
    assert facts["picc_key"] == "own"
    assert facts["differences"] == ""


@pytest.mark.parametrize("product", SCHEMES)
def test_the_outcome_holds_no_key(service: KeyService, config: Config, product: str) -> None:
    badge = VirtualDesfire.factory(product)
    encoded(service, badge)
    raw = msgspec.json.encode(inspected(service, badge)).lower()
    for key in keys_of(config, badge.uid).values():
        assert key.value.reveal().hex().encode() not in raw


@pytest.mark.parametrize(
    ("name", "fact"),
    [("picc", "picc_key"), ("master", "master_key"), ("authenticate", "authenticate_key")],
)
def test_a_key_that_is_not_ours_is_said(
    service: KeyService, config: Config, name: str, fact: str
) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge)
    with_keys(badge, config, **{name: DesfireKey(KeyType.AES, Secret(b"x" * 16), 9)})
    seen = inspected(service, badge, try_other_keys=True).card
    assert getattr(seen, fact) is None
    others = {"picc_key", "master_key", "authenticate_key"} - {fact}
    assert {getattr(seen, other) for other in others} == {"own"}


@pytest.mark.parametrize("match", ["another-badge", "without-uid", "zeros"])
def test_a_key_that_others_have_too_is_found_where_one_asks_for_that(
    service: KeyService, config: Config, match: KeyMatch
) -> None:
    badges = [VirtualDesfire.factory("ev2") for _ in range(2)]
    for badge in badges:
        encoded(service, badge)
    mine, other = badges
    common = {
        "another-badge": keys_of(config, other.uid)[Purpose.AUTHENTICATE],
        "without-uid": keys_of(config, bytes(7))[Purpose.AUTHENTICATE],
        "zeros": DesfireKey.zero(KeyType.AES),
    }[match]
    with_keys(mine, config, authenticate=common)
    assert inspected(service, mine).card.authenticate_key is None
    assert inspected(service, mine, try_other_keys=True).card.authenticate_key == match


def test_other_keys_are_tried_only_where_it_does_not_answer_to_its_own(
    service: KeyService,
) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge)
    relay = Relay(service, badge)
    relay.run(m.Inspect(badge.uid, try_other_keys=True))
    tries = [command for command in relay.sent if command[1] == Ins.AUTHENTICATE_EV2_FIRST]
    assert len(tries) == 3


def test_a_badge_that_was_changed_is_said_to_differ(service: KeyService, config: Config) -> None:
    badge = VirtualDesfire.factory("ev1")
    encoded(service, badge)
    keys, card = keys_of(config, badge.uid), DesfireCard()
    do(
        badge,
        card.authenticate_aes(0, keys[Purpose.PICC]),
        card.change_key_settings(KeySettings.parse(0x0F)),
        card.select_application(AID),
        card.authenticate_aes(0, keys[Purpose.APP_MASTER]),
        card.write_data(1, 5, b"other", CommunicationMode.FULL),
        card.change_key_settings(KeySettings.parse(0x0B)),
    )
    seen = inspected(service, badge).card
    assert seen.differences == ("picc-settings", "application-settings", "content")


def test_an_application_that_is_gone_is_said(service: KeyService, config: Config) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge)
    card = DesfireCard()
    key = keys_of(config, badge.uid)[Purpose.PICC]
    do(badge, card.authenticate_aes(0, key), card.delete_application(AID))
    seen = inspected(service, badge).card
    assert seen.differences == ("application",)
    assert seen.application is None
    assert seen.listed == ()


def test_a_file_that_is_gone_is_said(service: KeyService, config: Config) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge)
    card, key = DesfireCard(), keys_of(config, badge.uid)[Purpose.APP_MASTER]
    do(badge, card.select_application(AID), card.authenticate_aes(0, key), card.delete_file(1))
    assert inspected(service, badge).card.differences == ("files", "content")


def test_a_revoked_and_an_expired_badge_can_be_inspected(
    service: KeyService, clock: MovedClock
) -> None:
    badge = VirtualDesfire.factory("ev2")
    receipt = encoded(service, badge, holder(service).id)
    service.revoke_badge(receipt.number, RevocationReason.LOST.value)
    clock.time = receipt.expires_at
    seen = inspected(service, badge)
    assert (seen.registry.state, seen.registry.reason) == ("revoked", "lost")
    assert seen.registry.expired
    assert seen.card.differences == ()


def test_a_blank_with_its_transport_key_is_known_for_that(
    tmp_path: Path, clock: MovedClock
) -> None:
    with key_service(configuration(tmp_path, "transport"), clock) as service:
        badge = VirtualDesfire.factory("ev2")
        Relay(service, badge).run(m.Prepare(badge.uid))
        seen = inspected(service, badge)
        assert seen.registry.state == "blank"
        assert seen.card.picc_key == "transport"
        assert seen.card.differences == ()


def test_an_encoding_that_was_cut_is_said(service: KeyService) -> None:
    badge = VirtualDesfire.factory("ev2")
    relay = Relay(service, badge)
    with pytest.raises(Cut):
        relay.run(m.Encode(badge.uid), cut_at=20)
    seen = inspected(service, badge)
    assert seen.registry.unfinished == "encode-factory"
    assert seen.card.picc_key == "transport"


def test_an_answer_with_a_wrong_mac_ends_it(service: KeyService) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge)
    relay = Relay(service, badge)
    relay.run(m.Inspect(badge.uid))
    after_authentication = 5

    def spoilt(count: int, answer: bytes) -> bytes:
        return (
            answer[:-3] + bytes((answer[-3] ^ 1,)) + answer[-2:]
            if count >= after_authentication
            else answer
        )

    with pytest.raises(Refused) as caught:
        relay.run(m.Inspect(badge.uid), spoil=spoilt)
    assert caught.value.code is Code.BADGE_NOT_GENUINE


def test_another_card_with_the_uid_of_a_badge_is_found_out(service: KeyService) -> None:
    badge = VirtualDesfire.factory("ev2")
    encoded(service, badge)
    copy = VirtualDesfire.factory("ev2", uid=badge.uid)
    seen = inspected(service, copy)
    assert (seen.card.picc_key, seen.card.authenticate_key) == (None, None)
    assert seen.card.differences == ("application",)
