"""python-desfire, which nobody here wrote, on a virtual badge in a real pcscd with vpcd.

It sends native frames, and a native command of one byte would be a control code on vpcd's wire.
So its device here gives each frame the ISO 7816-4 form that DESFire cards take as well.

What 0.1.5 cannot do, found here: its 2K3DES and 3K3DES end after the handshake, as they get IVs of
the key's length (`SizedKey` mends the handshake's), and pycryptodome refuses it keys of zeros; of
an AES CMAC it sends the last 8 bytes, which no card takes; it takes the MAC of a plain answer for
data; it reads enciphered DES only where data and CRC fill blocks of 16 bytes, and takes zeros at
the end of a CRC for padding, so that data and UID are chosen here; it sends half of a DES key in
ChangeKey, and DeleteFile with a MAC, which EV1 takes for a wrong length. It has no D40, no EV2 and
no files but standard ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from desfire import DESFire, DESFireKey
from desfire.devices.base import Device
from desfire.enums import (
    DESFireCommunicationMode,
    DESFireFileType,
    DESFireKeySettings,
    DESFireKeyType,
)
from desfire.exceptions import DESFireCommunicationError
from desfire.schemas import FilePermissions, FileSettings, KeySettings

from scripts.private_pcscd import PrivatePcscd
from simulators.desfire import VirtualDesfire
from simulators.link import insert
from tests.simulators.pcsc_side import PcscCard

pytestmark = pytest.mark.peers

AID = [0x56, 0x34, 0x12]  # it sends the AID as it is given: wire order
PICC_KEY, APP_KEY, READ_KEY = (bytes(range(start, start + 16)) for start in (0x10, 0x40, 0x70))
UID = bytes.fromhex("04A1B2C3D4E5F6")


class WrappingDevice(Device):
    """Carries native frames to a card as wrapped APDUs."""

    def __init__(self, card: PcscCard) -> None:
        self.card = card

    def transceive(self, frame: list[int]) -> list[int]:
        body = bytes((len(frame) - 1, *frame[1:])) if len(frame) > 1 else b""
        answer = self.card.transmit(bytes((0x90, frame[0], 0, 0)) + body + b"\0")
        assert answer[-2] == 0x91
        return [answer[-1], *answer[:-2]]


class SizedKey(DESFireKey):
    """Has an IV of the cipher's block length."""

    def _set_key_size(self, key_size: int) -> None:
        super()._set_key_size(key_size)
        self.cipher_block_size = 16 if self.key_type == DESFireKeyType.DF_KEY_AES else 8
        self.iv0 = [0] * self.cipher_block_size

    def set_iv(self, iv: list[int]) -> None:
        super().set_iv(iv[-len(self.iv0) :])


@pytest.fixture
def badge(request: pytest.FixtureRequest) -> VirtualDesfire:
    return VirtualDesfire.factory(getattr(request, "param", "ev1"), uid=UID)


@pytest.fixture
def device(pcscd: PrivatePcscd, badge: VirtualDesfire) -> Iterator[WrappingDevice]:
    with insert(badge, pcscd.addresses[0]):
        device = WrappingDevice(PcscCard(pcscd.readers[0]))
        yield device
    device.card.leave()


def key(value: bytes, key_type: DESFireKeyType = DESFireKeyType.DF_KEY_AES) -> DESFireKey:
    """Return a new key object: the library turns the one it authenticates with into a session."""
    return SizedKey(KeySettings(key_type=key_type), value)


def factory_key() -> DESFireKey:
    return key(bytes(8), DESFireKeyType.DF_KEY_2K3DES)


def zeros() -> DESFireKey:
    return key(bytes(16))


def application_settings(
    key_type: DESFireKeyType = DESFireKeyType.DF_KEY_AES,
) -> KeySettings:
    return KeySettings(
        key_type=key_type,
        settings=[
            DESFireKeySettings.KS_ALLOW_CHANGE_MK,
            DESFireKeySettings.KS_CONFIGURATION_CHANGEABLE,
        ],
    )


