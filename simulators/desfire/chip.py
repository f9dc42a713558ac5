"""What a DESFire chip keeps without power: keys, settings, applications, files, memory.

Every value is frozen: a command that changes the chip builds a new one and puts it in place in one
assignment, so that an interrupted command has changed nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from simulators.desfire.crypto import KeyType
from simulators.desfire.files import PAGE_BYTES, File, pages
from simulators.desfire.keys import Key, key_from_default, zero_key
from simulators.desfire.status import Refusal, Status

PICC_AID = bytes(3)
MAX_APPLICATIONS = 28
MAX_KEYS = 14
MAX_FILES = 32

# A model of the 4K products: data sheets give the capacity only.
CAPACITY_BYTES = 4096


class Product(StrEnum):
    """The generation of the chip."""

    EV1 = "ev1"
    EV2 = "ev2"


@dataclass(frozen=True, slots=True)
class Application:
    """An application. `aid` is in wire order (little-endian).

    `iso_file_ids` says that its files have ISO file identifiers, all but value files.
    """

    aid: bytes
    settings: int
    key_type: KeyType
    keys: tuple[Key, ...]
    files: Mapping[int, File] = field(default_factory=dict)
    iso_file_ids: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """The whole chip. `configuration` bit 0 disables Format, bit 1 turns on the random UID."""

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

    @classmethod
    def factory(cls, product: Product, uid: bytes, batch: bytes) -> "Chip":
        """Return a chip as it leaves the factory: a DES master key of zeros, settings 0F."""
        return cls(product, uid, batch, zero_key(KeyType.DES))

    @property
    def free_bytes(self) -> int:
        """What FreeMem answers."""
        return CAPACITY_BYTES - self.used_bytes

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

    def new_application(self, aid: bytes, settings: int, key_type: KeyType, keys: int) -> "Chip":
        """Return the chip with a new application, whose keys are all the default key."""
        key = key_from_default(key_type, self.default_key, self.default_version)
        application = Application(aid, settings, key_type, (key,) * keys)
        cost = PAGE_BYTES + pages(keys * key_type.key_bytes)
        return self._charged(cost).with_application(application)

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
