"""ChangeKey and the key settings: who may change what, and what is left when it fails."""

import pytest

from simulators.desfire import VirtualDesfire
from simulators.desfire.crypto import KeyType, crc32
from simulators.desfire.keys import Key, zero_key
from tests.simulators.reader_side import (
    APP,
    ZEROS,
    Ev1Reader,
    Ev2Reader,
    Rejected,
    exchange,
    make_application,
    status,
)

pytestmark = pytest.mark.unit

NEW = bytes(range(0x50, 0x60))


@pytest.fixture(params=["ev1", "ev2"])
def card(request: pytest.FixtureRequest) -> VirtualDesfire:
    return VirtualDesfire.factory(request.param)


Session = type[Ev1Reader] | type[Ev2Reader]
SCHEMES = pytest.mark.parametrize(
    ("product", "scheme"),
    [("ev1", Ev1Reader), ("ev2", Ev1Reader), ("ev2", Ev2Reader)],
    ids=["EV1", "EV2 speaking EV1", "EV2"],
)


def application_card(product: str, settings: int = 0x0F) -> VirtualDesfire:
    card = VirtualDesfire.factory(product)
    make_application(card, settings=settings)
    return card


def keys_of(card: VirtualDesfire) -> list[bytes]:
    return [key.value for key in card.chip.applications[APP].keys]


@SCHEMES
def test_key_0_changes_another_key_and_keeps_its_session(product: str, scheme: Session) -> None:
    card = application_card(product)
    session = scheme.authenticate(card, 0)
    session.change_key(1, NEW, 7, old=ZEROS)
    assert session.send(b"\x64\x01") == b"\x07"
    assert keys_of(card) == [ZEROS, NEW, ZEROS]


@SCHEMES
def test_key_0_changes_itself_and_ends_its_session(product: str, scheme: Session) -> None:
    card = application_card(product)
    scheme.authenticate(card, 0).change_key(0, NEW, 1)
    assert keys_of(card) == [NEW, ZEROS, ZEROS]
    assert status(card, "51") == 0xAE


@pytest.mark.parametrize(
    ("settings", "session_key", "changed", "expected"),
    [
        (0x0F, 0, 1, None),
        (0x0F, 1, 2, 0xAE),
        (0x0F, 1, 0, 0xAE),
        (0x0E, 0, 0, 0x9D),
        (0x1F, 1, 2, None),
        (0x1F, 0, 2, 0xAE),
        (0x1F, 1, 1, 0xAE),
        (0x1F, 0, 1, None),
        (0xEF, 2, 2, None),
        (0xEF, 0, 2, 0xAE),
        (0xEF, 0, 0, None),
        (0xFF, 0, 1, 0x9D),
        (0xFF, 0, 0, None),
    ],
)
def test_the_change_key_nibble_says_who_changes_what(
    settings: int, session_key: int, changed: int, expected: int | None
) -> None:
    card = application_card("ev1", settings)
    session = Ev1Reader.authenticate(card, session_key)
    old = None if changed == session_key else ZEROS
    if expected is None:
        session.change_key(changed, NEW, 1, old=old)
        assert keys_of(card)[changed] == NEW
        return
    with pytest.raises(Rejected) as refused:
        session.change_key(changed, NEW, 1, old=old)
    assert refused.value.code == expected
    assert keys_of(card) == [ZEROS] * 3


@SCHEMES
def test_a_wrong_old_key_changes_nothing(product: str, scheme: Session) -> None:
    card = application_card(product)
    with pytest.raises(Rejected) as wrong:
        scheme.authenticate(card, 0).change_key(1, NEW, 1, old=b"\x01" * 16)
    assert wrong.value.code == 0x1E
    assert keys_of(card) == [ZEROS] * 3


