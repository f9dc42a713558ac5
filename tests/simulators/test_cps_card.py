"""The virtual CPS3 against bytes of real cards, and what it does beyond them."""

import hashlib
from pathlib import Path

import pytest
from Crypto.Cipher import PKCS1_v1_5
from Crypto.Hash import SHA256
from Crypto.PublicKey.RSA import RsaKey
from Crypto.Signature import pkcs1_15
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import card as card_files
from simulators.cps import Face, VirtualCps
from simulators.cps.chip import Chip
from simulators.cps.number import serial_file
from simulators.cps.sha import finish
from simulators.der import oid, sequence, tlv
from tests.simulators.cps_side import (
    APPLICATION,
    apdu,
    exchange,
    read_file,
    send,
    status,
    tries_left,
    verify,
)

pytestmark = pytest.mark.unit

MESSAGE = b"what a person agrees to " * 7
AUTHENTICATION = "002241A406800102840182"
DIGEST_INFO = bytes.fromhex("3031300D060960864801650304020105000420")


@pytest.fixture
def card(cps3_chip: Chip) -> VirtualCps:
    return VirtualCps(cps3_chip)


@pytest.fixture
def contactless(cps3_chip: Chip) -> VirtualCps:
    return VirtualCps(cps3_chip, Face.CONTACTLESS)


def key(card: VirtualCps, reference: int) -> RsaKey:
    folder = bytes.fromhex("3F000002" if reference == 3 else "3F000001")
    return card.chip.keys[folder, reference].key


# Bytes that real cards have shown.


def test_the_answers_to_reset_are_those_that_cryptolib_compares(card: VirtualCps) -> None:
    assert card.atr.hex() == "3bac00402a001225006480000310009000"
    card.turn(Face.CONTACTLESS)
    assert card.atr.hex() == "3b8f80010031b86404b0ecc1739401808290000e"


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        (
            "3F002F01",
            "62258002003982010183022F018801E8A1128C077B45FFFFFF45009C077BFFFFFFFFFF008A0105",
        ),
        (
            "3F00D003",
            "62258002000C8201018302D0038801E0A1128C077BFFFFFFFFFF009C077BFFFFFFFFFF008A0105",
        ),
    ],
)
def test_the_control_parameters_are_those_of_a_real_card(
    card: VirtualCps, path: str, parameters: str
) -> None:
    data, word = send(card, apdu("00A40904", bytes.fromhex(path)))
    assert (data, word) == (b"", 0x6127)
    assert send(card, "00C0000027") == (bytes.fromhex(parameters), 0x9000)


def test_ef_atr_ef_dir_and_ef_sn_have_the_real_sizes(card: VirtualCps) -> None:
    assert len(read_file(card, "3F002F01")) == 57
    assert len(read_file(card, "3F002F00")) == 101
    number = read_file(card, "3F00D003")
    assert number == bytes.fromhex("5A0A8025000001" + card.chip.number.partition("/")[2])


def test_a_number_of_eight_digits_is_written_as_on_the_one_known_card() -> None:
    assert serial_file("8025000001/99213845").hex() == "5a0a8025000001992138450f"


@pytest.mark.parametrize("number", ["8025000001/123", "802500001/2600855206", "8025000001", "x/y"])
def test_what_is_no_card_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="no card number"):
        serial_file(number)


def test_the_pin_object_is_that_of_a_real_card(card: VirtualCps) -> None:
    data, word = send(card, "00CB3FFF0A4D087006BF810102A080")
    assert (data, word) == (b"", 0x6118)
    assert exchange(card, "00CB3FFF0A4D087006BF810102A080") == bytes.fromhex(
        "7016BF810112A0109A01039B0103A1088C06F3000013FF00"
    )


def test_the_unblocking_code_counts_its_uses(card: VirtualCps) -> None:
    found = exchange(card, "00CB3FFF0A4D087006BF810202A080")
    assert found[6:] == bytes.fromhex("A0149A010A9B010A9D020064A1088C06F3FF00FFFF00")


