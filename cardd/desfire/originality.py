"""NXP's originality signature: that a chip's UID was signed by the maker.

It tells a chip of NXP's from a copy that has no signature, and no more: signature and UID can be
read and replayed by anybody. ECDSA over secp224r1, of the UID itself without a hash (AN12196,
table 30). The public keys are those of proxmark3's originality.c; NXP publishes them one product at
a time.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA224

SIGNATURE_BYTES = 56
UID_BYTES = (4, 7, 10)

_CURVE = ec.SECP224R1()
_DIGEST_BYTES = 28


@dataclass(frozen=True, slots=True)
class NxpKey:
    """A public key of NXP's: the products it signs, the point uncompressed, and its source."""

    name: str
    point: bytes
    source: str


_PROXMARK = "proxmark3, client/src/crypto/originality.c"

NXP_KEYS = (
    NxpKey(
        "DESFire Light",
        bytes.fromhex(
            "040E98E117AAA36457F43173DC920A8757267F44CE4EC5ADD3C5407557"
            "1AEBBF7B942A9774A1D94AD02572427E5AE0A2DD36591B1FB34FCF3D"
        ),
        _PROXMARK,
    ),
    NxpKey(
        "DESFire EV1, NTAG413DNA",
        bytes.fromhex(
            "04BB5D514F7050025C7D0F397310360EEC91EAF792E96FC7E0F496CB4E"
            "669D414F877B7B27901FE67C2E3B33CD39D1C797715189AC951C2ADD"
        ),
        _PROXMARK,
    ),
    NxpKey(
        "DESFire EV2, NTAG424DNA",
        bytes.fromhex(
            "04B304DC4C615F5326FE9383DDEC9AA892DF3A57FA7FFB3276192BC0EA"
            "A252ED45A865E3B093A3D0DCE5BE29E92F1392CE7DE321E3E5C52B3A"
        ),
        _PROXMARK,
    ),
    NxpKey(
        "DESFire EV2, DESFire Light, NTAG424DNA",
        bytes.fromhex(
            "048A9B380AF2EE1B98DC417FECC263F8449C7625CECE82D9B916C992DA"
            "209D68422B81EC20B65A66B5102A61596AF3379200599316A00A1410"
        ),
        "AN12196",
    ),
    NxpKey(
        "DESFire EV2 XL",
        bytes.fromhex(
            "04CD5D45E50B1502F0BA4656FF37669597E7E183251150F9574CC8DA56"
            "BF01C7ABE019E29FEA48F9CE22C3EA4029A765E1BC95A89543BAD1BC"
        ),
        _PROXMARK,
    ),
    NxpKey(
        "DESFire EV3",
        bytes.fromhex(
            "041DB46C145D0A36539C6544BD6D9B0AA62FF91EC48CBC6ABAE36E0089"
            "A46F0D08C8A715EA40A63313B92E90DDC1730230E0458A33276FB743"
        ),
        _PROXMARK,
    ),
)


def virtual_key(point: str) -> NxpKey:
    """Return a key that is not NXP's, for virtual cards; ValueError where it is no such point."""
    encoded = bytes.fromhex(point)
    ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, encoded)
    return NxpKey("virtual card", encoded, "the configuration")


def verify(uid: bytes, signature: bytes, keys: tuple[NxpKey, ...] = NXP_KEYS) -> str | None:
    """Return the name of the key that signed a UID, None where none did.

    `uid` is the real one, 4, 7 or 10 bytes; `signature` is what Read_Sig gives, 56 bytes r || s.
    ValueError for another length of either.
    """
    if len(uid) not in UID_BYTES or len(signature) != SIGNATURE_BYTES:
        raise ValueError("a UID has 4, 7 or 10 bytes and its signature 56")
    half = SIGNATURE_BYTES // 2
    encoded = encode_dss_signature(
        int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    )
    return next((key.name for key in keys if _signed(key, uid, encoded)), None)


def _signed(key: NxpKey, uid: bytes, signature: bytes) -> bool:
    # ECDSA takes the message as a number of at most 224 bits. The UID is one already; in front of
    # it, zeros make the length of "digest" that the library asks for.
    digest = uid.rjust(_DIGEST_BYTES, b"\x00")
    public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, key.point)
    try:
        public.verify(signature, digest, ec.ECDSA(Prehashed(SHA224())))
    except InvalidSignature:
        return False
    return True