def file_settings() -> FileSettings:
    """Full mode, read with key 1, changed with key 0: wire F0 10."""
    return FileSettings(
        encryption=DESFireCommunicationMode.ENCRYPTED,
        file_type=DESFireFileType.MDFT_STANDARD_DATA_FILE,
        permissions=FilePermissions(read_key=1, write_key=0, read_write_key=0xF, change_key=0),
        file_size=32,
    )


@pytest.mark.parametrize("badge", ["ev1", "ev2", "ev3"], indirect=True)
def test_a_stranger_personalises_a_badge_and_reads_it_back(
    badge: VirtualDesfire, device: WrappingDevice
) -> None:
    assert device.card.transmit(bytes.fromhex("FFCA000000")) == badge.uid + b"\x90\x00"
    card = DESFire(device)
    version = card.get_card_version()
    assert bytes(version.uid) == badge.uid
    assert version.hardware_storage_size == 0x18

    # The PICC from its factory DES key to AES, and a default key for what comes.
    card.authenticate(0, factory_key())
    assert bytes(card.get_real_uid()) == badge.uid
    card.change_key(0, factory_key(), key(PICC_KEY), 1)
    card.authenticate(0, key(PICC_KEY))
    card.change_default_key(key(b"\x99" * 16), 3)
    card.create_application(AID, application_settings(), 2)
    assert card.get_application_ids() == [AID]

    # Both keys, the file, and what is in it.
    card.select_application(AID)
    card.authenticate(0, key(b"\x99" * 16))
    assert card.get_key_version(1) == 3
    card.change_key(1, key(b"\x99" * 16), key(READ_KEY), 1)
    card.create_standard_file(1, file_settings())
    content = [0x01, *range(0x41, 0x60)]
    card.write_file_data(1, 0, DESFireCommunicationMode.ENCRYPTED, content)
    card.change_key(0, key(b"\x99" * 16), key(APP_KEY), 1)

    card.select_application(AID)
    card.authenticate(1, key(READ_KEY))
    assert card.get_key_version(0) == 1
    assert card.read_file_data(1, file_settings()) == content
    assert bytes(card.get_real_uid()) == badge.uid
    card.authenticate(0, key(APP_KEY))
    assert card.get_file_ids() == [1]
    found = card.get_file_settings(1)
    assert (found.file_size, found.encryption) == (32, DESFireCommunicationMode.ENCRYPTED)


@dataclass(frozen=True)
class Kind:
    """A type of key in python-desfire's terms; `size` in bytes."""

    type: DESFireKeyType
    size: int

    def value(self, first: int) -> bytes:
        """Return a key of even bytes, the first of which is given: a DES key of version 0."""
        return bytes(range(first, first + 2 * self.size, 2))

    def key(self, first: int) -> DESFireKey:
        return key(self.value(first), self.type)


DES = Kind(DESFireKeyType.DF_KEY_2K3DES, 8)
AES = Kind(DESFireKeyType.DF_KEY_AES, 16)
TDEA = {
    "2k3des": Kind(DESFireKeyType.DF_KEY_2K3DES, 16),
    "3k3des": Kind(DESFireKeyType.DF_KEY_3K3DES, 24),
}
DEFAULT, MASTER, READER = 0x10, 0x40, 0x80
NEW_AID = [0x01, 0x02, 0x03]
CONTENT = [*range(1, 29)]  # with its CRC two blocks of 16 bytes