# Selection, as traces of real cards show it.


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("00A4090404 3F002F01", 0x9000),
        ("00A4090C04 3F002F01", 0x9000),
        ("00A4090402 2F01", 0x6A82),
        ("00A4040008 80250000 01FF0100", 0x6A86),
        ("00A4040408 80250000 01FF0100", 0x9000),
        ("00A4040C0D E828BD080F8025000001FF0010", 0x9000),
        ("00A4040C0D E828BD080F8025000001FF0020", 0x9000),
        ("00A404040F E828BD080FA000000167455349474E", 0x6A82),
        ("00A4020002 D003", 0x6A86),
        ("00A4020402 D003", 0x9000),
        ("00A4090404 3F009999", 0x6A82),
        ("00A4030400", 0x6A86),
        ("80A4020402 D003", 0x6E00),
        ("0070000001", 0x6D00),
    ],
)
def test_selection_has_the_rules_of_real_cards(card: VirtualCps, command: str, word: int) -> None:
    assert status(card, command) == word


def test_a_length_is_exact_on_t0(card: VirtualCps) -> None:
    exchange(card, "00A4040408 8025000001FF0100")
    assert send(card, "00B09C00C0") == (b"", 0x6C0C)
    assert send(card, "00B09C000C")[1] == 0x9000
    # Lc and Le together are no T=0 command.
    assert send(card, "00A40904023F0000")[1] == 0x6700
    assert send(card, "00C0000010")[1] == 0x6985


def test_reading_stays_within_the_file(card: VirtualCps) -> None:
    exchange(card, "00A4090C043F002F01")
    assert status(card, "00B0003801") == 0x9000
    assert status(card, "00B0003901") == 0x6B00
    assert status(card, "00B07FFF01") == 0x6B00
    card.reset()
    assert status(card, "00B0000001") == 0x6986


# The code.


def test_wrong_codes_count_down_and_a_right_one_counts_up(card: VirtualCps) -> None:
    assert status(card, "0020000100") == 0x63C3
    assert [verify(card, b"9999"), verify(card, b"0000")] == [0x63C2, 0x63C1]
    assert (tries_left(card), status(card, "0020000100")) == (1, 0x63C1)
    assert verify(card) == 0x9000
    assert (tries_left(card), status(card, "0020000100")) == (3, 0x9000)


def test_the_third_wrong_code_blocks_for_the_right_one_too(card: VirtualCps) -> None:
    assert [verify(card, b"9999") for _ in range(4)] == [0x63C2, 0x63C1, 0x63C0, 0x6983]
    assert verify(card) == 0x6983
    assert (tries_left(card), status(card, "0020000100")) == (0, 0x6983)


def test_a_wrong_code_takes_away_what_a_right_one_gave(card: VirtualCps) -> None:
    exchange(card, APPLICATION)
    assert verify(card) == 0x9000
    assert verify(card, b"9999") == 0x63C2
    exchange(card, AUTHENTICATION)
    assert status(card, apdu("00880000", b"x")) == 0x6982


def test_a_code_of_another_length_is_a_wrong_one(card: VirtualCps) -> None:
    assert [verify(card, b"123"), verify(card, b"1234\xff\xff\xff\xff")] == [0x63C2, 0x63C1]


def test_the_unblocking_code_gives_a_new_code_and_pays_with_a_use(card: VirtualCps) -> None:
    for _ in range(3):
        verify(card, b"9999")
    assert status(card, apdu("002C0201", b"4321")) == 0x6982
    assert verify(card, b"12345678", reference=2) == 0x9000
    assert status(card, apdu("002C0201", b"4321")) == 0x9000
    assert [verify(card), verify(card, b"4321")] == [0x63C2, 0x9000]
    assert card.chip.codes[2].uses_left == 99


def test_the_unblocking_code_has_ten_tries_and_is_then_lost(card: VirtualCps) -> None:
    words = [verify(card, b"00000000", reference=2) for _ in range(11)]
    assert words == [*range(0x63C9, 0x63BF, -1), 0x6983]
    assert verify(card, b"12345678", reference=2) == 0x6983


def test_a_change_needs_the_old_code(card: VirtualCps) -> None:
    assert status(card, apdu("00240001", b"99995678")) == 0x63C2
    assert status(card, apdu("00240001", b"1234567")) == 0x6A80
    assert status(card, apdu("00240001", b"1234abcd")) == 0x6A80
    assert status(card, apdu("00240001", b"123456789")) == 0x9000
    assert [verify(card), verify(card, b"56789")] == [0x63C2, 0x9000]


def test_a_reset_drops_the_code(card: VirtualCps) -> None:
    assert verify(card) == 0x9000
    card.reset()
    assert status(card, "0020000100") == 0x63C3
    card.power_off()
    card.power_on()
    assert status(card, "0020000100") == 0x63C3


