"""What a card says of a file, and what a file is created and changed with."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardd.desfire.command import CommunicationMode
from cardd.desfire.fields import (
    MAX_OFFSET,
    MAX_VALUE,
    MIN_VALUE,
    encode_iso_file_id,
    encode_length,
    encode_value,
    parse_iso_file_ids,
    parse_lengths,
    parse_value,
)
from cardd.desfire.file_settings import MAX_SETTINGS_BYTES, parse_file_settings
from cardd.desfire.files import (
    FREE,
    MAX_ADDITIONAL_RIGHTS,
    NEVER,
    AccessRights,
    DataFileSettings,
    FileSettings,
    FileType,
    RecordFileSettings,
    ValueFileSettings,
    encode_change,
    mode_of,
)
from cardd.desfire.sdm import MAX_SDM_BYTES, SecureDynamicMessaging
from cardd.errors import CardProtocolError

pytestmark = pytest.mark.unit

PLAIN, MAC, FULL = CommunicationMode.PLAIN, CommunicationMode.MAC, CommunicationMode.FULL
KEY_0 = AccessRights(0, 0, 0, 0)

MODES = st.sampled_from(CommunicationMode)
NIBBLES = st.integers(0, 15)
RIGHTS = st.builds(AccessRights, NIBBLES, NIBBLES, NIBBLES, NIBBLES)
LENGTHS = st.integers(1, MAX_OFFSET)
VALUES = st.integers(MIN_VALUE, MAX_VALUE)
OFFSETS = st.integers(0, MAX_OFFSET)


@st.composite
def value_files(draw: st.DrawFn) -> ValueFileSettings:
    lower, value, upper = sorted(draw(st.tuples(VALUES, VALUES, VALUES)))
    options = draw(st.tuples(st.booleans(), st.booleans()))
    return ValueFileSettings(draw(MODES), draw(RIGHTS), lower, upper, value, *options)


@st.composite
def record_files(draw: st.DrawFn) -> RecordFileSettings:
    cyclic = draw(st.booleans())
    most = draw(st.integers(1 + cyclic, MAX_OFFSET))
    current = draw(st.integers(0, most - cyclic))
    return RecordFileSettings(draw(MODES), draw(RIGHTS), draw(LENGTHS), most, current, cyclic)


FILES = st.one_of(
    st.builds(DataFileSettings, MODES, RIGHTS, LENGTHS, st.booleans()),
    value_files(),
    record_files(),
)


@st.composite
def mirrors(draw: st.DrawFn) -> SecureDynamicMessaging:
    """Draw options first, then a number for each that they call for (NT4H2421Gx, table 69)."""
    uid, counter, enciphers, limited = (draw(st.booleans()) for _ in range(4))
    meta_read, file_read, counter_read = draw(st.tuples(NIBBLES, NIBBLES, NIBBLES))
    present = {
        "uid_offset": uid and meta_read == FREE,
        "counter_offset": counter and meta_read == FREE,
        "picc_data_offset": meta_read not in {FREE, NEVER},
        "mac_input_offset": file_read != NEVER,
        "enciphered_offset": file_read != NEVER and enciphers,
        "enciphered_bytes": file_read != NEVER and enciphers,
        "mac_offset": file_read != NEVER,
        "counter_limit": limited,
    }
    numbers = {name: draw(OFFSETS) for name, here in present.items() if here}
    return SecureDynamicMessaging(
        uid, counter, enciphers, meta_read, file_read, counter_read, **numbers
    )


def answer_of(file: FileSettings) -> bytes:
    """Return what GetFileSettings answers for a file that was created with these settings."""
    count = encode_length(file.current_records) if isinstance(file, RecordFileSettings) else b""
    return bytes((file.type,)) + file.encode() + count


@given(file=FILES)
@settings(max_examples=200)
def test_a_file_is_told_as_it_was_created(file: FileSettings):
    assert parse_file_settings(answer_of(file)) == file


@given(file=FILES, sets=st.lists(RIGHTS, min_size=1, max_size=MAX_ADDITIONAL_RIGHTS))
@settings(max_examples=100)
def test_further_access_rights_are_told_as_they_were_set(file: FileSettings, sets):
    head, body = answer_of(file)[:4], answer_of(file)[4:]
    changed = encode_change(file.mode, file.access, tuple(sets))
    assert changed[:1] == bytes((file.mode | 0x80,))
    answer = head[:1] + changed[:3] + body + changed[3:]
    assert parse_file_settings(answer) == replace(file, additional=tuple(sets))
    assert len(answer) <= MAX_SETTINGS_BYTES


@given(file=st.builds(DataFileSettings, MODES, RIGHTS, LENGTHS), sdm=mirrors())
@settings(max_examples=200)
def test_mirrors_are_told_as_they_were_set(file: DataFileSettings, sdm: SecureDynamicMessaging):
    changed = encode_change(file.mode, file.access, sdm=sdm)
    answer = b"\x00" + changed[:3] + encode_length(file.size_bytes) + changed[3:]
    assert parse_file_settings(answer) == replace(file, sdm=sdm)
    assert len(sdm.encode()) <= MAX_SDM_BYTES
    assert len(answer) <= MAX_SETTINGS_BYTES


@given(answer=st.binary(max_size=MAX_SETTINGS_BYTES + 4))
@settings(max_examples=1000)
def test_any_answer_is_settings_or_refused(answer: bytes):
    try:
        file = parse_file_settings(answer)
    except CardProtocolError:
        return
    assert answer[0] == file.type


@given(file=FILES, cut=st.integers(1, 20), more=st.binary(min_size=1, max_size=20))
@settings(max_examples=200)
def test_settings_of_another_length_are_refused(file: FileSettings, cut: int, more: bytes):
    answer = answer_of(file)
    for damaged in (answer[:-cut], answer + more):
        with pytest.raises(CardProtocolError):
            parse_file_settings(damaged)


def test_a_value_file_is_coded_as_the_manual_of_a_reader_says():
    # QM-ABCM7, 5.8.2.15, with the options that proxmark3 names.
    file = ValueFileSettings(PLAIN, AccessRights(FREE, FREE, FREE, FREE), -1, 2**31 - 1, 0)
    assert file.encode() == bytes.fromhex("00 EEEE FFFFFFFF FFFFFF7F 00000000 00")
    assert replace(file, limited_credit=True).encode()[-1] == 0x01
    assert replace(file, free_get_value=True).encode()[-1] == 0x02


def test_the_older_code_of_plain_communication_is_understood():
    told = parse_file_settings(bytes.fromhex("00 02 0000 200000"))
    assert told == DataFileSettings(PLAIN, KEY_0, 32)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("05 00 F00F 02 00", "type 05"),
        ("00 20 0000 200000", "settings 20"),
        ("00 C0 0000 200000 01 0000", "settings C0"),
        ("01 40 0000 200000 01 FFFF", "another length"),
        ("02 40 0000 00000000 01000000 00000000 00", "another length"),
        ("00 00 0000 000000", "empty"),
        ("02 00 0000 01000000 00000000 00000000 00", "limits"),
        ("02 00 0000 00000000 01000000 00000000 04", "options"),
        ("03 00 0000 000000 010000 000000", "records"),
        ("03 00 0000 010000 000000 000000", "records"),
        ("03 00 0000 010000 010000 020000", "records"),
        ("04 00 0000 010000 010000 000000", "records"),
        ("04 00 0000 010000 020000 020000", "records"),
        ("00 80 0000 200000", "count"),
        ("00 80 0000 200000 00", "count"),
        ("00 80 0000 200000 08 0000 0000 0000 0000 0000 0000 0000 0000", "count"),
        ("00 80 0000 200000 02 0000", "number"),
        ("00 80 0000 200000 01 0000 00", "number"),
        ("00 40 0000 200000", "another kind"),
        ("00 40 0000 200000 00 FFFF", "another kind"),
        ("00 40 0000 200000 03 FFFF", "another kind"),
        ("00 40 0000 200000 01 FFFF 000000", "another length"),
        ("00 40 0000 200000 81 FFEF 0000", "another length"),
    ],
)
def test_what_cannot_be_said_of_a_file_is_refused(answer: str, why: str):
    with pytest.raises(CardProtocolError, match=why):
        parse_file_settings(bytes.fromhex(answer))


MIRRORS = SecureDynamicMessaging(
    mirrors_uid=True,
    mirrors_counter=True,
    enciphers_data=False,
    meta_read=2,
    file_read=1,
    counter_read=1,
    picc_data_offset=0x20,
    mac_input_offset=0x43,
    mac_offset=0x43,
)
VALUE_FILE = ValueFileSettings(PLAIN, KEY_0, 0, 10, 5)
RECORD_FILE = RecordFileSettings(PLAIN, KEY_0, 16, 4)
MISTAKES = {
    "a data file without bytes": lambda: DataFileSettings(PLAIN, KEY_0, 0).encode(),
    "a data file that is too long": lambda: DataFileSettings(PLAIN, KEY_0, 2**24).encode(),
    "a right of five bits": lambda: AccessRights(16, 0, 0, 0).encode(),
    "mirrors from the start": lambda: DataFileSettings(PLAIN, KEY_0, 1, sdm=MIRRORS).encode(),
    "further rights from the start": lambda: replace(VALUE_FILE, additional=(KEY_0,)).encode(),
    "a value below its limits": lambda: replace(VALUE_FILE, value=-1).encode(),
    "a value above its limits": lambda: replace(VALUE_FILE, value=11).encode(),
    "a limit of 33 bits": lambda: replace(VALUE_FILE, upper_limit=2**31).encode(),
    "records without bytes": lambda: replace(RECORD_FILE, record_bytes=0).encode(),
    "a file without records": lambda: replace(RECORD_FILE, max_records=0).encode(),
    "a cycle of one record": lambda: replace(RECORD_FILE, max_records=1, cyclic=True).encode(),
    "too many further rights": lambda: encode_change(PLAIN, KEY_0, (KEY_0,) * 8),
    "further rights and mirrors": lambda: encode_change(PLAIN, KEY_0, (KEY_0,), MIRRORS),
    "an offset that lacks": lambda: replace(MIRRORS, mac_offset=None).encode(),
    "an offset that is left out": lambda: replace(MIRRORS, uid_offset=0).encode(),
    "an offset of four bytes": lambda: replace(MIRRORS, mac_offset=2**24).encode(),
    "a negative offset": lambda: replace(MIRRORS, mac_offset=-1).encode(),
    "a key of five bits": lambda: replace(MIRRORS, file_read=16).encode(),
    "an ISO identifier of the master file": lambda: encode_iso_file_id(0x3F00),
    "an ISO identifier of three bytes": lambda: encode_iso_file_id(0x10000),
    "no ISO identifier": lambda: encode_iso_file_id(0),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_settings_that_no_file_can_have_are_not_encoded(mistake: str):
    with pytest.raises(ValueError, match=r"\w"):
        MISTAKES[mistake]()


@given(value=VALUES)
@settings(max_examples=50)
def test_every_value_is_read_as_it_was_written(value: int):
    assert parse_value(encode_value(value)) == value


@given(numbers=st.lists(OFFSETS, max_size=4))
@settings(max_examples=50)
def test_every_length_is_read_as_it_was_written(numbers: list[int]):
    assert parse_lengths(b"".join(map(encode_length, numbers))) == tuple(numbers)


def test_a_length_that_is_cut_is_refused():
    with pytest.raises(ValueError, match="three bytes"):
        parse_lengths(b"\x00\x00")


def test_iso_file_identifiers_travel_with_the_low_byte_first():
    assert encode_iso_file_id(0x1234) == bytes.fromhex("3412")
    assert parse_iso_file_ids(bytes.fromhex("3412 4523")) == (0x1234, 0x2345)


@pytest.mark.parametrize("answer", ["34", "341245", "3412 3412"])
def test_iso_file_identifiers_that_are_cut_or_repeated_are_refused(answer: str):
    with pytest.raises(CardProtocolError):
        parse_iso_file_ids(bytes.fromhex(answer))


RIGHTS_OF_KEYS = AccessRights(read=1, write=2, read_write=3, change=4)
SECRET_FILE = DataFileSettings(FULL, RIGHTS_OF_KEYS, 32)
OPEN_FILE = replace(SECRET_FILE, access=replace(RIGHTS_OF_KEYS, read=FREE))


@pytest.mark.parametrize(
    ("file", "key_number", "mode"),
    [
        (SECRET_FILE, 1, FULL),
        (SECRET_FILE, 3, FULL),
        (SECRET_FILE, 2, PLAIN),
        (OPEN_FILE, 1, PLAIN),
        (OPEN_FILE, 3, FULL),
        (OPEN_FILE, None, PLAIN),
        (replace(OPEN_FILE, additional=(AccessRights(5, 6, 7, 8),)), 5, FULL),
        (replace(OPEN_FILE, additional=(AccessRights(5, 6, 7, 8),)), 6, PLAIN),
        (replace(SECRET_FILE, mode=MAC), 1, MAC),
    ],
)
def test_what_is_only_free_travels_in_plain(
    file: FileSettings, key_number: int | None, mode: CommunicationMode
):
    assert mode_of(file, key_number, "read", "read_write") is mode


def test_writing_goes_by_the_rights_to_write():
    assert mode_of(SECRET_FILE, 2, "write", "read_write") is FULL
    assert mode_of(SECRET_FILE, 1, "write", "read_write") is PLAIN


@pytest.mark.parametrize(
    ("file", "file_type"),
    [
        (DataFileSettings(PLAIN, KEY_0, 1), FileType.STANDARD_DATA),
        (DataFileSettings(PLAIN, KEY_0, 1, backup=True), FileType.BACKUP_DATA),
        (VALUE_FILE, FileType.VALUE),
        (RECORD_FILE, FileType.LINEAR_RECORD),
        (replace(RECORD_FILE, cyclic=True), FileType.CYCLIC_RECORD),
    ],
)
def test_settings_say_their_type(file: FileSettings, file_type: FileType):
    assert file.type is file_type
