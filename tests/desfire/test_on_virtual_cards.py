"""Keys, names, UIDs, configuration and ISO commands on virtual cards, which share no code."""

from collections.abc import Callable
from typing import Any

import pytest
from Crypto.PublicKey import ECC

from cardd.desfire.applications import ApplicationSettings, DfName, KeySettings
from cardd.desfire.authentication import AuthenticationScheme, handshake
from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.command import CommunicationMode
from cardd.desfire.file_settings import DataFileSettings, RecordFileSettings
from cardd.desfire.files import FREE, AccessRights
from cardd.desfire.iso import MASTER_FILE, IsoCommands
from cardd.desfire.keys import DesfireKey, KeyType
from cardd.desfire.originality import NxpKey, verify
from cardd.desfire.version import Product
from cardd.errors import CardProtocolError, CardStatusError
from cardd.secret import Secret
from simulators.desfire.picc import VirtualDesfire
from tests.desfire.recorded_card import play

pytestmark = pytest.mark.unit

AID = 0xF51234
LEGACY, ISO_SCHEME = AuthenticationScheme.LEGACY, AuthenticationScheme.ISO
AES_SCHEME, EV2 = AuthenticationScheme.AES, AuthenticationScheme.EV2_FIRST
PLAIN = CommunicationMode.PLAIN
PICC_ZERO = DesfireKey.zero(KeyType.TDEA2)


def numbers(size: int) -> bytes:
    return bytes(range(1, size + 1))


def virtual(product: str = "ev2", uid: bytes | None = None) -> VirtualDesfire:
    return VirtualDesfire.factory(product, uid=uid, rng=numbers)


class Reader:
    """A card in the field, and the driver of it."""

    def __init__(self, card: VirtualDesfire) -> None:
        self.virtual = card
        self.card = DesfireCard()

    def __call__(self, run: Callable[[DesfireCard], Any]) -> Any:
        return play(run(self.card), self.virtual.transmit)

    def authenticate(self, scheme: AuthenticationScheme, number: int, key: DesfireKey) -> None:
        self(lambda card: card.authenticate(handshake(scheme, number, key)))


def key(kind: str, version: int = 0) -> DesfireKey:
    half = bytes(range(0x20, 0x30, 2))
    values = {
        "DES": (KeyType.TDEA2, half * 2),
        "2TDEA": (KeyType.TDEA2, half + bytes(range(0x80, 0x90, 2))),
        "3TDEA": (KeyType.TDEA3, bytes(range(0x10, 0x40, 2))),
        "AES": (KeyType.AES, bytes(range(0xA0, 0xB0))),
    }
    key_type, value = values[kind]
    return DesfireKey(key_type, Secret(value), version)


SCHEMES = {
    "DES": (LEGACY, ISO_SCHEME),
    "2TDEA": (LEGACY, ISO_SCHEME),
    "3TDEA": (ISO_SCHEME,),
    "AES": (AES_SCHEME, EV2),
}
OPENED = [(kind, scheme) for kind, schemes in SCHEMES.items() for scheme in schemes]
each_session = pytest.mark.parametrize(
    ("kind", "scheme"), OPENED, ids=[f"{kind} {scheme.name}" for kind, scheme in OPENED]
)


def with_picc_key(kind: str, scheme: AuthenticationScheme) -> Reader:
    """Return a card whose PICC has a key of a kind, authenticated with it by a scheme."""
    reader = Reader(virtual())
    reader.authenticate(LEGACY, 0, PICC_ZERO)
    reader(lambda card: card.change_key(0, key(kind, 7)))
    reader.authenticate(scheme, 0, key(kind, 7))
    return reader


@each_session
@pytest.mark.parametrize("new", SCHEMES)
def test_the_picc_key_becomes_any_other_in_every_session(
    kind: str, scheme: AuthenticationScheme, new: str
):
    reader = with_picc_key(kind, scheme)
    reader(lambda card: card.change_key(0, key(new, 0xA5)))
    assert reader.card.session is None
    for again in SCHEMES[new]:
        reader.authenticate(again, 0, key(new, 0xA5))
        assert reader(lambda card: card.get_key_version(0)) == 0xA5


