"""Every error of cardd, in one tree.

    CarddError                 something that has a stable code
    |-- StartError             the program cannot start: config_*, keystore_*, ...
    |-- CeremonyError          a key ceremony does not go on: what somebody typed, who is there
    |-- Refused                a request, a person or a card is refused
    |-- KmsUnavailable         no badge can be judged now
    `-- CardError              the card, or the way to it, failed
        |-- CardRemoved        it went away
        |-- CardBusy           another program holds it
        |-- CardMute           it did not answer in time
        |-- ReaderUnavailable  the reader or pcscd is gone
        |-- PinIncorrect       the PIN is wrong (`tries_left`)
        |-- PinLastTry         one try is left, and it was not to be used
        |-- PinBlocked         no try is left
        |                      (of the unblocking code: PukIncorrect, PukLastTry, PukBlocked)
        |-- CardStatusError    it answered with an error status (`status`)
        `-- CardProtocolError  its answer is malformed, or its MAC or cryptogram is wrong

A message says what happened, what was expected and what to do. `facts` carries what a program
needs of it (`tries_left`, `retry_after`), never a secret.
"""

from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """The stable codes of a refusal, as clients see them in `problem+json`."""

    NO_CARD = "no_card"
    CARD_REMOVED = "card_removed"
    TAP_TOO_SHORT = "tap_too_short"
    CARD_BUSY = "card_busy"
    CARD_NOT_SUPPORTED = "card_not_supported"
    PIN_INCORRECT = "pin_incorrect"
    PIN_LAST_TRY = "pin_last_try"
    PIN_BLOCKED = "pin_blocked"
    PUK_INCORRECT = "puk_incorrect"
    PUK_LAST_TRY = "puk_last_try"
    PUK_BLOCKED = "puk_blocked"
    PIN_MALFORMED = "pin_malformed"
    PIN_CANCELLED = "pin_cancelled"
    BADGE_UNKNOWN = "badge_unknown"
    BADGE_NOT_GENUINE = "badge_not_genuine"
    BADGE_SUSPENDED = "badge_suspended"
    BADGE_REVOKED = "badge_revoked"
    BADGE_EXPIRED = "badge_expired"
    BADGE_NOT_HANDED_OVER = "badge_not_handed_over"
    HOLDER_ENDED = "holder_ended"
    HOLDER_UNKNOWN = "holder_unknown"
    PROOF_INVALID = "proof_invalid"
    WRONG_PERSON = "wrong_person"
    SECOND_FACTOR_REQUIRED = "second_factor_required"
    KMS_UNAVAILABLE = "kms_unavailable"
    PCSC_UNAVAILABLE = "pcsc_unavailable"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    NOT_SUPPORTED = "not_supported"
    INVALID_REQUEST = "invalid_request"
    BADGE_UNFINISHED = "badge_unfinished"
    BADGE_FULL = "badge_full"
    BADGE_KEYS_UNKNOWN = "badge_keys_unknown"
    UID_UNUSABLE = "uid_unusable"
    ALREADY_ACTIVE = "already_active"
    REGISTRY_INTEGRITY = "registry_integrity"
    CERTIFICATE_INVALID = "certificate_invalid"
    UNTRUSTED_ISSUER = "untrusted_issuer"
    ISSUER_SIGNATURE_INVALID = "issuer_signature_invalid"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_REVOKED = "certificate_revoked"
    CERTIFICATE_USAGE = "certificate_usage"
    CRL_EXPIRED = "crl_expired"
    REVOCATION_UNAVAILABLE = "revocation_unavailable"
    TEST_CARD_REFUSED = "test_card_refused"
    TRUST_UNAVAILABLE = "trust_unavailable"
    INTERNAL_ERROR = "internal_error"


class StartCode(StrEnum):
    """The stable codes of a refusal to start, printed with the message on standard error."""

    CONFIG_NOT_FOUND = "config_not_found"
    CONFIG_SYNTAX = "config_syntax"
    CONFIG_INVALID = "config_invalid"
    CONFIG_UNKNOWN_KEY = "config_unknown_key"
    CONFIG_SHARED_KEY = "config_shared_key"
    KEYSTORE_NOT_FOUND = "keystore_not_found"
    KEYSTORE_EXISTS = "keystore_exists"
    KEYSTORE_PASSPHRASE = "keystore_passphrase"  # noqa: S105 - the name of an error
    KEYSTORE_DAMAGED = "keystore_damaged"
    KEYSTORE_PERMISSIONS = "keystore_permissions"
    KEYSTORE_UNAVAILABLE = "keystore_unavailable"
    MASTERS_NOT_FOUND = "masters_not_found"
    MASTERS_EXIST = "masters_exist"
    MASTERS_CREDENTIALS = "masters_credentials"
    MASTERS_UNUSABLE = "masters_unusable"
    MASTERS_UNAVAILABLE = "masters_unavailable"
    REGISTRY_NOT_FOUND = "registry_not_found"
    REGISTRY_EXISTS = "registry_exists"
    REGISTRY_VERSION = "registry_version"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    REGISTRY_IN_USE = "registry_in_use"
    AUDIT_DAMAGED = "audit_damaged"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    AUDIT_REPLICA = "audit_replica"
    AUDIT_ROLLED_BACK = "audit_rolled_back"
    REGISTRY_ROLLED_BACK = "registry_rolled_back"
    KEYSTORE_ROLLED_BACK = "keystore_rolled_back"
    NOTHING_TO_ACCEPT = "nothing_to_accept"
    BACKEND_NOT_INSTALLED = "backend_not_installed"
    SOCKET_IN_USE = "socket_in_use"
    SOCKET_UNAVAILABLE = "socket_unavailable"
    TLS_UNUSABLE = "tls_unusable"


