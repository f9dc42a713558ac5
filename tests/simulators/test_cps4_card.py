"""The virtual CPS4, command by command: what the facts give, and the model where they end."""

import pytest
from Crypto.Hash import SHA1, SHA256
from Crypto.Signature import pkcs1_15, pss

from simulators.cps.chipdoc import Product, VirtualCps4
from simulators.cps.chipdoc.chip import AUTHENTICATION_KEY, SIGNATURE_KEY, Chip
from tests.simulators.cps4_side import (
    APPLICATION,
    CHIPDOC,
    PUK_TRIES,
    RAW_ENVIRONMENT,
    SELECT_APPLICATION,
    SELECT_CHIPDOC,
    SELECT_CPS2TER,
    SELECT_DOMAIN,
    TRIES,
    VERIFY,
    VERIFY_PUK,
    WRONG,
    ask,
    fetched,
    read_file,
    started,
    with_tries,
)

pytestmark = pytest.mark.unit

DIGEST = SHA256.new(b"what is signed")
BLOCK = b"\x00\x01" + b"\xff" * 202 + b"\x00" + bytes.fromhex(
    "3031300D060960864801650304020105000420"
) + DIGEST.digest()  # fmt: skip
CHAIN = ("112A8086FF" + BLOCK[:255].hex(), "012A808601" + BLOCK[255:].hex())


@pytest.fixture
def card(cps4_chip: Chip) -> VirtualCps4:
    return started(VirtualCps4(cps4_chip))


@pytest.fixture
def signer(card: VirtualCps4) -> VirtualCps4:
    """Give a card with its PIN verified and the application's DF selected."""
    assert ask(card, VERIFY) == "9000"
    assert ask(card, SELECT_APPLICATION + "00").endswith("9000")
    return card


@pytest.mark.parametrize(
    ("product", "atr"),
    [
        ("t1", "3B9B188001001225006480040100009044"),
        ("rc", "3B9B188001001225006480000401009044"),
        ("t0", "3BDC18FF00001225006480000401009000"),
    ],
)
def test_each_product_has_its_answer_to_reset(product: str, atr: str) -> None:
    assert Product(product).atr.hex().upper() == atr


class TestSelection:
    def test_the_application_answers_on_channel_1_without_data(self, cps4_chip: Chip) -> None:
        card = VirtualCps4(cps4_chip)
        assert ask(card, TRIES) == "6881"
        assert ask(card, SELECT_CHIPDOC) == "9000"
        assert ask(card, TRIES) == "63C3"

    def test_a_file_is_selected_by_its_path_without_the_mf(self, card: VirtualCps4) -> None:
        assert ask(card, "01A4080002D00300") == "6F0B8002000C8201018302D0039000"
        assert ask(card, "01A40800043F00D00300") == "6A82"

    def test_a_df_is_described_with_its_name(self, card: VirtualCps4) -> None:
        name = f"6F16820138830200018 40D{APPLICATION}9000".replace(" ", "")
        assert ask(card, SELECT_APPLICATION + "00") == name
        assert ask(card, f"01A404000D{APPLICATION}00") == name
        assert ask(card, "01A40000023F0000") == "6F0782013883023F009000"

    def test_an_identifier_leads_to_a_child_or_to_the_df_itself(self, card: VirtualCps4) -> None:
        assert ask(card, "01A4000002D00300").endswith("9000")
        assert ask(card, "01A400000200 0100".replace(" ", "")).endswith("9000")
        assert ask(card, "01A4000002503100").endswith("9000")
        assert ask(card, "01A4000002000100").endswith("9000")
        assert ask(card, "01A4000002D00300") == "6A82"

    def test_p2_0c_wants_nothing_and_04_the_fcp(self, card: VirtualCps4) -> None:
        assert ask(card, "01A4080C02D003") == "9000"
        assert ask(card, "01A4080402D00300").startswith("620B")
        assert ask(card, "01A4080102D00300") == "6A86"

    def test_the_selection_by_cps3_is_refused(self, card: VirtualCps4) -> None:
        assert ask(card, "01A40904043F00D00300") == "6A86"

    def test_a_failed_selection_leaves_the_file(self, card: VirtualCps4) -> None:
        ask(card, "01A4080C02D003")
        assert ask(card, "01A4080C02D0FF") == "6A82"
        assert ask(card, "01B0000002") == "5A0A9000"

    @pytest.mark.parametrize("first", ["00", "01"])
    def test_the_selection_after_6e_is_taken_on_channel_1(
        self, card: VirtualCps4, first: str
    ) -> None:
        answer = ask(card, f"{first}A4040408{CHIPDOC}")
        assert answer == ("610C" if first == "01" else "6A82")