@each_session
def test_another_key_changes_twice_and_keeps_its_version(kind: str, scheme: AuthenticationScheme):
    reader = Reader(virtual())
    key_type = key(kind).type
    zero = DesfireKey.zero(key_type)
    settings = ApplicationSettings(KeySettings.parse(0x0F), 2, key_type)
    reader(lambda card: card.create_application(AID, settings))
    reader(lambda card: card.select_application(AID))
    reader.authenticate(scheme, 0, zero)
    reader(lambda card: card.change_key(1, key(kind, 0x5A), old_key=zero))
    assert reader(lambda card: card.get_key_version(1)) == 0x5A
    other = DesfireKey(key_type, Secret(bytes(range(0, 2 * key_type.key_bytes, 2))), 0xC3)
    reader(lambda card: card.change_key(1, other, old_key=key(kind, 0x5A)))
    assert reader(lambda card: card.get_key_version(1)) == 0xC3
    for again in SCHEMES[kind]:
        reader.authenticate(again, 1, other)


@each_session
def test_a_wrong_old_value_is_refused_as_such(kind: str, scheme: AuthenticationScheme):
    reader = Reader(virtual())
    key_type = key(kind).type
    settings = ApplicationSettings(KeySettings.parse(0x0F), 2, key_type)
    reader(lambda card: card.create_application(AID, settings))
    reader(lambda card: card.select_application(AID))
    reader.authenticate(scheme, 0, DesfireKey.zero(key_type))
    with pytest.raises(CardStatusError, match="another than the one given"):
        reader(lambda card: card.change_key(1, key(kind), old_key=key(kind, 1)))


@each_session
def test_names_are_told_in_every_session(kind: str, scheme: AuthenticationScheme):
    reader = with_picc_key(kind, scheme)
    settings = ApplicationSettings(KeySettings.parse(0x0F), 1, iso_file_ids=True)
    expected = (DfName(AID, 0xE110, b"badge"), DfName(2, 0xE112, b"sixteen bytes..."))
    for name in expected:
        reader(
            lambda card, name=name: card.create_application(
                name.aid, settings, iso_file_id=name.iso_file_id, df_name=name.name
            )
        )
    assert reader(lambda card: card.get_df_names()) == expected
    assert reader.card.session is not None
    reader(lambda card: card.select_application(AID))
    assert reader(lambda card: card.get_key_settings()) == settings


@pytest.mark.parametrize(
    ("product", "uid"),
    [
        ("ev1", bytes.fromhex("04112233445566")),
        ("ev2", bytes.fromhex("08112233")),
        ("ev3", bytes(range(4, 14))),
    ],
)
@pytest.mark.parametrize("scheme", [LEGACY, ISO_SCHEME], ids=lambda scheme: scheme.name)
def test_a_uid_of_each_length_is_told_and_deciphered(
    product: str, uid: bytes, scheme: AuthenticationScheme
):
    reader = Reader(virtual(product, uid))
    assert reader(lambda card: card.get_version()).uid == uid
    reader.authenticate(scheme, 0, PICC_ZERO)
    assert reader(lambda card: card.get_card_uid()) == uid


@each_session
def test_a_random_uid_is_for_ever_and_the_real_one_told_in_a_session(
    kind: str, scheme: AuthenticationScheme
):
    reader = with_picc_key(kind, scheme)
    reader(lambda card: card.set_picc_configuration(random_uid_for_ever=True))
    reader.virtual.reset()
    reader.card = DesfireCard()
    assert reader(lambda card: card.get_version()).uid == bytes(7)
    reader.authenticate(scheme, 0, key(kind, 7))
    assert reader(lambda card: card.get_card_uid()) == reader.virtual.uid


@each_session
def test_a_format_that_was_disabled_is_refused_as_such(kind: str, scheme: AuthenticationScheme):
    reader = with_picc_key(kind, scheme)
    reader(lambda card: card.format_picc())
    reader(lambda card: card.set_picc_configuration(format_disabled_for_ever=True))
    with pytest.raises(CardStatusError, match="disabled for ever"):
        reader(lambda card: card.format_picc())


@each_session
def test_an_ats_is_set_in_every_session(kind: str, scheme: AuthenticationScheme):
    reader = with_picc_key(kind, scheme)
    ats = bytes.fromhex("08757781026162FF")
    reader(lambda card: card.set_ats(ats))
    assert reader.virtual.chip.ats == ats


@each_session
def test_the_default_key_is_what_new_applications_have(kind: str, scheme: AuthenticationScheme):
    reader = with_picc_key(kind, scheme)
    default = DesfireKey(KeyType.AES, Secret(bytes(range(16))), 9)
    reader(lambda card: card.set_default_key(default))
    reader(lambda card: card.create_application(AID, ApplicationSettings(KeySettings(), 1)))
    reader(lambda card: card.select_application(AID))
    reader.authenticate(AES_SCHEME, 0, default)
    assert reader(lambda card: card.get_key_version(0)) == 9


