"""What may be found about a badge: stable codes, and how bad each is."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad a finding is, worst first."""

    CRITICAL = "critical"  # whoever has the badge, or a copy of it, may be somebody else
    WARNING = "warning"  # something to be done
    NOTE = "note"  # something to know


class FindingCode(StrEnum):
    """The stable codes of findings."""

    DEFAULT_KEY = "default_key"
    KEY_NEVER_SET = "key_never_set"
    SHARED_KEY = "shared_key"
    PICC_KEY_NOT_OURS = "picc_key_not_ours"
    BADGE_KEY_NOT_OURS = "badge_key_not_ours"
    FREE_CREATE_DELETE = "free_create_delete"
    FREE_LISTING = "free_listing"
    FREE_ACCESS_FILE = "free_access_file"
    RANDOM_UID = "random_uid"
    UID_LENGTH = "uid_length"
    UID_MISMATCH = "uid_mismatch"
    NOT_A_DESFIRE = "not_a_desfire"
    PRODUCT_UNKNOWN = "product_unknown"
    PRODUCT_WITHOUT_AES = "product_without_aes"
    BELOW_MINIMUM_SCHEME = "below_minimum_scheme"
    NOT_ORIGINAL = "not_original"
    TEST_SIGNATURE = "test_signature"
    OTHER_APPLICATIONS = "other_applications"
    NOT_REGISTERED = "not_registered"
    NOT_IN_USE = "not_in_use"
    UNFINISHED = "unfinished"
    EXPIRED = "expired"
    OUTDATED_GENERATION = "outdated_generation"
    REGISTRY_DISAGREES = "registry_disagrees"


_CRITICAL = frozenset(
    {
        FindingCode.DEFAULT_KEY,
        FindingCode.SHARED_KEY,
        FindingCode.BADGE_KEY_NOT_OURS,
        FindingCode.UID_MISMATCH,
    }
)
_NOTES = frozenset(
    {
        FindingCode.KEY_NEVER_SET,
        FindingCode.FREE_LISTING,
        FindingCode.TEST_SIGNATURE,
        FindingCode.OTHER_APPLICATIONS,
        FindingCode.NOT_IN_USE,
        FindingCode.PRODUCT_UNKNOWN,
    }
)


Fact = str | int | tuple[str, ...] | tuple[int, ...]


class Finding(msgspec.Struct, frozen=True):
    """A finding. `facts` say where and what; its sentence is the catalogue's."""

    code: FindingCode
    facts: Mapping[str, Fact] = {}

    @property
    def severity(self) -> Severity:
        """Return how bad it is."""
        if self.code in _CRITICAL:
            return Severity.CRITICAL
        return Severity.NOTE if self.code in _NOTES else Severity.WARNING

    @classmethod
    def of(cls, code: FindingCode, **facts: Fact) -> "Finding":
        """Return a finding with its facts by name."""
        return cls(code, facts)
