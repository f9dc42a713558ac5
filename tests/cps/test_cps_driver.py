"""The exact commands of each family, against answers written by hand from the facts."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from cardd.cps.card import CardMemory, CpsCard
from cardd.cps.contents import CardKey, Contents
from cardd.cps.family import Family
from cardd.cps.recognition import recognise
from cardd.errors import (
    CardBusy,
    CardError,
    CardProtocolError,
    CardStatusError,
    Code,
    PinBlocked,
    PinIncorrect,
    PinLastTry,
    PukBlocked,
    PukIncorrect,
    PukLastTry,
    Refused,
)
from cardd.secret import Secret
from tests.cps import pkcs15_files as files
from tests.cps.facts_card import FactsCard, play

pytestmark = pytest.mark.unit

CPS3_ATR = bytes.fromhex("3BAC00402A001225006480000310009000")
CONTACTLESS_ATR = bytes.fromhex("3B8F80010031B86404B0ECC1739401808290000E")
CPS4_ATR = bytes.fromhex("3B9B188001001225006480040100009044")

SELECT_CPS3 = "00A4040C0DE828BD080F8025000001FF0010"
SELECT_MF = "00A4090C023F00"
GET_TRIES = "00CB3FFF0A4D087006BF81{:02X}02A08000"
TRIES = "7016BF81{:02X}12A0109A01039B01{:02X}A1088C06F3000013FF009000"
DIGEST = bytes(range(32))
DIGEST_INFO = "3031300D060960864801650304020105000420" + DIGEST.hex().upper()
SIGNATURE = "5C" * 256
USER_TRIES = GET_TRIES.format(1)


def cps3_script(tries: int = 3, **more: str) -> dict[str, str]:
    return {
        USER_TRIES: TRIES.format(1, tries),
        GET_TRIES.format(2): TRIES.format(2, 10),
        "002000010431323334": "9000",
        "002000010439393939": f"63C{max(tries - 1, 0):X}",
        "00200002083132333435363738": "9000",
        "0024000108" + "31323334" + "35363738": "9000",
        "002C02010435363738": "9000",
        "002241A406800102840182": "9000",
        f"0088000033{DIGEST_INFO}00": SIGNATURE + "9000",
        **more,
    }


def cps3(tries: int = 3, content: dict[str, bytes] | None = None, **more: str) -> FactsCard:
    return FactsCard({**files.CPS3_FILES, **(content or {})}, cps3_script(tries, **more))


def recognised(card: FactsCard, atr: bytes = CPS3_ATR) -> Any:
    driver = play(recognise(atr), card)
    assert driver is not None
    return driver


def commands_of(card: FactsCard, call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """Return what an exchange gives, and the commands it sent, GET RESPONSE apart."""
    card.log.clear()
    return play(call(), card), card.sent()


# Recognition


def test_a_contact_cps3_is_recognised_by_its_application() -> None:
    card = cps3()
    driver: CpsCard = recognised(card)
    assert driver.family is Family.CPS3_CONTACT
    assert card.log == [SELECT_CPS3]


def test_an_atr_alone_is_no_cps() -> None:
    card = FactsCard({}, {})
    assert play(recognise(CPS3_ATR), card) is None
    assert play(recognise(CPS4_ATR), card) is None
    card.log.clear()
    assert play(recognise(bytes.fromhex("3B8180018080")), card) is None
    assert card.log == []


# CPS3: what is on the card


def test_the_number_comes_from_ef_sn() -> None:
    card = cps3()
    number, sent = commands_of(card, recognised(card).number)
    assert number == "8025000001/99213845"
    assert sent == ["00A40904043F00D00300", "00B000000C"]
    assert "00C0000009" in card.log  # T=0: the control parameters were fetched


def test_a_serial_that_fills_ef_sn_is_taken_whole() -> None:
    card = cps3(content={"3F00D003": bytes.fromhex("5A0A80250000012600855206")})
    assert play(recognised(card).number(), card) == "8025000001/2600855206"


@pytest.mark.parametrize(
    "content", ["5A0A8025000002992138450F", "5A0A80250000019921384", "5A0A8025000001ABCDEFABCD", ""]
)
def test_a_card_of_another_issuer_is_refused(content: str) -> None:
    card = cps3(content={"3F00D003": bytes.fromhex(content + "0" * (len(content) % 2))})
    with pytest.raises(CardProtocolError):
        play(recognised(card).number(), card)


def test_the_update_stamp_may_be_absent() -> None:
    card = cps3()
    assert play(recognised(card).update_stamp(), card) == files.CPS3_FILES["3F00D010"]
    without = {name: content for name, content in files.CPS3_FILES.items() if name != "3F00D010"}
    card = FactsCard(without, cps3_script())
    assert play(recognised(card).update_stamp(), card) is None


def test_certificates_are_found_by_discovery_and_matched_by_identifier() -> None:
    card = cps3()
    found = play(recognised(card).certificates(), card)
    assert found.authentication.der == files.AUTHENTICATION_DER
    assert found.authentication.key.reference == 0x82
    assert found.signature.der == files.SIGNATURE_DER
    assert found.signature.key.reference == 0x81
    assert found.technical is None
    assert all(each[8:10] != "00" for each in card.log if each[2:4] == "B0")


def test_reads_are_at_most_231_bytes() -> None:
    card = cps3()
    play(recognised(card).certificates(), card)
    lengths = [int(each[8:10], 16) for each in card.log if each[2:4] == "B0"]
    assert max(lengths) == 0xE7
    assert min(lengths) > 0


def test_certificates_are_read_once() -> None:
    card = cps3()
    driver = recognised(card)
    first = play(driver.certificates(), card)
    again, sent = commands_of(card, driver.certificates)
    assert again == first
    assert sent == []


def test_the_login_certificate_alone_costs_no_reading_of_the_other() -> None:
    card = cps3()
    certificate = play(recognised(card).login_certificate(), card)
    assert certificate.der == files.AUTHENTICATION_DER
    assert not any("A022" in each for each in card.log)


def test_a_card_that_gives_less_than_asked_is_read_on() -> None:
    card = cps3()
    card.short_reads = 100
    assert play(recognised(card).login_certificate(), card).der == files.AUTHENTICATION_DER


def test_a_card_that_gives_a_byte_at_a_time_is_given_up() -> None:
    card = cps3()
    card.short_reads = 1
    with pytest.raises(CardProtocolError, match="too small pieces"):
        play(recognised(card).certificates(), card)


def test_a_file_larger_than_any_of_a_cps_is_refused() -> None:
    card = cps3(content={"3F000001A021": b"\x30" * 9000})
    with pytest.raises(CardProtocolError, match="longer than expected"):
        play(recognised(card).certificates(), card)


def test_a_certificate_without_its_key_is_none() -> None:
    card = cps3(content={"3F000001A010": files.SIGNATURE_KEY})
    driver = recognised(card)
    found = play(driver.certificates(), card)
    assert (found.authentication, found.signature is None) == (None, False)
    with pytest.raises(CardError, match="no certificate for authentication"):
        play(driver.sign(DIGEST), card)


def test_a_certificate_may_be_matched_by_its_label() -> None:
    entry = files.certificate_object("CPS_PRIV_AUT", "77", files.path("A021"))
    card = cps3(content={"3F000001A012": entry})
    assert play(recognised(card).login_certificate(), card).der == files.AUTHENTICATION_DER


def test_without_ef_dir_the_odf_is_looked_for_in_the_application() -> None:
    content = {name: value for name, value in files.CPS3_FILES.items() if name != "3F002F00"}
    card = FactsCard(content, cps3_script())
    # After the selection of the application its files are found by their identifiers.
    card.current = "3F000001"
    assert play(recognised(card).login_certificate(), card).der == files.AUTHENTICATION_DER
    assert "00A4020402503100" in card.log


def test_a_key_chosen_by_usage_where_labels_say_nothing() -> None:
    keys = files.key("Cle 1", files.PREFIX + "01", "060040", b"\x81") + files.key(
        "Cle 2", files.PREFIX + "02", "0560", b"\x82"
    )
    card = cps3(content={"3F000001A010": keys})
    assert play(recognised(card).login_certificate(), card).key.reference == 0x82


def test_data_objects_without_and_with_the_pin() -> None:
    card = cps3()
    driver = recognised(card)
    free = play(driver.data_objects(), card)
    assert [(each.label, each.content) for each in free] == [("CPS_NAME_PS", b"\x0c\x05LIBRE")]
    both = play(driver.data_objects(protected=True), card)
    assert [each.label for each in both] == ["CPS_NAME_PS", "CPS_ACTIVITY_01_PS"]


def test_a_data_object_that_the_card_keeps_is_left_out() -> None:
    card = cps3(**{"00A40904063F000001D12000": "6982"})
    both = play(recognised(card).data_objects(protected=True), card)
    assert [each.label for each in both] == ["CPS_NAME_PS"]


# CPS3: the PIN


def known(card: FactsCard, atr: bytes = CPS3_ATR) -> Any:
    """Return the driver of a card whose content is read already."""
    driver = recognised(card, atr)
    play(driver.login_certificate(), card)
    return driver


def test_the_tries_of_the_pin_are_read_without_using_one() -> None:
    card = cps3(tries=2)
    state, sent = commands_of(card, known(card).pin)
    assert (state.tries_left, state.blocked, state.min_length, state.max_length) == (2, False, 4, 8)
    assert sent == [SELECT_MF, USER_TRIES]


def test_no_usage_left_is_a_blocked_pin() -> None:
    exhausted = "7012BF81010EA00C9A01039B01039C01649D01009000"
    card = cps3(**{USER_TRIES: exhausted})
    assert play(known(card).pin(), card).blocked


@pytest.mark.parametrize(
    "answer", ["9000", "70009000", "7005BF810100009000", "7009BF810105A0039A01039000", "AABBCC9000"]
)
def test_an_answer_without_tries_is_refused(answer: str) -> None:
    card = cps3(**{USER_TRIES: answer})
    driver = known(card)
    with pytest.raises(CardProtocolError):
        play(driver.verify_pin(Secret(b"1234")), card)
    assert not any(each.startswith("0020") for each in card.log)


def test_a_pin_is_verified_after_its_tries_are_read() -> None:
    card = cps3()
    driver = known(card)
    _, sent = commands_of(card, lambda: driver.verify_pin(Secret(b"1234")))
    assert sent == [SELECT_MF, USER_TRIES, "002000010431323334"]


def test_a_wrong_pin_says_how_many_tries_are_left() -> None:
    card = cps3()
    driver = known(card)
    with pytest.raises(PinIncorrect) as refusal:
        play(driver.verify_pin(Secret(b"9999")), card)
    assert refusal.value.tries_left == 2
    assert sum(each.startswith("0020") for each in card.log) == 1


def test_a_wrong_pin_without_a_count_has_its_tries_read() -> None:
    card = cps3(**{
        USER_TRIES: f"{TRIES.format(1, 3)} {TRIES.format(1, 2)} {TRIES.format(1, 0)}",
        "002000010439393939": "6300",
    })  # fmt: skip
    driver = known(card)
    with pytest.raises(PinIncorrect) as refusal:
        play(driver.verify_pin(Secret(b"9999")), card)
    assert refusal.value.tries_left == 2


@pytest.mark.parametrize("pin", [b"", b"123", b"123456789", b"12a4"])
def test_a_pin_of_wrong_form_never_reaches_the_card(pin: bytes) -> None:
    card = cps3()
    driver = known(card)
    for call in (
        lambda: driver.verify_pin(Secret(pin)),
        lambda: driver.change_pin(Secret(pin), Secret(b"1234")),
        lambda: driver.change_pin(Secret(b"1234"), Secret(pin)),
        lambda: driver.unblock_pin(Secret(b"12345678"), Secret(pin)),
        lambda: driver.unblock_pin(Secret(pin), Secret(b"1234")),
    ):
        card.log.clear()
        with pytest.raises(Refused) as refusal:
            play(call(), card)
        assert refusal.value.code is Code.PIN_MALFORMED
        assert card.log == []


def test_the_last_try_is_used_on_request_alone() -> None:
    card = cps3(tries=1)
    driver = known(card)
    with pytest.raises(PinLastTry):
        play(driver.verify_pin(Secret(b"1234")), card)
    assert not any(each.startswith("0020") for each in card.log)
    play(driver.verify_pin(Secret(b"1234"), use_last_try=True), card)
    with pytest.raises(PinBlocked):
        play(driver.verify_pin(Secret(b"9999"), use_last_try=True), card)


def test_a_blocked_pin_is_not_sent() -> None:
    card = cps3(tries=0)
    driver = known(card)
    with pytest.raises(PinBlocked):
        play(driver.verify_pin(Secret(b"1234"), use_last_try=True), card)
    assert not any(each.startswith("0020") for each in card.log)


def test_a_pin_is_changed_in_one_command() -> None:
    card = cps3()
    driver = known(card)
    _, sent = commands_of(card, lambda: driver.change_pin(Secret(b"1234"), Secret(b"5678")))
    assert sent == [SELECT_MF, USER_TRIES, "00240001083132333435363738"]


def test_a_change_with_a_wrong_pin_counts_its_tries() -> None:
    card = cps3(**{"00240001083939393935363738": "63C1"})
    driver = known(card)
    with pytest.raises(PinIncorrect) as refusal:
        play(driver.change_pin(Secret(b"9999"), Secret(b"5678")), card)
    assert refusal.value.tries_left == 1


def test_a_pin_is_unblocked_with_its_code() -> None:
    card = cps3(tries=0)
    driver = known(card)
    _, sent = commands_of(card, lambda: driver.unblock_pin(Secret(b"12345678"), Secret(b"5678")))
    assert sent == [
        SELECT_MF, GET_TRIES.format(2), "00200002083132333435363738", "002C02010435363738",
    ]  # fmt: skip


def test_an_unblocking_code_that_the_card_does_not_list_has_the_known_reference() -> None:
    card = cps3(content={"3F000001A014": files.USER_PIN})
    driver = known(card)
    _, sent = commands_of(card, lambda: driver.unblock_pin(Secret(b"12345678"), Secret(b"5678")))
    assert "00200002083132333435363738" in sent


def test_a_padded_pin_is_padded_everywhere() -> None:
    padded = files.pin_object("P", "01", 1, flags="021C")
    block = "31323334FFFFFFFF"
    card = cps3(content={"3F000001A014": padded}, **{f"0020000108{block}": "9000"})
    play(known(card).verify_pin(Secret(b"1234")), card)


def test_a_pin_of_another_directory_is_verified_there() -> None:
    local = files.pin_object("P", "01", 1, where="3F000001")
    card = cps3(content={"3F000001A014": local})
    driver = known(card)
    _, sent = commands_of(card, lambda: driver.verify_pin(Secret(b"1234")))
    assert sent[2:] == ["00A4090C043F000001", "002000010431323334"]


def test_a_keypad_gets_the_command_without_the_pin() -> None:
    card = cps3()
    driver = known(card)
    request, sent = commands_of(card, driver.pin_request)
    assert (request.header, request.min_length, request.max_length, request.stored_length) == (
        bytes.fromhex("00200001"), 4, 8, None,
    )  # fmt: skip
    assert sent == [SELECT_MF, USER_TRIES]
    card = cps3(tries=1)
    with pytest.raises(PinLastTry):
        play(known(card).pin_request(), card)


ODD_LENGTHS = [(0, 8, 8), (32, 32, 32), (9, 8, 8)]


@pytest.mark.parametrize("lengths", ODD_LENGTHS)
def test_an_odd_pin_besides_leaves_the_card_usable(lengths: tuple[int, ...]) -> None:
    others = [
        files.pin_object("Autre", "07", 7, lengths=lengths),
        files.pin_object("Autre code de deblocage", "08", 8, flags="0013", lengths=lengths),
    ]
    card = cps3(content={"3F000001A014": b"".join(others) + files.AODF})
    driver = known(card)
    play(driver.verify_pin(Secret(b"1234")), card)
    play(driver.unblock_pin(Secret(b"12345678"), Secret(b"5678")), card)
    assert [each[4:8] for each in card.log if each[2:4] == "20"] == ["0001", "0002"]


@pytest.mark.parametrize("lengths", ODD_LENGTHS)
def test_an_odd_pin_is_refused_where_it_is_the_one_wanted(lengths: tuple[int, ...]) -> None:
    odd = files.pin_object("Code porteur", "01", 1, lengths=lengths)
    other = files.pin_object("Autre", "07", 7)
    card = cps3(content={"3F000001A014": odd + other})
    driver = known(card)
    with pytest.raises(CardProtocolError):
        play(driver.verify_pin(Secret(b"1234")), card)
    assert not any(each[2:4] == "20" for each in card.log)


def test_an_odd_unblocking_code_is_never_replaced_by_a_guess() -> None:
    odd = files.pin_object("Code de deblocage", "02", 2, flags="0013", lengths=(0, 8, 8))
    card = cps3(content={"3F000001A014": files.USER_PIN + odd})
    driver = known(card)
    with pytest.raises(CardProtocolError):
        play(driver.unblock_pin(Secret(b"12345678"), Secret(b"5678")), card)
    assert not any(each[2:4] == "20" for each in card.log)


@pytest.mark.parametrize(
    ("tries", "answer", "error", "code"),
    [
        (3, "63C2", PukIncorrect, Code.PUK_INCORRECT),
        (3, "6983", PukBlocked, Code.PUK_BLOCKED),
        (1, "9000", PukLastTry, Code.PUK_LAST_TRY),
        (0, "9000", PukBlocked, Code.PUK_BLOCKED),
    ],
)
def test_what_is_wrong_with_the_unblocking_code_is_said_of_it(
    tries: int, answer: str, error: type[CardError], code: Code
) -> None:
    card = cps3(tries=0, **{
        GET_TRIES.format(2): TRIES.format(2, tries), "00200002083939393939393939": answer,
    })  # fmt: skip
    driver = known(card)
    with pytest.raises(error, match="unblock") as refusal:
        play(driver.unblock_pin(Secret(b"99999999"), Secret(b"5678")), card)
    assert refusal.value.code is code
    assert "PIN" not in str(refusal.value)


def test_an_unblocking_code_of_wrong_form_is_called_one() -> None:
    card = cps3()
    driver = known(card)
    with pytest.raises(Refused, match="an unblocking code is 8 to 8 digits"):
        play(driver.unblock_pin(Secret(b"1"), Secret(b"5678")), card)


SHORT_EF_SN = "00B09C000C"


@pytest.mark.parametrize(
    "answer", ["00" * 12, "5A0A8025000001770000011F", "5A0A", "5A0A80250000010000ABCDEF", ""]
)
def test_a_card_in_another_directory_is_known_again_by_the_path_of_its_number(answer: str) -> None:
    card = cps3(**{SHORT_EF_SN: answer + "9000"})
    driver = known(card)
    still, sent = commands_of(card, lambda: driver.still_is("8025000001/99213845"))
    assert still is True
    assert sent == [SHORT_EF_SN, "00A40904043F00D00300", "00B000000C"]
    # The MF is not known to be selected: it is selected before the tries are read.
    _, sent = commands_of(card, lambda: driver.verify_pin(Secret(b"1234")))
    assert sent[0] == SELECT_MF


def test_another_card_is_not_the_one_that_was_read() -> None:
    other = bytes.fromhex("5A0A8025000001770000011F")
    card = cps3(content={"3F00D003": other}, **{SHORT_EF_SN: other.hex() + "9000"})
    assert play(known(card).still_is("8025000001/99213845"), card) is False


# CPS3: the signature


def test_a_login_on_a_known_card_takes_six_commands() -> None:
    card = cps3()
    driver = known(card)
    _, verify = commands_of(card, lambda: driver.verify_pin(Secret(b"1234")))
    signature, sign = commands_of(card, lambda: driver.sign(DIGEST))
    assert signature.hex().upper() == SIGNATURE
    assert sign == [SELECT_CPS3, "002241A406800102840182", f"0088000033{DIGEST_INFO}00"]
    assert len(verify + sign) == 6


def test_a_key_that_names_its_path_is_used_there() -> None:
    key = files.key("CPS_PRIV_AUT", files.PREFIX + "02", "0560", b"\x82", "3F000001")
    card = cps3(content={"3F000001A010": key})
    driver = known(card)
    _, sent = commands_of(card, lambda: driver.sign(DIGEST))
    assert sent[0] == "00A4090C043F000001"


def test_a_signature_without_the_pin_is_the_cards_refusal() -> None:
    card = cps3(**{f"0088000033{DIGEST_INFO}00": "6982"})
    driver = known(card)
    with pytest.raises(CardStatusError) as refusal:
        play(driver.sign(DIGEST), card)
    assert refusal.value.status == 0x6982


@pytest.mark.parametrize("answer", ["9000", "AA9000", "5C" * 255 + "9000"])
def test_a_signature_of_another_length_is_refused(answer: str) -> None:
    card = cps3(**{f"0088000033{DIGEST_INFO}00": answer})
    driver = known(card)
    with pytest.raises(CardProtocolError):
        play(driver.sign(DIGEST), card)


def test_only_a_digest_is_signed() -> None:
    card = cps3()
    driver = known(card)
    for length in (0, 20, 31, 33, 64):
        with pytest.raises(ValueError, match="32"):
            play(driver.sign(b"\x00" * length), card)


# The memory of cards


def test_a_card_seen_before_is_known_again() -> None:
    memory = CardMemory()
    card = cps3()
    first = recognised(card)
    assert play(first.remember(memory), card) == "8025000001/99213845"
    certificate = play(first.login_certificate(), card)
    first.keep()

    second = recognised(card)
    _, sent = commands_of(card, lambda: second.remember(memory))
    assert len(sent) == 4  # EF.SN and EF_ACTUA
    known_again, sent = commands_of(card, second.login_certificate)
    assert (known_again, sent) == (certificate, [])


def test_an_updated_card_and_a_forgotten_one_are_read_again() -> None:
    memory = CardMemory()
    card = cps3()
    driver = recognised(card)
    play(driver.remember(memory), card)
    play(driver.login_certificate(), card)
    driver.keep()

    updated = cps3(content={"3F00D010": b"\xec\x00"})
    driver = recognised(updated)
    play(driver.remember(memory), updated)
    assert commands_of(updated, driver.login_certificate)[1] != []

    memory.forget("8025000001/99213845")
    driver = recognised(card)
    play(driver.remember(memory), card)
    assert commands_of(card, driver.login_certificate)[1] != []


def test_the_memory_is_bounded() -> None:
    memory = CardMemory(limit=2)
    one, two, three = (CardKey("cps3", number, None) for number in "123")
    memory.keep(one, Contents())
    memory.keep(two, Contents())
    assert memory.recall(one) == Contents()
    memory.keep(three, Contents())
    assert memory.recall(two) is None
    assert memory.recall(one) == memory.recall(three) == Contents()


def test_a_card_that_claims_a_number_leaves_nothing_to_the_next_one_with_it() -> None:
    memory = CardMemory()
    hostile = cps3(content={"3F000001A014": files.pin_object("Code porteur", "01", 0x02)})
    driver = recognised(hostile)
    play(driver.remember(memory), hostile)
    play(driver.verify_pin(Secret(b"12345678")), hostile)

    card = cps3()
    driver = recognised(card)
    play(driver.remember(memory), card)
    _, sent = commands_of(card, lambda: driver.verify_pin(Secret(b"1234")))
    assert sent[-1] == "002000010431323334"


def test_a_card_that_claims_the_number_of_one_remembered_changes_nothing_of_it() -> None:
    memory = CardMemory()
    card = cps3()
    driver = recognised(card)
    play(driver.remember(memory), card)
    certificate = play(driver.login_certificate(), card)
    driver.keep()

    hostile = cps3(content={"3F000001A022": b"\x30\x01\x00"})
    driver = recognised(hostile)
    play(driver.remember(memory), hostile)
    assert play(driver.certificates(), hostile).authentication == certificate

    driver = recognised(card)
    play(driver.remember(memory), card)
    assert play(driver.certificates(), card).signature.der == files.SIGNATURE_DER


def test_a_card_whose_remembered_content_is_dropped_is_read_anew() -> None:
    memory = CardMemory()
    card = cps3()
    driver = recognised(card)
    play(driver.remember(memory), card)
    play(driver.login_certificate(), card)
    assert driver.forget() is False
    driver.keep()

    driver = recognised(card)
    play(driver.remember(memory), card)
    assert driver.forget() is True
    assert commands_of(card, driver.login_certificate)[1] != []
    assert driver.forget() is False


# CPS3 without contacts

TECHNICAL_ID = files.PREFIX + "03"
CONTACTLESS_FILES = {
    "3F002F00": files.EF_DIR,
    "3F00D003": files.CPS3_FILES["3F00D003"],
    "3F0000025031": files.tlv(0xA0, files.path("B010")) + files.tlv(0xA4, files.path("B012")),
    "3F000002B010": files.obj(
        files.sequence(files.label("CPS_PRIV_TECH_AUT")),
        files.sequence(
            files.octets(TECHNICAL_ID), files.tlv(3, b"\x05\x20"), files.tlv(2, b"\x83")
        ),
        files.sequence(files.sequence()),
    ),
    "3F000002B012": files.certificate_object("Technique", TECHNICAL_ID, files.path("B022")),
    "3F000002B022": files.SIGNATURE_DER,
}
SELECT_CONTACTLESS = "00A4040C0DE828BD080F8025000001FF0020"


def contactless() -> FactsCard:
    script = {
        SELECT_CONTACTLESS: "9000",
        "002241A406800102840183": "9000",
        f"0088000033{DIGEST_INFO}00": SIGNATURE + "9000",
    }
    return FactsCard(CONTACTLESS_FILES, script, t0=False)


def test_without_contacts_the_technical_key_signs_and_there_is_no_pin() -> None:
    card = contactless()
    driver = recognised(card, CONTACTLESS_ATR)
    assert driver.family is Family.CPS3_CONTACTLESS
    found = play(driver.certificates(), card)
    assert (found.authentication, found.signature) == (None, None)
    assert found.technical.key.reference == 0x83
    assert play(driver.pin(), card) is None
    signature, sent = commands_of(card, lambda: driver.sign(DIGEST))
    assert len(signature) == 256
    assert sent[0] == SELECT_CONTACTLESS
    assert not any(re.match("00(20|24|2C|CB)", each) for each in card.log)


def test_without_contacts_a_pin_is_refused_before_any_command() -> None:
    card = contactless()
    driver = recognised(card, CONTACTLESS_ATR)
    card.log.clear()
    for call in (
        lambda: driver.verify_pin(Secret(b"1234")),
        lambda: driver.change_pin(Secret(b"1234"), Secret(b"5678")),
        lambda: driver.unblock_pin(Secret(b"12345678"), Secret(b"5678")),
        driver.pin_request,
    ):
        with pytest.raises(CardError, match="no PIN"):
            play(call(), card)
    assert play(driver.update_stamp(), card) is None
    assert card.log == []


# CPS4

SELECT_CHIPDOC = "01A4040C088025000001FF0100"
ISSUER_DOMAIN = "01A4040C07A0000001510000"
CPS2TER = "00A4040C088025000001FF0002"
CPS4_PIN = files.pin_object("Code porteur", "01", 0x81, where="")
CPS4_PUK = files.pin_object(
    "Code de deblocage", "02", 0x82, flags="0013", lengths=(8, 8, 8), where=""
)
CPS4_FILES = {
    **{name: value for name, value in files.CPS3_FILES.items() if name != "3F00D010"},
    "3F000001A010": files.key("CPS_PRIV_AUT", files.PREFIX + "02", "0560", b"\x20"),
    "3F000001A014": CPS4_PIN + CPS4_PUK,
}
PADDED = "0001" + "FF" * (256 - 54) + "00" + DIGEST_INFO
MSE = "012241B803830120"
FIRST_PART, LAST_PART = "112A8086FF" + PADDED[:510], "012A808601" + PADDED[510:] + "00"


def cps4(tries: str = "63C3", **more: str) -> FactsCard:
    script = {
        SELECT_CHIPDOC: "9000",
        "01200081": tries,
        "01200082": "63CA",
        "012000810431323334": "9000",
        "012000810439393939": "63C2",
        "01200082083132333435363738": "9000",
        "012401810435363738": "9000",
        "012C0381": "9000",
        MSE: "9000",
        FIRST_PART: "9000",
        LAST_PART: SIGNATURE + "9000",
        **more,
    }
    return FactsCard(CPS4_FILES, script, cla=0x01)


def test_a_cps4_is_recognised_and_read_on_its_channel() -> None:
    card = cps4()
    driver = recognised(card, CPS4_ATR)
    assert driver.family is Family.CPS4
    number, sent = commands_of(card, driver.number)
    assert number == "8025000001/99213845"
    assert sent == ["01A4080002D00300", "01B000000C"]
    assert play(driver.update_stamp(), card) is None
    assert play(driver.login_certificate(), card).der == files.AUTHENTICATION_DER
    assert all(each.startswith("01") for each in card.log)
    assert "01C0000009" in card.log


def test_a_cps4_is_read_256_bytes_at_a_time() -> None:
    card = cps4()
    play(recognised(card, CPS4_ATR).login_certificate(), card)
    assert any(each[2:4] == "B0" and each[8:10] == "00" for each in card.log)


def test_a_login_on_a_known_cps4_takes_seven_commands() -> None:
    card = cps4()
    driver = known(card, CPS4_ATR)
    _, verify = commands_of(card, lambda: driver.verify_pin(Secret(b"1234")))
    signature, sign = commands_of(card, lambda: driver.sign(DIGEST))
    assert verify == [SELECT_CHIPDOC, "01200081", "012000810431323334"]
    assert sign == ["01A40800020001", MSE, FIRST_PART, LAST_PART]
    assert signature.hex().upper() == SIGNATURE


@pytest.mark.parametrize(("word", "tries"), [("63C2", 2), ("63C0", 0), ("6983", 0), ("9000", None)])
def test_the_tries_of_a_cps4(word: str, tries: int | None) -> None:
    card = cps4(word)
    state = play(known(card, CPS4_ATR).pin(), card)
    assert (state.tries_left, state.blocked) == (tries, tries == 0)


def test_a_pin_that_another_program_verified_is_verified_again() -> None:
    card = cps4("9000")
    driver = known(card, CPS4_ATR)
    play(driver.verify_pin(Secret(b"1234")), card)
    assert "012000810431323334" in card.log
    with pytest.raises(PinIncorrect):
        play(driver.verify_pin(Secret(b"9999")), card)


def test_the_pin_of_a_cps4_is_changed_and_unblocked() -> None:
    card = cps4()
    driver = known(card, CPS4_ATR)
    _, sent = commands_of(card, lambda: driver.change_pin(Secret(b"1234"), Secret(b"5678")))
    assert sent[1:] == ["01200081", "012000810431323334", "012401810435363738"]
    _, sent = commands_of(card, lambda: driver.unblock_pin(Secret(b"12345678"), Secret(b"5678")))
    assert sent[1:] == [
        "01200082", "01200082083132333435363738", "012C0381", "012401810435363738",
    ]  # fmt: skip


def test_the_last_try_of_a_cps4_is_kept() -> None:
    card = cps4("63C1")
    driver = known(card, CPS4_ATR)
    with pytest.raises(PinLastTry):
        play(driver.verify_pin(Secret(b"1234")), card)
    assert not any(each.startswith("0120008104") for each in card.log)


@pytest.mark.parametrize("word", ["6985", "6881", "6E00", "6E01", "6A86"])
def test_a_cps4_that_another_program_left_elsewhere_is_brought_back(word: str) -> None:
    card = cps4(f"{word} 63C3")
    driver = known(card, CPS4_ATR)
    state, sent = commands_of(card, driver.pin)
    assert state.tries_left == 3
    assert sent == [SELECT_CHIPDOC, "01200081", SELECT_CHIPDOC, SELECT_CHIPDOC, "01200081"]


def test_a_selection_that_fails_takes_the_detour() -> None:
    card = cps4(**{SELECT_CHIPDOC: "6985 9000", ISSUER_DOMAIN: "6A82", CPS2TER: "9000"})
    recognised(card, CPS4_ATR)
    assert card.log == [SELECT_CHIPDOC, ISSUER_DOMAIN, CPS2TER, SELECT_CHIPDOC]


def test_recovery_is_tried_once() -> None:
    card = cps4("6985")
    driver = known(card, CPS4_ATR)
    with pytest.raises(CardStatusError) as refusal:
        play(driver.verify_pin(Secret(b"1234")), card)
    assert refusal.value.status == 0x6985
    assert not any(each.startswith("0120008104") for each in card.log)


@pytest.mark.parametrize("word", ["6985", "6881", "6E00"])
@pytest.mark.parametrize("command", ["01A40800020001", MSE, FIRST_PART, LAST_PART])
def test_a_disturbance_after_the_pin_loses_it(word: str, command: str) -> None:
    card = cps4(**{command: f"{word} 9000"})
    driver = known(card, CPS4_ATR) if command != "01A40800020001" else None
    if driver is None:
        card.script = {**card.script, command: "9000"}
        driver = known(card, CPS4_ATR)
        card.script = {**card.script, command: f"{word} 9000"}
        card._given.clear()
    play(driver.verify_pin(Secret(b"1234")), card)
    card.log.clear()
    with pytest.raises(CardBusy):
        play(driver.sign(DIGEST), card)
    assert card.log[-1] == SELECT_CHIPDOC
    assert card.log.count(LAST_PART) <= 1


def test_a_card_that_lists_no_unblocking_code_cannot_be_unblocked() -> None:
    card = cps4()
    card.files = {**CPS4_FILES, "3F000001A014": CPS4_PIN}
    driver = known(card, CPS4_ATR)
    with pytest.raises(CardError, match="no unblocking code"):
        play(driver.unblock_pin(Secret(b"12345678"), Secret(b"5678")), card)