class CeremonyCode(StrEnum):
    """The stable codes of a key ceremony that does not go on, printed on standard error."""

    TERMINAL_REQUIRED = "terminal_required"
    BROKEN_OFF = "broken_off"
    NOT_THE_SAME = "not_the_same"
    SHARE_MISTYPED = "share_mistyped"
    SHARE_TWICE = "share_twice"
    SHARE_UNKNOWN = "share_unknown"
    SHARE_WRONG = "share_wrong"
    SHARES_MIXED = "shares_mixed"
    SHARES_TOO_FEW = "shares_too_few"
    COMPONENT_WRONG = "component_wrong"
    OPERATOR_TWICE = "operator_twice"
    OPERATOR_REFUSED = "operator_refused"
    OPERATORS_MISSING = "operators_missing"
    OPERATORS_DAMAGED = "operators_damaged"


class CarddError(Exception):
    """An error with a stable code."""

    code: Code | StartCode | CeremonyCode

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


class StartError(CarddError):
    """The program cannot start."""

    code: StartCode

    def __init__(self, code: StartCode, message: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.code = code


class CeremonyError(CarddError):
    """A key ceremony does not go on, and nothing was changed."""

    code: CeremonyCode

    def __init__(self, code: CeremonyCode, message: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.code = code


class Refused(CarddError):
    """A request, a person or a card is refused; the daemon goes on."""

    code: Code

    def __init__(self, code: Code, message: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.code = code


class KmsUnavailable(CarddError):
    """The KMS, its registry, its keys or its audit cannot be used now."""

    code: Code = Code.KMS_UNAVAILABLE


class CardError(CarddError):
    """The card, or the way to it, failed."""

    code: Code = Code.CARD_NOT_SUPPORTED


class CardRemoved(CardError):
    """The card left the reader, or was reset by another program, in the middle of an exchange."""

    code = Code.CARD_REMOVED


class CardBusy(CardError):
    """Another program holds the card."""

    code = Code.CARD_BUSY


class CardMute(CardError):
    """The card did not answer within the time limit."""

    code = Code.TIMEOUT


class ReaderUnavailable(CardError):
    """The reader, or pcscd, is gone."""

    code = Code.PCSC_UNAVAILABLE


class PinIncorrect(CardError):
    """The card refused the PIN; `tries_left` remain, 1 or more."""

    code = Code.PIN_INCORRECT

    def __init__(self, message: str, *, tries_left: int, **facts: Any) -> None:
        super().__init__(message, tries_left=tries_left, **facts)
        self.tries_left = tries_left


class PinLastTry(CardError):
    """One try is left, and the request did not say to use it; the card was not asked."""

    code = Code.PIN_LAST_TRY

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message, tries_left=1, **facts)


class PinBlocked(CardError):
    """No try is left: the PIN is blocked."""

    code = Code.PIN_BLOCKED

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message, tries_left=0, **facts)


class PukIncorrect(PinIncorrect):
    """The card refused the unblocking code; `tries_left` of that remain, 1 or more."""

    code = Code.PUK_INCORRECT


class PukLastTry(PinLastTry):
    """One try of the unblocking code is left, and the request did not say to use it."""

    code = Code.PUK_LAST_TRY


class PukBlocked(PinBlocked):
    """No try of the unblocking code is left: the card cannot be unblocked any more."""

    code = Code.PUK_BLOCKED


class CardStatusError(CardError):
    """The card answered with an error status.

    `status` is what the card sent: SW1 SW2 for ISO 7816 commands, `91xx` for wrapped DESFire ones.
    """

    def __init__(self, message: str, *, status: int, **facts: Any) -> None:
        super().__init__(message, status=f"{status:04X}", **facts)
        self.status = status


class CardProtocolError(CardError):
    """The card's answer is malformed, or its MAC or cryptogram does not verify."""