class TestReading:
    def test_the_serial_number_begins_as_the_driver_asks(self, card: VirtualCps4) -> None:
        content = read_file(card, "D003")
        assert len(content) == 12
        assert content[2:7].hex() == "8025000001"

    def test_a_long_file_is_read_in_parts_of_256(self, card: VirtualCps4) -> None:
        paths = [path for path, file in card.chip.files.items() if len(file.content) > 1000]
        assert paths
        for path in paths:
            assert read_file(card, path.hex()) == card.chip.files[path].content

    def test_the_end_of_a_file(self, card: VirtualCps4) -> None:
        ask(card, "01A4080C02D003")
        assert len(ask(card, "01B0000000")) == 2 * 14
        assert len(ask(card, "01B0000A10")) == 2 * 4
        assert ask(card, "01B0000C01") == "6B00"
        assert ask(card, "01B09C0010") == "6A82"

    def test_nothing_is_read_without_a_file(self, card: VirtualCps4) -> None:
        assert ask(card, "01B0000010") == "6986"

    def test_a_protected_file_needs_the_pin(self, card: VirtualCps4) -> None:
        (path, *_) = [path for path, file in card.chip.files.items() if file.read.value == "pin"]
        ask(card, f"01A4080C{len(path):02X}{path.hex()}")
        assert ask(card, "01B0000001") == "6982"
        ask(card, VERIFY)
        assert ask(card, "01B0000001").endswith("9000")

    def test_the_one_writable_object_is_written_after_the_pin(self, card: VirtualCps4) -> None:
        ask(card, "01A4080C040001D107")
        assert ask(card, "01D60002020102") == "6982"
        ask(card, VERIFY)
        assert ask(card, "01D60002020102") == "9000"
        assert ask(card, "01D67FFF020102") == "6B00"
        assert card.chip.files[b"\x00\x01\xd1\x07"].content[2:4] == b"\x01\x02"
        assert ask(card, "01A4080C02D003") == "9000"
        assert ask(card, "01D6000001FF") == "6982"


class TestT0:
    @pytest.fixture
    def t0(self, cps4_t0_chip: Chip) -> VirtualCps4:
        return started(VirtualCps4(cps4_t0_chip))

    def test_an_answer_is_announced_and_fetched(self, t0: VirtualCps4) -> None:
        assert ask(t0, "01A4080002D003") == "610D"
        assert ask(t0, "01C0000000") == "6C0D"
        assert ask(t0, "01C0000002") == "6F0B610B"
        assert ask(t0, "01C000000B") == "8002000C8201018302D0039000"
        assert ask(t0, "01C0000001") == "6985"

    def test_an_le_that_the_reader_leaves_in_changes_nothing(self, t0: VirtualCps4) -> None:
        assert ask(t0, "01A4080002D00300") == "610D"

    def test_a_wrong_length_is_corrected(self, t0: VirtualCps4) -> None:
        ask(t0, "01A4080C02D003")
        assert ask(t0, "01B0000000") == "6C0C"
        assert ask(t0, "01B000000C").endswith("9000")

    def test_tries_are_asked_for_with_a_p3_of_0(self, t0: VirtualCps4) -> None:
        assert ask(t0, TRIES + "00") == "63C3"

    def test_256_bytes_are_announced_as_61_00(self, t0: VirtualCps4) -> None:
        ask(t0, VERIFY)
        ask(t0, SELECT_APPLICATION)
        ask(t0, RAW_ENVIRONMENT)
        assert ask(t0, CHAIN[0]) == "9000"
        assert ask(t0, CHAIN[1]) == "6100"
        assert len(ask(t0, "01C0000000")) == 2 * 258

    def test_another_command_drops_what_was_waiting(self, t0: VirtualCps4) -> None:
        assert ask(t0, "01A4080002D003") == "610D"
        ask(t0, TRIES)
        assert ask(t0, "01C000000D") == "6985"