def test_counters_and_data_stay_in_the_card_file(tmp_path: Path, card: VirtualCps) -> None:
    path = tmp_path / "cps.json"
    card_files.create(path, card)
    with card_files.hold(path) as held:
        held.transmit(apdu("00200001", b"9999"))
        assert card_files.load(path).chip.codes[1].tries_left == 2
    with card_files.hold(path) as held:
        assert isinstance(held.card, VirtualCps)
        assert verify(held.card, b"9999") == 0x63C1


def test_activity_data_needs_the_code_and_cps_data_is_written_with_it(card: VirtualCps) -> None:
    exchange(card, "00A4090C063F000001D120")
    assert status(card, "00B0000010") == 0x6982
    exchange(card, "00A4090C063F000001D107")
    assert status(card, "00D600000461626364") == 0x6982
    assert verify(card) == 0x9000
    assert exchange(card, "00D6000C0461626364") == b""
    assert status(card, "00D6007D0461626364") == 0x6A84
    assert status(card, "00D6007F0261626364") == 0x6700
    assert read_file(card, "3F000001D107")[12:16] == b"abcd"
    assert read_file(card, "3F000001D120")[:1] == b"\xee"


# Signatures.


def test_the_authentication_key_signs_what_it_is_given_after_the_code(card: VirtualCps) -> None:
    exchange(card, APPLICATION)
    to_sign = DIGEST_INFO + hashlib.sha256(MESSAGE).digest()
    exchange(card, AUTHENTICATION)
    assert status(card, apdu("00880000", to_sign)) == 0x6982
    assert verify(card) == 0x9000
    assert send(card, apdu("00880000", to_sign)) == (b"", 0x6100)
    data, word = send(card, "00C0000000")
    assert word == 0x9000
    pkcs1_15.new(key(card, 2).public_key()).verify(SHA256.new(MESSAGE), data)


def test_internal_authenticate_takes_40_percent_of_the_modulus(card: VirtualCps) -> None:
    exchange(card, APPLICATION)
    verify(card)
    exchange(card, AUTHENTICATION)
    assert status(card, apdu("00880000", bytes(102))) == 0x9000
    assert status(card, apdu("00880000", bytes(103))) == 0x6700


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 128, 200])
def test_the_signature_key_signs_a_message_hashed_in_part_by_the_reader(
    card: VirtualCps, size: int
) -> None:
    message = bytes(range(size))
    exchange(card, APPLICATION)
    verify(card)
    exchange(card, "002241AA03800140")
    whole = max(0, (size - 1) // 64 * 64)
    state = intermediate(message[:whole])
    exchange(card, apdu("002A90A0", tlv(0x90, state) + tlv(0x80, message[whole:])))
    exchange(card, "002241B606800142840181")
    data = exchange(card, "002A9E9A00")
    pkcs1_15.new(key(card, 1).public_key()).verify(SHA256.new(message), data)
    assert status(card, "002A9E9A00") == 0x6985


def intermediate(blocks: bytes) -> bytes:
    """Return the state after whole blocks and their bit count, by the textbook (FIPS 180-4)."""
    if not blocks:
        return b""
    return textbook_state(blocks) + (8 * len(blocks)).to_bytes(8)


def textbook_state(blocks: bytes) -> bytes:
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))]

    def fraction(n: int, power: int) -> int:
        low, high = 0, n << 40
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if middle**power <= n << 32 * power else (low, middle)
        return low & 0xFFFFFFFF

    def turn(x: int, n: int) -> int:
        return (x >> n | x << 32 - n) & 0xFFFFFFFF

    state = [fraction(n, 2) for n in primes[:8]]
    for at in range(0, len(blocks), 64):
        w = [int.from_bytes(blocks[at + i : at + i + 4]) for i in range(0, 64, 4)]
        for i in range(16, 64):
            s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3
            s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10
            w.append((w[i - 16] + s0 + w[i - 7] + s1) % 2**32)
        v = state[:]
        for i in range(64):
            t1 = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25))
            t1 += (v[4] & v[5] ^ ~v[4] & v[6]) + fraction(primes[i], 3) + w[i]
            t2 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)
            t2 += v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2]
            v = [(t1 + t2) % 2**32, *v[:3], (v[3] + t1) % 2**32, *v[4:7]]
        state = [(a + b) % 2**32 for a, b in zip(state, v, strict=True)]
    return b"".join(word.to_bytes(4) for word in state)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_hashing_from_the_start_agrees_with_the_library(message: bytes) -> None:
    assert finish(b"", 0, message, 32) == hashlib.sha256(message).digest()
    assert finish(b"", 0, message, 20) == hashlib.sha1(message).digest()  # noqa: S324


