"""What a card's PKCS#15 files say, and what is refused."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardd.cps import asn1, pkcs15
from cardd.cps.pin import PinType
from cardd.cps.pkcs15 import FilePath
from cardd.errors import CardProtocolError
from tests.cps import pkcs15_files as files

pytestmark = pytest.mark.unit


def test_the_application_is_found_by_its_own_aid() -> None:
    contact = pkcs15.parse_directory(files.EF_DIR, files.CONTACT_AID)
    contactless = pkcs15.parse_directory(files.EF_DIR, files.CONTACTLESS_AID)
    assert contact is not None
    assert contactless is not None
    assert contact.path == bytes.fromhex("3F000001")
    assert contactless.path == bytes.fromhex("3F000002")
    assert pkcs15.parse_directory(files.EF_DIR, b"\xa0\x00\x00\x01\x67") is None


def test_an_entry_may_name_no_path_a_short_one_or_its_own_odf() -> None:
    entry = files.directory_entry(files.CONTACT_AID, "CPX IAS", "")
    assert pkcs15.parse_directory(entry, files.CONTACT_AID).path == b""  # type: ignore[union-attr]
    entry = files.directory_entry(files.CONTACT_AID, "CPX IAS", "0001")
    found = pkcs15.parse_directory(entry, files.CONTACT_AID)
    assert found is not None
    assert found.path == bytes.fromhex("3F000001")
    ddo = files.tlv(0x73, files.tlv(0x06, b"\x2a\x03"), files.path("3F0000014401"))
    entry = files.tlv(0x61, files.tlv(0x4F, files.CONTACT_AID), ddo)
    found = pkcs15.parse_directory(entry, files.CONTACT_AID)
    assert found is not None
    assert found.odf == FilePath(bytes.fromhex("3F0000014401"))


def test_the_odf_says_where_the_directory_files_are() -> None:
    lists = pkcs15.parse_object_directory(files.ODF + b"\x00" * 20)
    assert lists.private_keys == (FilePath(b"\xa0\x10"),)
    assert lists.certificates == (FilePath(bytes.fromhex("3F000001A012")),)
    assert lists.data_objects == (FilePath(b"\xa0\x13"),)
    assert lists.authentication_objects == (FilePath(b"\xa0\x14"),)


def test_a_relative_path_is_one_of_the_application() -> None:
    assert FilePath(b"\xa0\x10").within(bytes.fromhex("3F000001")).ids.hex() == "3f000001a010"
    absolute = FilePath(bytes.fromhex("3F00A010"))
    assert absolute.within(bytes.fromhex("3F000001")) is absolute


def test_keys_have_reference_label_and_usage() -> None:
    signature, authentication = pkcs15.parse_keys(files.PRKDF)
    assert (signature.reference, signature.label) == (0x81, "CPS_PRIV_SIG")
    assert signature.usage == {9}
    assert (authentication.reference, authentication.label) == (0x82, "CPS_PRIV_AUT")
    assert authentication.usage == {1, 2}
    assert authentication.identifier == bytes.fromhex(files.PREFIX + "02")
    assert authentication.authentication == b"\x01"
    assert authentication.path == b""


def test_a_key_may_name_its_path() -> None:
    (found,) = pkcs15.parse_keys(files.key("CPS_PRIV_AUT", "20", "0560", b"\x20", "3F000001"))
    assert found.path == bytes.fromhex("3F000001")


@pytest.mark.parametrize(
    ("written", "reference"), [("82", 0x82), ("0082", 0x82), ("FF82", 0x82), ("10", 0x10)]
)
def test_a_key_reference_is_one_byte_however_it_is_written(written: str, reference: int) -> None:
    (found,) = pkcs15.parse_keys(files.key("K", "01", "0560", bytes.fromhex(written)))
    assert found.reference == reference


def test_a_key_reference_of_more_bytes_is_refused() -> None:
    with pytest.raises(CardProtocolError, match="key reference"):
        pkcs15.parse_keys(files.key("K", "01", "0560", b"\x01\x82"))


def test_certificates_have_an_identifier_and_a_file() -> None:
    authentication, signature = pkcs15.parse_certificates(files.CDF)
    assert authentication.identifier == bytes.fromhex(files.PREFIX + "02")
    assert authentication.path == FilePath(b"\xa0\x21")
    assert signature.path == FilePath(b"\xa0\x22")


def test_a_certificate_may_be_a_part_of_a_file_or_in_the_list_itself() -> None:
    part = files.path("A021", files.tlv(0x02, b"\x10"), files.tlv(0x80, b"\x01\x00"))
    (found,) = pkcs15.parse_certificates(files.certificate_object("C", "01", part))
    assert found.path == FilePath(b"\xa0\x21", 16, 256)
    direct = files.tlv(0xA0, files.SIGNATURE_DER)
    (found,) = pkcs15.parse_certificates(files.certificate_object("C", "01", direct))
    assert (found.path, found.direct) == (None, files.SIGNATURE_DER)


def test_a_data_object_that_names_a_pin_is_protected() -> None:
    name, activity = pkcs15.parse_data_objects(files.DODF)
    assert (name.label, name.protected) == ("CPS_NAME_PS", False)
    assert (activity.label, activity.protected) == ("CPS_ACTIVITY_01_PS", True)
    assert activity.path == FilePath(b"\xd1\x20")


def test_pins_have_reference_lengths_and_padding() -> None:
    user, unblocking = pkcs15.parse_pins(files.AODF)
    assert (user.reference, user.minimum, user.maximum, user.unblocks) == (1, 4, 8, False)
    assert (user.padded, user.type, user.path) == (False, PinType.ASCII_NUMERIC, b"\x3f\x00")
    assert (unblocking.reference, unblocking.minimum, unblocking.unblocks) == (2, 8, True)
    (padded,) = pkcs15.parse_pins(files.pin_object("P", "01", 1, flags="021C", pad="20"))
    assert (padded.block_length, padded.pad) == (8, 0x20)


def test_a_pin_without_reference_maximum_or_pad_has_the_standards_defaults() -> None:
    content = files.obj(
        files.sequence(),
        files.sequence(files.octets("01")),
        files.sequence(
            files.tlv(0x03, b"\x04\x10"),
            files.tlv(0x0A, b"\x01"),
            files.tlv(0x02, b"\x04"),
            files.tlv(0x02, b"\x06"),
        ),
    )
    (pin,) = pkcs15.parse_pins(content)
    assert (pin.reference, pin.maximum, pin.pad) == (0, 6, 0xFF)


@pytest.mark.parametrize("lengths", [(0, 8, 8), (9, 8, 8), (4, 16, 8), (16, 16, 16)])
def test_a_pin_that_nobody_could_type_does_not_fit(lengths: tuple[int, ...]) -> None:
    odd = files.pin_object("P", "01", 1, flags="021C", lengths=lengths)
    found, other = pkcs15.parse_pins(odd + files.USER_PIN)
    assert (found.fits, other.fits) == (False, True)
    with pytest.raises(CardProtocolError):
        found.require_fit()


def test_objects_of_other_kinds_are_passed_over() -> None:
    assert pkcs15.parse_pins(files.tlv(0xA0, b"\x30\x00") + files.USER_PIN)[0].reference == 1
    biometric = files.pin_object("P", "01", 1, kind=4)
    assert pkcs15.parse_pins(biometric) == ()


def test_a_bit_string_with_a_wrong_count_of_unused_bits_is_read() -> None:
    assert asn1.bits(bytes.fromhex("0F 80")) == {0}
    assert asn1.bits(bytes.fromhex("00 0040")) == {9}
    assert asn1.bits(b"") == asn1.bits(b"\x00") == frozenset()


def test_a_label_is_printable_and_short() -> None:
    assert asn1.text("Médecin\x1b[2J\n".encode()) == "Médecin[2J"
    assert len(asn1.text(b"A" * 500)) == 64
    assert asn1.text(b"\xff\xfe") == "\ufffd\ufffd"


@pytest.mark.parametrize(
    "content", [files.sequence(), files.sequence(files.sequence(), files.sequence()), b"\x30\x05"]
)
def test_an_object_that_lacks_its_parts_is_refused(content: bytes) -> None:
    for parse in (pkcs15.parse_keys, pkcs15.parse_certificates, pkcs15.parse_pins):
        with pytest.raises(CardProtocolError):
            parse(content)


def test_more_objects_than_a_card_has_are_refused() -> None:
    with pytest.raises(CardProtocolError, match="64"):
        pkcs15.parse_keys(files.SIGNATURE_KEY * 65)


PARSERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "EF.DIR": (lambda data: pkcs15.parse_directory(data, files.CONTACT_AID), files.EF_DIR),
    "ODF": (pkcs15.parse_object_directory, files.ODF),
    "PrKDF": (pkcs15.parse_keys, files.PRKDF),
    "CDF": (pkcs15.parse_certificates, files.CDF),
    "DODF": (pkcs15.parse_data_objects, files.DODF),
    "AODF": (pkcs15.parse_pins, files.AODF),
}


@pytest.mark.parametrize("name", PARSERS)
def test_every_byte_changed_and_every_cut_is_read_or_refused(name: str) -> None:
    parse, content = PARSERS[name]
    for at in range(len(content)):
        for value in (0x00, 0x30, 0x7F, 0x80, 0x84, 0xA0, 0xFF, content[at] ^ 1):
            with contextlib.suppress(CardProtocolError):
                parse(content[:at] + bytes((value,)) + content[at + 1 :])
        with contextlib.suppress(CardProtocolError):
            parse(content[:at])


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    parse, _ = PARSERS[name]
    with contextlib.suppress(CardProtocolError):
        parse(data)