class TestCodes:
    def test_three_wrong_pins_block(self, card: VirtualCps4) -> None:
        assert [ask(card, WRONG) for _ in range(4)] == ["63C2", "63C1", "63C0", "6983"]
        assert ask(card, VERIFY) == "6983"
        assert ask(card, TRIES) == "6983"

    def test_a_good_pin_gives_the_tries_back(self, card: VirtualCps4) -> None:
        ask(card, WRONG)
        assert ask(card, TRIES) == "63C2"
        assert ask(card, VERIFY) == "9000"
        assert ask(card, TRIES) == "9000", "it says that it is verified, not how many tries"
        assert card.chip.codes[1].tries_left == 3

    def test_a_wrong_pin_takes_the_right_away(self, card: VirtualCps4) -> None:
        ask(card, VERIFY)
        ask(card, WRONG)
        assert ask(card, TRIES) == "63C2"

    def test_asking_spends_no_try(self, card: VirtualCps4) -> None:
        assert {ask(card, TRIES) for _ in range(10)} == {"63C3"}

    @pytest.mark.parametrize("power", ["reset", "power_off", "power_on"])
    def test_power_takes_the_right_away_and_keeps_the_tries(
        self, card: VirtualCps4, power: str
    ) -> None:
        ask(card, WRONG)
        ask(card, WRONG)
        getattr(card, power)()
        started(card)
        assert ask(card, TRIES) == "63C1"
        ask(card, VERIFY)
        getattr(card, power)()
        started(card)
        assert ask(card, TRIES) == "63C3"

    def test_an_unknown_reference_and_a_long_pin(self, card: VirtualCps4) -> None:
        assert ask(card, "0120000304" + "31" * 4) == "6A88"
        assert ask(card, "0120000109" + "31" * 9) == "6700"
        assert ask(card, "0120010104" + "31" * 4) == "6A86"
        assert ask(card, TRIES) == "63C3"

    def test_a_change_follows_the_old_pin(self, card: VirtualCps4) -> None:
        change = "0124010106" + b"567890".hex()
        assert ask(card, change) == "6982"
        ask(card, VERIFY)
        assert ask(card, change) == "9000"
        started(card)
        assert ask(card, VERIFY) == "63C2"
        assert ask(card, "0120000106" + b"567890".hex()) == "9000"

    @pytest.mark.parametrize("new", [b"123", b"123456789", b"12a4"])
    def test_a_new_pin_has_4_to_8_digits(self, card: VirtualCps4, new: bytes) -> None:
        ask(card, VERIFY)
        assert ask(card, f"01240101{len(new):02X}{new.hex()}") == "6A80"
        assert ask(card, "01240001" + "04" + "31" * 4) == "6A86"
        assert card.chip.codes[1].digits == b"1234"

    def test_a_blocked_pin_is_unblocked_and_set_anew(self, card: VirtualCps4) -> None:
        card = started(with_tries(card, 1, 0))
        assert ask(card, "012C0381") == "6982"
        assert ask(card, VERIFY_PUK) == "9000"
        assert ask(card, "012C0301") == "6A88"
        assert ask(card, "012C0381") == "9000"
        assert ask(card, "0124010104" + b"4321".hex()) == "9000"
        assert ask(card, "0124010104" + b"1111".hex()) == "6982", "the right was for one"
        started(card)
        assert ask(card, "0120000104" + b"4321".hex()) == "9000"

    def test_wrong_unblocking_codes_block_for_good(self, card: VirtualCps4) -> None:
        card = started(with_tries(card, 2, 1))
        assert ask(card, PUK_TRIES) == "63C1"
        assert ask(card, "0120000208" + "39" * 8) == "63C0"
        assert ask(card, VERIFY_PUK) == "6983"


