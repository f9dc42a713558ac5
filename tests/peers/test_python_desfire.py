"""python-desfire, which nobody here wrote, on a virtual badge in a real pcscd with vpcd.

It sends native frames, and a native command of one byte would be a control code on vpcd's wire.
So its device here gives each frame the ISO 7816-4 form that DESFire cards take as well.
"""

from collections.abc import Iterator

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


class WrappingDevice(Device):
    """Carries native frames to a card as wrapped APDUs."""

    def __init__(self, card: PcscCard) -> None:
        self.card = card

    def transceive(self, frame: list[int]) -> list[int]:
        body = bytes((len(frame) - 1, *frame[1:])) if len(frame) > 1 else b""
        answer = self.card.transmit(bytes((0x90, frame[0], 0, 0)) + body + b"\0")
        assert answer[-2] == 0x91
        return [answer[-1], *answer[:-2]]


@pytest.fixture(params=["ev1", "ev2"])
def badge(request: pytest.FixtureRequest) -> VirtualDesfire:
    return VirtualDesfire.factory(request.param)


@pytest.fixture
def device(pcscd: PrivatePcscd, badge: VirtualDesfire) -> Iterator[WrappingDevice]:
    with insert(badge, pcscd.addresses[0]):
        device = WrappingDevice(PcscCard(pcscd.readers[0]))
        yield device
    device.card.leave()


def key(value: bytes, key_type: DESFireKeyType = DESFireKeyType.DF_KEY_AES) -> DESFireKey:
    """Return a new key object: the library turns the one it authenticates with into a session."""
    return DESFireKey(KeySettings(key_type=key_type), value)


def factory_key() -> DESFireKey:
    return key(bytes(8), DESFireKeyType.DF_KEY_2K3DES)


def zeros() -> DESFireKey:
    return key(bytes(16))


def application_settings() -> KeySettings:
    return KeySettings(
        key_type=DESFireKeyType.DF_KEY_AES,
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