@pytest.mark.parametrize(
    ("algorithm", "digest", "name"),
    [
        ("12", hashlib.sha1(MESSAGE).digest(), "1.3.14.3.2.26"),  # noqa: S324
        ("42", hashlib.sha256(MESSAGE).digest(), "2.16.840.1.101.3.4.2.1"),
    ],
)
def test_the_signature_key_signs_a_hash_made_off_the_card(
    card: VirtualCps, algorithm: str, digest: bytes, name: str
) -> None:
    exchange(card, APPLICATION)
    verify(card)
    exchange(card, f"002241B6068001{algorithm}840181")
    signature = exchange(card, apdu("002A9E9A", digest))
    public = key(card, 1)
    padded = pow(int.from_bytes(signature), public.e, public.n).to_bytes(256)
    info = sequence(sequence(oid(name), b"\x05\x00"), tlv(0x04, digest))
    assert padded == b"\x00\x01" + b"\xff" * (253 - len(info)) + b"\x00" + info
    assert status(card, apdu("002A9E9A", digest[:-1])) == 0x6A80


def test_a_key_does_only_what_it_is_for(card: VirtualCps) -> None:
    exchange(card, APPLICATION)
    verify(card)
    exchange(card, "002241B606800142840182")
    assert status(card, apdu("002A9E9A", bytes(32))) == 0x6982
    exchange(card, "002241A406800102840181")
    assert status(card, apdu("00880000", b"x")) == 0x6982


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("002241A406800102840199", 0x6A88),
        ("002241A406800102840102", 0x6A88),
        ("002241A406800142840182", 0x6A80),
        ("002241A403840182", 0x6A80),
        ("002241A40480020102", 0x6A80),
        ("002241A606800102840182", 0x6A86),
        ("0022F3A406800102840182", 0x6A86),
        ("008800000100", 0x6985),
        ("002A9E9A00", 0x6985),
        ("002A90A00490008000", 0x6985),
        ("002ABEBA00", 0x6A86),
    ],
)
def test_a_wrong_environment_has_its_status(card: VirtualCps, command: str, word: int) -> None:
    exchange(card, APPLICATION)
    verify(card)
    assert status(card, command) == word


def test_keys_and_codes_are_found_where_they_are(card: VirtualCps) -> None:
    get_key = "00CB3FFF0A4D087006BF900202A080"
    assert status(card, get_key) == 0x6A88
    assert status(card, AUTHENTICATION) == 0x6A88
    environment = "00CB3FFF0A4D087006BFFB05027B80"
    assert exchange(card, environment)[-8:] == bytes.fromhex("A406950108830101")
    exchange(card, APPLICATION)
    assert bytes.fromhex("80020100") in exchange(card, get_key)
    assert status(card, environment) == 0x6A88
    assert status(card, "00CB3FFF0B4D097007BF9002037F4880") == 0x6A80


def test_deciphering_takes_a_chain(card: VirtualCps) -> None:
    exchange(card, APPLICATION)
    verify(card)
    secret = b"a session key of 32 bytes, or so"
    sealed = b"\x81" + PKCS1_v1_5.new(key(card, 2).public_key()).encrypt(secret)
    exchange(card, "002241B80680011A840182")
    assert send(card, apdu("102A8086", sealed[:200])) == (b"", 0x9000)
    assert exchange(card, apdu("002A8086", sealed[200:])) == secret
    damaged = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    exchange(card, apdu("102A8086", damaged[:200]))
    assert status(card, apdu("002A8086", damaged[200:])) in {0x6A80, 0x9000}
    exchange(card, apdu("102A8086", sealed[:200]))
    assert status(card, apdu("00880000", b"x")) == 0x6883


def test_a_chain_has_an_end(card: VirtualCps) -> None:
    exchange(card, APPLICATION)
    verify(card)
    exchange(card, "002241B80680011A840182")
    words = [status(card, apdu("102A8086", bytes(250))) for _ in range(3)]
    assert words == [0x9000, 0x9000, 0x6884]
    assert status(card, apdu("10200001", b"1234")) == 0x6884


