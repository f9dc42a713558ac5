"""What a card tells anybody: asked without a key, changing nothing, whatever the card answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardd.desfire.applications import ApplicationSettings, DfName, KeySettings
from cardd.desfire.card import DesfireCard
from cardd.desfire.command import CommunicationMode, Ins
from cardd.desfire.files import FREE, AccessRights, DataFileSettings
from cardd.desfire.inspection import (
    MALFORMED,
    MOST_APPLICATIONS,
    PiccContent,
    Refusal,
    inspect,
    storage_bytes,
)
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.originality import verify, virtual_key
from cardd.desfire.version import Product
from cardd.errors import CardProtocolError, CardStatusError
from cardd.secret import Secret
from simulators.desfire.originality import public_key
from simulators.desfire.picc import VirtualDesfire
from tests.desfire.recorded_card import play
from tests.examples import examples

pytestmark = pytest.mark.unit

READS = {
    Ins.SELECT_APPLICATION,
    Ins.GET_VERSION,
    Ins.GET_KEY_SETTINGS,
    Ins.GET_KEY_VERSION,
    Ins.FREE_MEM,
    Ins.GET_APPLICATION_IDS,
    Ins.GET_DF_NAMES,
    Ins.READ_SIGNATURE,
    Ins.GET_FILE_IDS,
    Ins.GET_FILE_SETTINGS,
    Ins.ADDITIONAL_FRAME,
}
AUTHENTICATIONS = {Ins.AUTHENTICATE_ISO, Ins.AUTHENTICATE_AES, Ins.AUTHENTICATE_LEGACY}
CLOSED = KeySettings.parse(0x09)
KEY = DesfireKey(KeyType.AES, Secret(b"k" * 16), 7)
FILE = DataFileSettings(CommunicationMode.PLAIN, AccessRights(FREE, 0, 0, 0), 32)


def seen(badge: VirtualDesfire, *, try_default_keys: bool = False) -> PiccContent:
    badge.reset()
    badge.commands.clear()
    content = play(inspect(try_default_keys=try_default_keys), badge.transmit)
    assert isinstance(content, PiccContent)
    return content


def with_application(
    product: str = "ev2", settings: int = 0x0F, aid: int = 0xF5CA4D
) -> VirtualDesfire:
    """Return a card with an application of two AES keys, the second of its own, and a free file."""
    badge, card = VirtualDesfire.factory(product), DesfireCard()
    made = ApplicationSettings(KeySettings.parse(settings), 2)
    for exchange in (
        card.authenticate_iso(0, DesfireKey.zero(KeyType.TDEA2)),
        card.create_application(aid, made),
        card.select_application(aid),
        card.authenticate_aes(0, DesfireKey.zero(KeyType.AES)),
        card.change_key(1, KEY, old_key=DesfireKey.zero(KeyType.AES)),
        card.create_file(3, FILE),
    ):
        play(exchange, badge.transmit)
    return badge


def closed() -> VirtualDesfire:
    """Return a card whose PICC key was set, and that lists nothing without it."""
    badge, card = VirtualDesfire.factory("ev2"), DesfireCard()
    for exchange in (
        card.authenticate_iso(0, DesfireKey.zero(KeyType.TDEA2)),
        card.change_key(0, KEY),
        card.authenticate_aes(0, KEY),
        card.change_key_settings(CLOSED),
    ):
        play(exchange, badge.transmit)
    return badge


@pytest.mark.parametrize(("product", "expected"), [("ev1", Product.EV1), ("ev2", Product.EV2)])
def test_a_factory_card_tells_what_it_is_and_that_it_is_empty(
    product: str, expected: Product
) -> None:
    badge = VirtualDesfire.factory(product)
    content = seen(badge)
    assert content.version is not None
    assert content.version.product is expected
    assert content.version.uid == badge.uid
    assert content.aids == ()
    assert content.free_bytes is not None
    assert content.picc.settings is not None
    assert content.picc.settings.key_settings.free_create_delete
    assert content.picc.key_versions == (0,)
    assert content.picc.default_keys is None


def test_applications_are_shown_with_their_keys_and_files() -> None:
    content = seen(with_application())
    (application,) = content.applications
    assert application.aid == 0xF5CA4D
    assert application.settings == ApplicationSettings(KeySettings.parse(0x0F), 2)
    assert application.key_versions == (0, 7)
    assert application.files is not None
    assert [(file.number, file.settings) for file in application.files] == [(3, FILE)]


def test_names_for_iso_7816_4_and_the_makers_signature_are_read() -> None:
    badge, card = VirtualDesfire.factory("ev2"), DesfireCard()
    made = ApplicationSettings(KeySettings.parse(0x0F), 1, iso_file_ids=True)
    name = bytes.fromhex("D2760000850101")
    created = card.create_application(0x123456, made, iso_file_id=0xE110, df_name=name)
    play(created, badge.transmit)
    content = seen(badge)
    assert content.names == (DfName(0x123456, 0xE110, name),)
    assert content.signature is not None
    key = public_key(badge.chip.originality_key).hex()
    assert verify(badge.uid, content.signature, (virtual_key(key),)) == "virtual card"
    assert verify(badge.uid, content.signature) is None


def test_what_an_application_does_not_list_freely_is_left_out_and_said() -> None:
    content = seen(with_application(settings=CLOSED.encode()))
    (application,) = content.applications
    assert application.settings is None
    assert application.files is None
    assert Refusal("GET_KEY_SETTINGS", "AUTHENTICATION_ERROR", 0xF5CA4D) in content.refusals
    assert Refusal("GET_FILE_IDS", "AUTHENTICATION_ERROR", 0xF5CA4D) in content.refusals


def test_a_card_that_lists_nothing_freely_still_says_what_it_is() -> None:
    content = seen(closed())
    assert content.version is not None
    assert content.aids is None
    assert content.picc.settings is None
    assert content.picc.key_versions == (KEY.version,)
    assert Refusal("GET_APPLICATION_IDS", "AUTHENTICATION_ERROR", 0) in content.refusals


def test_an_application_that_is_looked_for_is_found_though_nothing_is_listed() -> None:
    badge, card = with_application(), DesfireCard()
    badge.reset()
    play(card.authenticate_iso(0, DesfireKey.zero(KeyType.TDEA2)), badge.transmit)
    play(card.change_key_settings(CLOSED), badge.transmit)
    badge.reset()
    content = play(inspect(also=(0xF5CA4D, 0x123456)), badge.transmit)
    assert content.aids is None
    assert [one.aid for one in content.applications] == [0xF5CA4D]


@pytest.mark.parametrize("try_default_keys", [False, True])
def test_no_command_changes_anything(try_default_keys: bool) -> None:
    for badge in (VirtualDesfire.factory("ev1"), with_application(), closed()):
        before = badge.to_json()
        seen(badge, try_default_keys=try_default_keys)
        allowed = READS | (AUTHENTICATIONS if try_default_keys else set())
        assert {command[1] for command in badge.commands} <= allowed
        assert badge.to_json() == before


def test_keys_of_zeros_are_found_where_one_asks_for_that() -> None:
    content = seen(with_application(), try_default_keys=True)
    assert content.picc.default_keys == (0,)
    assert [one.default_keys for one in content.applications] == [(0,)]
    assert seen(closed(), try_default_keys=True).picc.default_keys == ()


@pytest.mark.parametrize("key_type", list(KeyType))
def test_keys_of_zeros_of_each_type_are_found(key_type: KeyType) -> None:
    badge, card = VirtualDesfire.factory("ev1"), DesfireCard()
    made = ApplicationSettings(KeySettings.parse(0x0F), 1, key_type)
    play(card.create_application(0x123456, made), badge.transmit)
    content = seen(badge, try_default_keys=True)
    assert [one.default_keys for one in content.applications] == [(0,)]


def test_a_key_with_a_version_is_not_tried_and_each_other_key_once() -> None:
    badge = with_application()
    seen(badge, try_default_keys=True)
    tried = [command for command in badge.commands if command[1] in AUTHENTICATIONS]
    assert [command[5] for command in tried] == [0, 0], "the PICC's key and the application's"


def test_a_first_generation_card_is_asked_in_the_way_it_knows() -> None:
    badge = VirtualDesfire.factory("ev1")

    def as_d40(command: bytes) -> bytes:
        if command[1] in {Ins.AUTHENTICATE_ISO, Ins.AUTHENTICATE_AES, Ins.FREE_MEM}:
            return bytes.fromhex("911C")
        return badge.transmit(command)

    content = play(inspect(try_default_keys=True), as_d40)
    assert content.free_bytes is None
    assert content.picc.default_keys == (0,)
    assert Refusal("FREE_MEM", "ILLEGAL_COMMAND_CODE", 0) in content.refusals


def test_another_card_refuses_all_of_it_and_that_is_no_error() -> None:
    content = play(inspect(try_default_keys=True), lambda _command: bytes.fromhex("6E00"))
    assert content.version is None
    assert content.aids is None
    assert content.applications == ()
    assert {refusal.status for refusal in content.refusals} == {"6E00"}


def test_layouts_that_are_not_known_are_passed_over() -> None:
    badge = with_application()

    def odd(command: bytes) -> bytes:
        if command[1] in {Ins.GET_KEY_SETTINGS, Ins.GET_FILE_SETTINGS}:
            return b"\x05" * 30 + bytes.fromhex("9100")
        if command[1] == Ins.GET_VERSION:
            return b"\x04" * 8 + bytes.fromhex("9100")
        return badge.transmit(command)

    content = play(inspect(), odd)
    assert content.version is None
    assert [one.settings for one in content.applications] == [None]
    assert Refusal("GET_VERSION", MALFORMED, 0) in content.refusals
    assert Refusal("GET_FILE_SETTINGS", MALFORMED, 0xF5CA4D) in content.refusals


def test_no_more_applications_are_looked_into_than_a_card_can_have() -> None:
    listed = b"".join(number.to_bytes(3, "little") for number in range(1, 201))
    sent: list[bytes] = []

    def endless(command: bytes) -> bytes:
        sent.append(command)
        if command[1] == Ins.GET_APPLICATION_IDS or command[1] == Ins.ADDITIONAL_FRAME:
            part = listed[: 3 * 19] if command[1] == Ins.GET_APPLICATION_IDS else b""
            return part + bytes.fromhex("9100")
        if command[1] == Ins.GET_FILE_IDS:
            return bytes(range(32)) + bytes.fromhex("9100")
        if command[1] == Ins.SELECT_APPLICATION:
            return bytes.fromhex("9100")
        if command[1] == Ins.GET_KEY_SETTINGS:
            return bytes.fromhex("0F8E9100")
        if command[1] == Ins.GET_KEY_VERSION:
            return bytes.fromhex("009100")
        return bytes.fromhex("91AE")

    content = play(inspect(try_default_keys=True), endless)
    assert len(content.applications) == min(19, MOST_APPLICATIONS)
    assert len(sent) < 2500


@pytest.mark.fuzz
@given(st.lists(st.binary(max_size=64), max_size=40), st.booleans(), st.booleans())
@examples(60)
def test_whatever_a_card_answers_there_is_a_content_or_a_documented_error(
    answers: list[bytes], try_default_keys: bool, with_status: bool
) -> None:
    left = iter(answers)

    def transmit(_command: bytes) -> bytes:
        answer = next(left, b"\x91\x1c")
        return answer + b"\x91\x00" if with_status else answer

    try:
        content = play(inspect(try_default_keys=try_default_keys), transmit)
    except (CardProtocolError, CardStatusError):
        return
    assert isinstance(content, PiccContent)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0x16, (2048, 2048)),
        (0x18, (4096, 4096)),
        (0x1A, (8192, 8192)),
        (0x17, (2048, 4096)),
        (0x1C, (16384, 16384)),
        (0xFF, None),
    ],
)
def test_the_storage_code_is_a_power_of_two_or_between_two(
    code: int, expected: tuple[int, int] | None
) -> None:
    assert storage_bytes(code) == expected