@pytest.mark.parametrize("product", ["ev1", "ev2"])
@pytest.mark.parametrize("place", range(2, 10))
def test_a_damaged_cryptogram_changes_nothing(product: str, place: int) -> None:
    card = application_card(product)
    scheme = Ev1Reader if product == "ev1" else Ev2Reader
    session = scheme.authenticate(card, 0)
    transmit = card.transmit

    def damaged(command: bytes) -> bytes:
        flipped = bytearray(command)
        if command[1] == 0xC4:
            flipped[5 + place] ^= 0x40
        return transmit(bytes(flipped))

    card.transmit = damaged  # type: ignore[method-assign]
    with pytest.raises(Rejected) as wrong:
        session.change_key(0, NEW, 1)
    assert wrong.value.code == 0x1E
    assert keys_of(card) == [ZEROS] * 3


def test_a_change_key_of_another_length_is_a_length_error() -> None:
    card = application_card("ev1")
    for body in ("", "00" * 16, "00" * 48):
        Ev1Reader.authenticate(card, 0)
        assert status(card, "C400" + body) == 0x7E
    assert keys_of(card) == [ZEROS] * 3


def test_without_a_session_no_key_changes(card: VirtualDesfire) -> None:
    assert status(card, "C480" + "00" * 24) == 0xAE


def test_the_picc_key_goes_from_des_to_aes_to_3k3des_and_back(card: VirtualDesfire) -> None:
    first = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    first.send_full(b"\xc4\x80", NEW + b"\x05", bare=True)
    assert exchange(card, b"\x45") == bytes.fromhex("0F81")
    assert exchange(card, b"\x64\x00") == b"\x05"
    second = Ev1Reader.authenticate(card, 0, Key(KeyType.AES, NEW))
    triple = bytes(range(0, 48, 2))
    second.send_full(b"\xc4\x40", triple, bare=True)
    assert exchange(card, b"\x45") == bytes.fromhex("0F41")
    third = Ev1Reader.authenticate(card, 0, Key(KeyType.TRIPLE_DES, triple))
    third.send_full(b"\xc4\x00", ZEROS, bare=True)
    assert card.chip.master == zero_key(KeyType.DES)


def test_the_ev2_form_changes_the_picc_key() -> None:
    card = VirtualDesfire.factory("ev2")
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send_full(b"\xc4\x80", ZEROS + b"\x01", bare=True)
    Ev2Reader.authenticate(card).change_key(0x80, NEW, 2)
    assert card.chip.master == Key(KeyType.AES, NEW, 2)


@pytest.mark.parametrize(("number", "expected"), [("C1", 0x40), ("C0", 0x9E), ("01", 0x40)])
def test_a_picc_key_that_cannot_be_is_refused(number: str, expected: int) -> None:
    card = VirtualDesfire.factory("ev1")
    Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    assert status(card, f"C4{number}" + "00" * 24) == expected


def test_a_des_key_carries_its_version_in_its_parity_bits(card: VirtualDesfire) -> None:
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send_full(b"\xc4\x00", bytes.fromhex("0100010001000101") * 2, bare=True)
    assert exchange(card, b"\x64\x00") == b"\xab"


@SCHEMES
def test_key_settings_change_under_key_0_while_they_may(product: str, scheme: Session) -> None:
    card = application_card(product)

    def change(settings: int) -> None:
        session = scheme.authenticate(card, 0)
        if isinstance(session, Ev1Reader):
            session.send_full(b"\x54", bytes((settings,)))
        else:
            session.send(b"\x54", bytes((settings,)))

    change(0x09)
    change(0x01)
    with pytest.raises(Rejected) as frozen:
        change(0x09)
    assert frozen.value.code == 0x9D
    assert card.chip.applications[APP].settings == 0x01


def test_key_settings_need_key_0() -> None:
    card = application_card("ev1")
    with pytest.raises(Rejected) as refused:
        Ev1Reader.authenticate(card, 1).send_full(b"\x54", b"\x09")
    assert refused.value.code == 0xAE


def test_key_settings_are_listed_only_to_key_0_where_the_settings_say_so(
    card: VirtualDesfire,
) -> None:
    make_application(card, settings=0x09)
    assert status(card, "45") == 0xAE
    assert Ev1Reader.authenticate(card, 0).send(b"\x45") == bytes.fromhex("0983")