@pytest.mark.parametrize("kind", [DES, AES], ids=["iso-des", "aes"])
def test_a_stranger_reads_and_writes_and_formats_the_badge(
    badge: VirtualDesfire, device: WrappingDevice, kind: Kind
) -> None:
    card = DESFire(device)
    create_application(card, kind)
    card.select_application(NEW_AID)
    card.authenticate(0, kind.key(DEFAULT))
    for number, mode in enumerate(DESFireCommunicationMode):
        if (kind, mode) != (AES, DESFireCommunicationMode.CMAC):
            write_and_read(card, number, mode)
    assert bytes(card.get_real_uid()) == UID
    card.select_application([0, 0, 0])
    card.authenticate(0, factory_key())
    assert card.get_application_ids() == [NEW_AID]
    card.format_card()
    card.authenticate(0, factory_key())
    assert card.get_application_ids() == []
    assert badge.chip.free_bytes == badge.chip.capacity_bytes


def test_a_stranger_changes_keys_and_the_old_ones_are_refused(device: WrappingDevice) -> None:
    card = DESFire(device)
    create_application(card, AES)
    card.select_application(NEW_AID)
    card.authenticate(0, AES.key(DEFAULT))
    card.change_key(1, AES.key(DEFAULT), AES.key(READER), 5)
    card.change_key(0, AES.key(DEFAULT), AES.key(MASTER), 6)
    for number in (0, 1):
        with pytest.raises(DESFireCommunicationError) as refused:
            card.authenticate(number, AES.key(DEFAULT))
        assert refused.value.status_code == 0xAE
    card.authenticate(0, AES.key(MASTER))
    assert card.get_key_version(0) == 6
    card.authenticate(1, AES.key(READER))
    assert card.get_key_version(1) == 5


@pytest.mark.parametrize("kind", TDEA.values(), ids=list(TDEA))
def test_a_strangers_3des_handshake_is_right_before_its_session_fails(
    badge: VirtualDesfire, device: WrappingDevice, kind: Kind
) -> None:
    card = DESFire(device)
    create_application(card, kind)
    card.select_application(NEW_AID)
    with pytest.raises(ValueError, match="Incorrect IV length"):
        card.authenticate(0, kind.key(DEFAULT))
    assert card.is_authenticated
    assert badge.commands[-1][1] == 0xAF


def create_application(card: DESFire, kind: Kind) -> None:
    """Create an application whose keys are not zeros: the default key is set for it."""
    card.authenticate(0, factory_key())
    # A DES key is a 2K3DES key of two equal halves.
    value = kind.value(DEFAULT) * (2 if kind.size == 8 else 1)
    longer = DESFireKeyType.DF_KEY_3K3DES if kind.size == 24 else DESFireKeyType.DF_KEY_AES
    card.change_default_key(key(value, longer), 0)
    card.create_application(NEW_AID, application_settings(kind.type), 2)
    card.change_default_key(zeros(), 0)


def write_and_read(card: DESFire, number: int, mode: DESFireCommunicationMode) -> None:
    """Create a file as key 0, write it, and read it back."""
    settings = FileSettings(
        encryption=mode,
        file_type=DESFireFileType.MDFT_STANDARD_DATA_FILE,
        permissions=FilePermissions(read_key=0, write_key=0, read_write_key=0xF, change_key=0),
        file_size=len(CONTENT),
    )
    card.create_standard_file(number, settings)
    card.write_file_data(number, 0, mode, CONTENT)
    found = card.get_file_settings(number)
    assert (found.encryption, found.file_size) == (mode, len(CONTENT))
    if mode != DESFireCommunicationMode.PLAIN:
        assert card.read_file_data(number, found) == CONTENT


def test_a_strangers_wrong_key_is_refused(device: WrappingDevice) -> None:
    card = DESFire(device)
    with pytest.raises(DESFireCommunicationError) as refused:
        card.authenticate(0, key(b"\x02" * 8, DESFireKeyType.DF_KEY_2K3DES))
    assert refused.value.status_code == 0xAE
    card.authenticate(0, factory_key())


def test_a_card_that_was_reset_has_forgotten_the_strangers_session(
    device: WrappingDevice,
) -> None:
    card = DESFire(device)
    card.authenticate(0, factory_key())
    assert card.get_real_uid()
    device.card.reset()
    assert device.card.transmit(bytes.fromhex("9051000000")) == b"\x91\xae"