class TestKeys:
    def test_raw_rsa_signs_what_the_host_padded(self, signer: VirtualCps4) -> None:
        assert ask(signer, RAW_ENVIRONMENT) == "9000"
        assert ask(signer, CHAIN[0]) == "9000"
        answer = bytes.fromhex(ask(signer, CHAIN[1] + "00"))
        assert answer[-2:] == b"\x90\x00"
        pkcs1_15.new(signer.chip.keys[AUTHENTICATION_KEY]).verify(DIGEST, answer[:-2])

    def test_the_answer_can_be_fetched(self, signer: VirtualCps4) -> None:
        ask(signer, RAW_ENVIRONMENT)
        ask(signer, CHAIN[0])
        signature = fetched(signer, CHAIN[1])
        pkcs1_15.new(signer.chip.keys[AUTHENTICATION_KEY]).verify(DIGEST, signature)

    @pytest.mark.parametrize(
        ("algorithm", "key", "hashed", "scheme"),
        [
            ("28", SIGNATURE_KEY, SHA256, pkcs1_15),
            ("0A", SIGNATURE_KEY, SHA1, pkcs1_15),
            ("2C", SIGNATURE_KEY, SHA256, pss),
            ("15", SIGNATURE_KEY, SHA1, pss),
            ("2C", AUTHENTICATION_KEY, SHA256, pss),
        ],
    )
    def test_a_hash_is_padded_by_the_card(
        self, signer: VirtualCps4, algorithm: str, key: int, hashed: object, scheme: object
    ) -> None:
        value = hashed.new(b"what is signed")  # type: ignore[attr-defined]
        assert ask(signer, f"012281B6049102{algorithm}{key | 0x80:02X}") == "9000"
        answer = fetched(signer, f"012A9E9A{value.digest_size:02X}{value.hexdigest()}")
        scheme.new(signer.chip.keys[key]).verify(value, answer)  # type: ignore[attr-defined]

    def test_no_key_works_without_the_pin(self, card: VirtualCps4) -> None:
        ask(card, SELECT_APPLICATION)
        assert ask(card, RAW_ENVIRONMENT) == "9000"
        ask(card, CHAIN[0])
        assert ask(card, CHAIN[1] + "00") == "6982"
        assert ask(card, "012281B60491022890") == "9000"
        assert ask(card, "012A9E9A20" + DIGEST.hexdigest() + "00") == "6982"

    def test_the_unblocking_code_opens_no_key(self, card: VirtualCps4) -> None:
        ask(card, VERIFY_PUK)
        ask(card, SELECT_APPLICATION)
        ask(card, RAW_ENVIRONMENT)
        ask(card, CHAIN[0])
        assert ask(card, CHAIN[1] + "00") == "6982"

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            ("012281B6049102FF90", "6A80"),  # an unknown algorithm
            ("012281B60491022810", "6A88"),  # a key without the local bit
            ("012281B604910228A0", "6A80"),  # PKCS#1 with the authentication key
            ("012281B60491022891", "6A88"),  # no such key
            ("012241B803830110", "6A88"),  # raw RSA with the signature key
            ("012241B803840120", "6A80"),
            ("012241A406800102840182", "6A86"),  # as on a CPS3
            ("012A9E9A20" + "00" * 32, "6985"),  # no environment set
            ("012A8086" + "FF" + "00" * 255, "6985"),
            ("0188000010" + "00" * 16, "6D00"),  # ChipDoc has no INTERNAL AUTHENTICATE
            ("0C200001", "6E00"),
        ],
    )
    def test_what_is_no_sequence_of_this_card(
        self, signer: VirtualCps4, command: str, expected: str
    ) -> None:
        assert ask(signer, command) == expected

    def test_a_refused_environment_leaves_none(self, signer: VirtualCps4) -> None:
        ask(signer, RAW_ENVIRONMENT)
        ask(signer, "012241B803830121")
        ask(signer, CHAIN[0])
        assert ask(signer, CHAIN[1] + "00") == "6985"

    def test_a_key_is_found_in_its_df_alone(self, signer: VirtualCps4) -> None:
        ask(signer, "01A4000C023F00")
        assert ask(signer, RAW_ENVIRONMENT) == "6A88"

    def test_a_block_has_the_length_of_the_modulus_and_is_below_it(
        self, signer: VirtualCps4
    ) -> None:
        ask(signer, RAW_ENVIRONMENT)
        assert ask(signer, "012A8086FF" + BLOCK[:255].hex() + "00") == "6700"
        ask(signer, "112A8086FF" + "FF" * 255)
        assert ask(signer, "012A808601FF00") == "6A80"
        ask(signer, CHAIN[0])
        assert ask(signer, "012A808602" + "0000" + "00") == "6700"

    def test_a_broken_chain_is_told(self, signer: VirtualCps4) -> None:
        ask(signer, RAW_ENVIRONMENT)
        ask(signer, CHAIN[0])
        assert ask(signer, TRIES) == "6883"
        assert ask(signer, TRIES) == "9000"
        assert ask(signer, "1120000104" + "31" * 4) == "6884"

    def test_a_hash_of_another_length_is_refused(self, signer: VirtualCps4) -> None:
        ask(signer, "012281B60491022890")
        assert ask(signer, "012A9E9A14" + "00" * 20 + "00") == "6A80"


