"""A badge's own keys from the masters: NXP AN10922, section 2.2 (AES-128).

AN10922 pads 01 || M to 32 bytes, always. Plain AES-CMAC (NIST SP 800-38B) of 01 || M is the same
only where that is 17 to 32 bytes, so M has at least 16: a master that may only sign then suffices.
"""

from typing import Literal

from cardd.desfire.applications import PICC_AID
from cardd.errors import Code, Refused
from cardd.kms.ports import Masters, Purpose
from cardd.secret import Secret

MINIMUM_INPUT = 16
MAXIMUM_INPUT = 28

AidOrder = Literal["printed", "wire"]

_AES128_CONSTANT = b"\x01"
_BYTE_ORDER: dict[AidOrder, Literal["big", "little"]] = {"printed": "big", "wire": "little"}
_OF_THE_PICC = frozenset({Purpose.PICC, Purpose.TRANSPORT})


def diversification_input(
    uid: bytes, aid: int, system_identifier: bytes, aid_order: AidOrder = "printed"
) -> bytes:
    """Return M = uid || aid || system identifier, 16 to 28 bytes (AN10922, section 2.2.1).

    `aid` is the application's, or PICC_AID for the keys of the PICC itself; its three bytes are
    as people print it, or as the card's commands carry it (`wire`, for sites that began so).
    Raises Refused (`uid_unusable`) for a UID that is not 7 bytes long, and ValueError for a
    system identifier outside 6 to 18 bytes or an AID outside 24 bits.
    """
    require_usable(uid)
    if not 6 <= len(system_identifier) <= 18:
        raise ValueError(f"a system identifier has 6 to 18 bytes, not {len(system_identifier)}")
    if not 0 <= aid <= 0xFFFFFF:
        raise ValueError("an AID has 24 bits")
    return uid + aid.to_bytes(3, _BYTE_ORDER[aid_order]) + system_identifier


def diversify(masters: Masters, purpose: Purpose, generation: int, m: bytes) -> Secret:
    """Return the AES-128 key that belongs to the diversification input `m` of 16 to 28 bytes.

    Raises ValueError for an `m` of another length, for one whose AID does not fit the purpose, and
    for `registry`, which is never diversified; KmsUnavailable as `Masters.mac`.
    """
    if not MINIMUM_INPUT <= len(m) <= MAXIMUM_INPUT:
        raise ValueError(
            f"a diversification input has {MINIMUM_INPUT} to {MAXIMUM_INPUT} bytes, not {len(m)}: "
            "below that AN10922 and plain CMAC give different keys"
        )
    if purpose is Purpose.REGISTRY:
        raise ValueError("the registry master is never diversified")
    if (m[7:10] == PICC_AID.to_bytes(3)) is not (purpose in _OF_THE_PICC):
        raise ValueError(f"the AID in the diversification input does not fit a {purpose} key")
    return Secret(masters.mac(purpose, generation, _AES128_CONSTANT + m))


def require_usable(uid: bytes) -> None:
    """Refuse (`uid_unusable`) a UID that names no badge for good (ISO/IEC 14443-3, 6.5.4)."""
    if len(uid) == 7:
        return
    if len(uid) == 4 and uid[0] == 0x08:
        reason = "it is random, another at each tap; use a badge with a fixed 7-byte UID"
    elif len(uid) == 4:
        reason = "4-byte UIDs are not unique; use a badge with a 7-byte UID"
    elif len(uid) == 10:
        reason = "10-byte UIDs are not supported yet; use a badge with a 7-byte UID"
    else:
        reason = "a UID has 7 bytes"
    raise Refused(
        Code.UID_UNUSABLE,
        f"this badge's UID of {len(uid)} bytes gives no key: {reason}",
        uid_length=len(uid),
    )
