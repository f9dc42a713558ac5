"""What a DESFire chip keeps without power: keys, settings, applications, files, memory.

Every value is frozen: a command that changes the chip builds a new one and puts it in place in one
assignment, so that an interrupted command has changed nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from simulators.desfire.crypto import KeyType
from simulators.desfire.files import PAGE_BYTES, File, pages
from simulators.desfire.keys import Key, key_from_default, zero_key
from simulators.desfire.product import Product
from simulators.desfire.status import Refusal, Status

PICC_AID = bytes(3)
MAX_KEYS = 14
MAX_FILES = 32

FACTORY_ATS = bytes.fromhex("067577810280")
FACTORY_SAK = bytes.fromhex("2420")


@dataclass(frozen=True, slots=True)
class Application:
    """An application. `aid` is in wire order (little-endian).

    `iso_file_ids` says that its files have ISO file identifiers, all but value files. `iso_id` and
    `df_name` are what SELECT finds the application itself by.
    """

    aid: bytes
    settings: int
    key_type: KeyType
    keys: tuple[Key, ...]
    files: Mapping[int, File] = field(default_factory=dict)
    iso_file_ids: bool = False
    iso_id: int | None = None
    df_name: bytes = b""


@dataclass(frozen=True, slots=True)
class Chip:
    """The whole chip. `configuration` bit 0 disables Format, bit 1 turns on the random UID.

    `originality_key` is the private key that signs for the originality check, empty on a card
    without it.
    """

    product: Product
    uid: bytes
    batch: bytes
    master: Key
    settings: int = 0x0F
    default_key: bytes = bytes(24)
    default_version: int = 0
    configuration: int = 0
    applications: Mapping[bytes, Application] = field(default_factory=dict)
    used_bytes: int = 0
    storage_kib: int = 4
    ats: bytes = FACTORY_ATS
    sak: bytes = FACTORY_SAK
    originality_key: bytes = b""

    @classmethod
    def factory(cls, product: Product, uid: bytes, batch: bytes, storage_kib: int = 4) -> "Chip":
        """Return a chip as it leaves the factory: a DES master key of zeros, settings 0F."""
        return cls(product, uid, batch, zero_key(KeyType.DES), storage_kib=storage_kib)

    @property
    def capacity_bytes(self) -> int:
        """What an empty chip has free.

        An EV3 of 4 KiB answers 5120 and one of 8 KiB 8192 (traces of real cards in AndroidCrypto's
        ESP32 starter tutorial and gentilkiwi's kpn532), and libfreefare puts a file of 4096 bytes
        beside another one on 4 KiB. The other sizes are a model.
        """
        return (5 if self.storage_kib == 4 else self.storage_kib) * 1024

    @property
    def free_bytes(self) -> int:
        """What FreeMem answers."""
        return self.capacity_bytes - self.used_bytes

    @property
    def format_disabled(self) -> bool:
        """Whether SetConfiguration 00 has disabled Format, for good."""
        return bool(self.configuration & 0x01)

    @property
    def random_uid(self) -> bool:
        """Whether the chip shows a random UID, for good."""
        return bool(self.configuration & 0x02)

    def with_application(self, application: Application) -> "Chip":
        """Return the chip with an application added or replaced."""
        return replace(self, applications={**self.applications, application.aid: application})

    def without_application(self, aid: bytes) -> "Chip":
        """Return the chip without an application; its memory comes back with Format only."""
        rest = {name: entry for name, entry in self.applications.items() if name != aid}
        return replace(self, applications=rest)

    def new_application(self, application: Application, keys: int) -> "Chip":
        """Return the chip with a new application, whose keys are all the default key."""
        key_type = application.key_type
        key = key_from_default(key_type, self.default_key, self.default_version)
        cost = PAGE_BYTES + pages(keys * key_type.key_bytes)
        return self._charged(cost).with_application(replace(application, keys=(key,) * keys))

    def new_file(
        self, application: Application, number: int, file: File, cost_bytes: int
    ) -> "Chip":
        """Return the chip with a new file in an application, which takes that much memory."""
        changed = replace(application, files={**application.files, number: file})
        return self._charged(cost_bytes).with_application(changed)

    def formatted(self) -> "Chip":
        """Return the chip without applications; the PICC's key and settings stay."""
        return replace(self, applications={}, used_bytes=0)

    def _charged(self, cost_bytes: int) -> "Chip":
        if cost_bytes > self.free_bytes:
            raise Refusal(Status.OUT_OF_MEMORY)
        return replace(self, used_bytes=self.used_bytes + cost_bytes)
