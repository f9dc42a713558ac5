"""The frames of the file commands, written out by hand for the tests of the virtual cards."""

from simulators.desfire import Product, VirtualDesfire
from tests.simulators.reader_side import exchange, make_application

PRODUCTS = tuple(Product)
EV2_PRODUCTS = tuple(product for product in Product if product != "ev1")

COMMIT, ABORT = b"\xc7", b"\xa7"
CREDIT, LIMITED_CREDIT, DEBIT = 0x0C, 0x1C, 0xDC


def three(number: int) -> bytes:
    """Return 3 bytes, little-endian."""
    return number.to_bytes(3, "little")


def four(number: int) -> bytes:
    """Return 4 bytes, little-endian, signed."""
    return number.to_bytes(4, "little", signed=True)


def span(number: int, offset: int, length: int) -> bytes:
    """Return the 7 bytes that ReadData, WriteData and the record commands begin with."""
    return bytes((number,)) + three(offset) + three(length)


def data_file(
    number: int, size: int = 32, *, backup: bool = True, mode: int = 0, rights: str = "EEEE"
) -> bytes:
    """Return the frame that creates a data file."""
    ins = 0xCB if backup else 0xCD
    return bytes((ins, number, mode)) + bytes.fromhex(rights) + three(size)


def value_file(
    number: int,
    lower: int = 0,
    upper: int = 1000,
    value: int = 0,
    options: int = 0,
    *,
    mode: int = 0,
    rights: str = "EEEE",
) -> bytes:
    """Return the frame that creates a value file."""
    numbers = four(lower) + four(upper) + four(value) + bytes((options,))
    return bytes((0xCC, number, mode)) + bytes.fromhex(rights) + numbers


def record_file(
    number: int,
    size: int = 4,
    records: int = 3,
    *,
    cyclic: bool = False,
    mode: int = 0,
    rights: str = "EEEE",
) -> bytes:
    """Return the frame that creates a record file."""
    ins = 0xC0 if cyclic else 0xC1
    return bytes((ins, number, mode)) + bytes.fromhex(rights) + three(size) + three(records)


def write(number: int, offset: int, data: bytes, ins: int = 0x3D) -> bytes:
    """Return the frame of WriteData, or of WriteRecord (3B)."""
    return bytes((ins,)) + span(number, offset, len(data)) + data


def write_record(number: int, data: bytes, offset: int = 0) -> bytes:
    """Return the frame of WriteRecord."""
    return write(number, offset, data, 0x3B)


def read_records(number: int, first: int = 0, count: int = 0) -> bytes:
    """Return the frame of ReadRecords."""
    return b"\xbb" + span(number, first, count)


def update_record(number: int, record: int, data: bytes, offset: int = 0) -> bytes:
    """Return the frame of UpdateRecord."""
    return bytes((0xDB, number)) + three(record) + three(offset) + three(len(data)) + data


def change(ins: int, number: int, amount: int) -> bytes:
    """Return the frame of Credit, Debit or LimitedCredit."""
    return bytes((ins, number)) + four(amount)


def value_of(card: VirtualDesfire, number: int) -> int:
    """Return what GetValue answers."""
    return int.from_bytes(exchange(card, bytes((0x6C, number))), "little", signed=True)


def refundable(card: VirtualDesfire, number: int) -> int:
    """Return what GetFileSettings says that LimitedCredit may give back."""
    return int.from_bytes(exchange(card, bytes((0xF5, number)))[12:16], "little")


def card_with(product: str, *frames: bytes) -> VirtualDesfire:
    """Return a card whose selected application has run these commands."""
    card = VirtualDesfire.factory(product)
    make_application(card)
    for frame in frames:
        exchange(card, frame)
    return card