def test_the_default_key_is_what_a_new_application_gets(card: VirtualDesfire) -> None:
    field = bytes(range(0x80, 0x98))
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send_full(b"\x5c\x01", field + b"\x2a")
    for aid, kind in (("010000", "81"), ("020000", "41"), ("030000", "01")):
        session.send(bytes.fromhex(f"CA{aid}0F{kind}"))
    aes, triple, des = (entry.keys[0] for entry in card.chip.applications.values())
    assert aes == Key(KeyType.AES, field[:16], 0x2A)
    assert [key.version for key in (triple, des)] == [0x2A, 0x2A]
    assert [byte & 0xFE for byte in triple.value] == [byte & 0xFE for byte in field]


def test_the_default_key_is_set_under_ev2_too() -> None:
    card = VirtualDesfire.factory("ev2")
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send_full(b"\xc4\x80", ZEROS + b"\x01", bare=True)
    Ev2Reader.authenticate(card).send(b"\x5c\x01", NEW + bytes(8) + b"\x09")
    assert card.chip.default_key == NEW + bytes(8)
    assert card.chip.default_version == 9


@pytest.mark.parametrize(("option", "expected"), [("03", 0x9E), ("", 0x7E)])
def test_an_unknown_configuration_is_refused(option: str, expected: int) -> None:
    card = VirtualDesfire.factory("ev1")
    Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    assert status(card, "5C" + option) == expected


def test_configuration_needs_the_picc_key(card: VirtualDesfire) -> None:
    assert status(card, "5C01" + "00" * 32) == 0xAE
    make_application(card)
    assert status(card, "5C01" + "00" * 32) == 0x9D


def test_a_random_uid_card_shows_another_uid_each_time_and_the_real_one_in_a_session() -> None:
    card = VirtualDesfire.factory("ev1")
    session = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    session.send_full(b"\x5c\x00", b"\x03")
    shown = set()
    for _ in range(4):
        card.power_on()
        answer = card.transmit(bytes.fromhex("FFCA000000"))
        assert (answer[0], len(answer)) == (0x08, 6)
        shown.add(answer)
    assert len(shown) == 4
    assert exchange(card, b"\x60")[14:21] == bytes(7)
    again = Ev1Reader.authenticate(card, 0, zero_key(KeyType.DES))
    assert again.read_full(b"\x51", 7) == card.uid
    with pytest.raises(Rejected) as disabled:
        again.send(b"\xfc")
    assert disabled.value.code == 0x9D


def test_the_crc_of_change_key_covers_the_key_number() -> None:
    card = application_card("ev1")
    session = Ev1Reader.authenticate(card, 0)
    body = NEW + b"\x01"
    plain = body + crc32(b"\xc4\x01" + body) + bytes(11)
    with pytest.raises(Rejected) as wrong:
        exchange(card, b"\xc4\x00" + session.cipher.encrypt(plain, ZEROS))
    assert wrong.value.code == 0x1E


def test_wrong_padding_is_an_integrity_error_under_ev1() -> None:
    card = application_card("ev1")
    session = Ev1Reader.authenticate(card, 0)
    plain = b"\x09" + crc32(b"\x54\x09") + bytes(10) + b"\x01"
    with pytest.raises(Rejected) as wrong:
        exchange(card, b"\x54" + session.cipher.encrypt(plain, ZEROS))
    assert wrong.value.code == 0x1E
    assert card.chip.applications[APP].settings == 0x0F


@pytest.mark.parametrize(
    "plain", ["09" + "00" * 15, "0980" + "00" * 13 + "01", "0909" + "80" + "00" * 13]
)
def test_wrong_padding_is_an_integrity_error_under_ev2(plain: str) -> None:
    card = application_card("ev2")
    session = Ev2Reader.authenticate(card, 0)
    cryptogram = session.ciphers[0].encrypt(bytes.fromhex(plain), session._iv("A55A"))
    with pytest.raises(Rejected) as wrong:
        session.send(b"\x54" + cryptogram)
    assert wrong.value.code == 0x1E
    assert card.chip.applications[APP].settings == 0x0F