# Without contacts.


def test_without_contacts_there_is_no_code_and_no_contact_file(contactless: VirtualCps) -> None:
    assert verify(contactless) == 0x6A88
    assert status(contactless, "00CB3FFF0A4D087006BF810102A08000") == 0x6A88
    for path in ("3F00D010", "3F0000017001", "3F0000015031"):
        exchange(contactless, apdu("00A4090C", bytes.fromhex(path)))
        assert status(contactless, "00B0000001") == 0x6982
    for path, size in (("3F00D003", 12), ("3F002F01", 57), ("3F002F00", 101)):
        exchange(contactless, apdu("00A4090C", bytes.fromhex(path)))
        assert len(exchange(contactless, "00B0000000")) == size


def test_the_technical_key_authenticates_without_a_code_and_does_nothing_else(
    contactless: VirtualCps,
) -> None:
    exchange(contactless, "00A4040C0DE828BD080F8025000001FF0020")
    exchange(contactless, "002241A406800102840183")
    data, word = send(
        contactless,
        apdu("00880000", DIGEST_INFO + hashlib.sha256(MESSAGE).digest(), b"\0"),
    )
    assert word == 0x9000
    pkcs1_15.new(key(contactless, 3).public_key()).verify(SHA256.new(MESSAGE), data)
    exchange(contactless, "002241B606800142840183")
    assert status(contactless, apdu("002A9E9A", bytes(32), b"\0")) == 0x6982


def test_the_keys_of_the_contact_face_do_nothing_without_contacts(contactless: VirtualCps) -> None:
    exchange(contactless, APPLICATION)
    exchange(contactless, AUTHENTICATION)
    assert status(contactless, apdu("00880000", b"x", b"\0")) == 0x6982


def test_the_technical_key_does_nothing_through_contacts(card: VirtualCps) -> None:
    verify(card)
    exchange(card, "00A4090C043F000002")
    exchange(card, "002241A406800102840183")
    assert status(card, apdu("00880000", b"x")) == 0x6982


# Whatever comes.


@settings(max_examples=300, deadline=None)
@given(commands=st.lists(st.binary(max_size=300), max_size=6), face=st.sampled_from(Face))
def test_any_bytes_get_a_status_word(cps3_chip: Chip, commands: list[bytes], face: Face) -> None:
    card = VirtualCps(cps3_chip, face)
    for command in commands:
        assert 2 <= len(card.transmit(command)) <= 258


INSTRUCTIONS = (0x20, 0x22, 0x24, 0x2A, 0x2C, 0x88, 0xA4, 0xB0, 0xC0, 0xCB, 0xD6)


@settings(max_examples=300, deadline=None)
@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([0x00, 0x10]),
            st.sampled_from(INSTRUCTIONS),
            st.integers(0, 255),
            st.integers(0, 255),
            st.binary(max_size=60),
        ),
        max_size=8,
    )
)
def test_any_parameters_get_a_status_word_and_cost_no_more_than_their_tries(
    cps3_chip: Chip, headers: list[tuple[int, int, int, int, bytes]]
) -> None:
    card = VirtualCps(cps3_chip)
    attempts = 0
    for cla, ins, p1, p2, data in headers:
        attempts += ins in {0x20, 0x24} and p2 == 1 and bool(data)
        card.transmit(bytes((cla, ins, p1, p2)) + (bytes((len(data),)) + data if data else b""))
    assert card.chip.codes[1].tries_left >= 3 - attempts


def test_a_chip_survives_its_file_and_shows_no_secret(card: VirtualCps) -> None:
    again = VirtualCps.from_json(card.to_json())
    assert again.chip == card.chip
    assert "1234" not in repr(card.chip.codes)
    lines = "\n".join(card.describe())
    assert "PIN  3 of 3 tries left" in lines
    assert "1234" not in lines.replace(card.chip.number, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "cps9"),
        ("number", "1/2"),
        ("codes", []),
        ("files", [{"path": "D003", "content": "", "rules": {"contact": "", "contactless": ""}}]),
        ("keys", [{"folder": "3F00", "reference": 1, "value": "00", "rules": {}}]),
        ("extra", 1),
    ],
)
def test_a_card_with_a_field_that_cannot_be_is_refused(
    card: VirtualCps, field: str, value: object
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        VirtualCps.from_json({**card.to_json(), field: value})