def _taken_by_the_domain(card: VirtualCps4) -> None:
    assert ask(card, SELECT_DOMAIN.replace("01A4", "00A4", 1)) == "9000"


def _taken_by_cps2ter(card: VirtualCps4) -> None:
    assert ask(card, SELECT_CPS2TER) == "9000"


def _used_by_cps2ter(card: VirtualCps4) -> None:
    _taken_by_cps2ter(card)
    assert ask(card, "A0A40000023F00") == "9F07"
    assert ask(card, "A0C0000007") == "850500003F00019000"


class TestAnotherApplication:
    @pytest.fixture(params=[_taken_by_the_domain, _taken_by_cps2ter, _used_by_cps2ter])
    def taken(self, request: pytest.FixtureRequest, card: VirtualCps4) -> VirtualCps4:
        ask(card, VERIFY)
        request.param(card)
        return card

    def test_the_three_statuses_a_program_sees(self, card: VirtualCps4) -> None:
        seen = []
        for take in (_taken_by_the_domain, _taken_by_cps2ter, _used_by_cps2ter):
            started(card)
            take(card)
            seen.append(ask(card, TRIES))
        assert seen == ["6881", "6E00", "6985"]

    def test_the_documented_recovery_always_works(self, taken: VirtualCps4) -> None:
        if ask(taken, SELECT_CHIPDOC) != "9000":
            ask(taken, SELECT_DOMAIN)
            ask(taken, SELECT_CPS2TER)
            assert ask(taken, SELECT_CHIPDOC) == "9000"
        assert ask(taken, TRIES) == "63C3", "the PIN is lost"

    def test_a_used_cps2ter_is_not_left_by_a_part_of_the_recovery(self, card: VirtualCps4) -> None:
        _used_by_cps2ter(card)
        assert ask(card, SELECT_CHIPDOC) == "6985"
        ask(card, SELECT_DOMAIN)
        assert ask(card, SELECT_CHIPDOC) == "6985"
        assert ask(card, TRIES) == "6985"
        started(card)
        _used_by_cps2ter(card)
        ask(card, SELECT_CPS2TER)
        assert ask(card, SELECT_CHIPDOC) == "6985"

    def test_a_reset_brings_the_card_back(self, taken: VirtualCps4) -> None:
        taken.reset()
        assert ask(taken, SELECT_CHIPDOC) == "9000"

    def test_selecting_chipdoc_again_drops_the_pin(self, card: VirtualCps4) -> None:
        ask(card, VERIFY)
        ask(card, SELECT_CHIPDOC)
        assert ask(card, TRIES) == "63C3"

    def test_cps2ter_speaks_only_when_selected_and_knows_its_mf_alone(
        self, card: VirtualCps4
    ) -> None:
        assert ask(card, "A0A40000023F00") == "6E00"
        _used_by_cps2ter(card)
        assert ask(card, "A0A40000027F01") == "9404"
        assert ask(card, "A0B0000010") == "6D00"