@pytest.mark.parametrize("product", ["ev1", "ev2", "ev3"])
def test_a_signature_verifies_under_the_cards_key_and_under_none_of_nxps(product: str):
    reader = Reader(virtual(product))
    signature = reader(lambda card: card.read_signature())
    private = int.from_bytes(reader.virtual.chip.originality_key)
    point = ECC.construct(curve="P-224", d=private).pointQ
    ours = NxpKey("ours", b"\x04" + int(point.x).to_bytes(28) + int(point.y).to_bytes(28), "test")
    assert verify(reader.virtual.uid, signature, (ours,)) == "ours"
    assert verify(reader.virtual.uid, signature) is None


@pytest.mark.parametrize("product", ["ev1", "ev2", "ev3"])
def test_the_longest_frames_of_a_product_are_taken(product: str):
    reader = Reader(virtual(product))
    version = reader(lambda card: card.get_version())
    assert version.product is Product[product.upper()]
    reader.card.frame_bytes = version.frame_bytes
    files(reader, ApplicationSettings(KeySettings.parse(0x0F), 1))
    data = bytes(range(250)) * 2
    reader(lambda card: card.write_data(1, 0, data, PLAIN))
    assert reader(lambda card: card.read_data(1, 0, 500, PLAIN)) == data


def files(reader: Reader, settings: ApplicationSettings) -> None:
    """Make an application with a free data file and a free record file, and select it."""
    free = AccessRights(FREE, FREE, FREE, FREE)
    iso = settings.iso_file_ids
    names = {"iso_file_id": 0xE110, "df_name": b"badge"} if iso else {}
    reader(lambda card: card.create_application(AID, settings, **names))
    reader(lambda card: card.select_application(AID))
    reader.authenticate(AES_SCHEME, 0, DesfireKey.zero(KeyType.AES))
    for number, file in (
        (1, DataFileSettings(PLAIN, free, 512)),
        (2, RecordFileSettings(PLAIN, free, 8, 5)),
    ):
        identifier = 0xE100 + number if iso else None
        reader(
            lambda card, number=number, file=file, identifier=identifier: card.create_file(
                number, file, iso_file_id=identifier
            )
        )


def test_iso_commands_read_and_write_what_native_ones_do():
    reader = Reader(virtual())
    files(reader, ApplicationSettings(KeySettings.parse(0x0F), 1, iso_file_ids=True))
    iso, transmit = IsoCommands(), reader.virtual.transmit
    data = bytes(range(200))
    play(iso.select_df_name(b"badge"), transmit)
    play(iso.select_file(0xE101), transmit)
    play(iso.update_binary(100, data), transmit)
    assert play(iso.read_binary(100, 200), transmit) == data
    reader(lambda card: card.select_application(AID))
    assert reader(lambda card: card.read_data(1, 100, 200, PLAIN)) == data
    with pytest.raises(CardStatusError):
        play(iso.select_df_name(b"nobody"), transmit)


@pytest.mark.parametrize("kind", SCHEMES)
@pytest.mark.parametrize("application", [False, True], ids=["picc", "application"])
def test_the_session_of_iso_commands_is_one_of_the_driver(kind: str, application: bool):
    reader = with_picc_key(kind, SCHEMES[kind][-1])
    secret, iso, transmit = key(kind, 7), IsoCommands(), reader.virtual.transmit
    if application:
        settings = ApplicationSettings(KeySettings.parse(0x0F), 2, secret.type)
        reader(
            lambda card: card.create_application(
                AID, settings, iso_file_id=0xE110, df_name=b"badge"
            )
        )
        play(iso.select_df_name(b"badge"), transmit)
        secret = DesfireKey.zero(secret.type)
    else:
        play(iso.select_file(MASTER_FILE), transmit)
    messaging = play(iso.authenticate(0, secret, application=application), transmit)
    reader.card.session = Session(0, messaging)
    assert reader(lambda card: card.get_key_version(0)) == secret.version
    assert reader(lambda card: card.get_card_uid()) == reader.virtual.uid


def test_iso_commands_refuse_a_card_with_another_key():
    reader = with_picc_key("AES", EV2)
    play(IsoCommands().select_file(MASTER_FILE), reader.virtual.transmit)
    wrong = DesfireKey(KeyType.AES, Secret(bytes(16)))
    with pytest.raises((CardStatusError, CardProtocolError)):
        play(IsoCommands().authenticate(0, wrong, application=False), reader.virtual.transmit)
