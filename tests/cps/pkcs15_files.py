"""PKCS#15 files written by hand after the standard's examples (v1.1, appendix; ISO/IEC 7816-15)."""


def tlv(tag: int, *parts: bytes) -> bytes:
    value = b"".join(parts)
    head = tag.to_bytes((tag.bit_length() + 7) // 8)
    if len(value) < 0x80:
        return head + bytes((len(value),)) + value
    return head + b"\x82" + len(value).to_bytes(2) + value


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def octets(value: str | bytes) -> bytes:
    return tlv(0x04, bytes.fromhex(value) if isinstance(value, str) else value)


def label(value: str) -> bytes:
    return tlv(0x0C, value.encode())


def path(ids: str, *part: bytes) -> bytes:
    return sequence(octets(ids), *part)


def obj(common: bytes, own: bytes, specific: bytes, between: bytes = b"") -> bytes:
    return sequence(common, own, between, tlv(0xA1, specific))


PREFIX = "E828BD080F8025000001FF0010"
CONTACT_AID = bytes.fromhex(PREFIX)
CONTACTLESS_AID = bytes.fromhex("E828BD080F8025000001FF0020")


def directory_entry(aid: bytes, name: str, where: str, ddo_aid: bytes | None = None) -> bytes:
    ddo = tlv(0x73, tlv(0x4F, ddo_aid)) if ddo_aid else b""
    place = tlv(0x51, bytes.fromhex(where)) if where else b""
    return tlv(0x61, tlv(0x4F, aid), tlv(0x50, name.encode()), place, ddo)


EF_DIR = directory_entry(CONTACT_AID, "CPX IAS", "3F000001", CONTACT_AID) + directory_entry(
    # The quirk of real cards: this entry's own data names the contact application.
    CONTACTLESS_AID, "CPX IAS CL", "3F000002", CONTACT_AID,
)  # fmt: skip

ODF = b"".join(
    (
        tlv(0xA0, path("A010")),
        tlv(0xA1, path("A011")),
        tlv(0xA4, path("3F000001A012")),
        tlv(0xA7, path("A013")),
        tlv(0xA8, path("A014")),
    )
)


def key(name: str, identifier: str, usage: str, reference: bytes, where: str = "") -> bytes:
    return obj(
        sequence(label(name), tlv(0x03, b"\x07\x80"), octets("01")),
        sequence(octets(identifier), tlv(0x03, bytes.fromhex(usage)), tlv(0x02, reference)),
        sequence(path(where) if where else sequence(), tlv(0x02, b"\x08\x00")),
    )


SIGNATURE_KEY = key("CPS_PRIV_SIG", PREFIX + "01", "060040", b"\x00\x81")
# One byte, as a negative number: some cards write it so.
AUTHENTICATION_KEY = key("CPS_PRIV_AUT", PREFIX + "02", "0560", b"\x82")
PRKDF = SIGNATURE_KEY + AUTHENTICATION_KEY + b"\x00" * 40


def certificate_object(name: str, identifier: str, where: bytes) -> bytes:
    return obj(sequence(label(name)), sequence(octets(identifier)), sequence(where))


CDF = certificate_object(
    "Certificat d'Authentification CPS", PREFIX + "02", path("A021")
) + certificate_object("Certificat de Signature CPS", PREFIX + "01", path("A022"))


def pin_object(
    name: str,
    identifier: str,
    reference: int,
    *,
    flags: str = "0318",
    kind: int = 1,
    lengths: tuple[int, ...] = (4, 8, 8),
    pad: str = "FF",
    where: str = "3F00",
) -> bytes:
    return obj(
        sequence(label(name), tlv(0x03, b"\x06\xc0")),
        sequence(octets(identifier)),
        sequence(
            tlv(0x03, bytes.fromhex(flags)),
            tlv(0x0A, bytes((kind,))),
            *(tlv(0x02, bytes((length,))) for length in lengths),
            tlv(0x80, bytes((reference,))),
            octets(pad) if pad else b"",
            path(where) if where else b"",
        ),
    )


USER_PIN = pin_object("Code porteur", "01", 0x01)
UNBLOCKING_PIN = pin_object("Code de deblocage", "02", 0x02, flags="0013", lengths=(8, 8, 8))
AODF = USER_PIN + UNBLOCKING_PIN


def data_object(name: str, where: str, pin: str | None = None) -> bytes:
    return obj(
        sequence(label(name), *([octets(pin)] if pin else [])),
        sequence(label("CPS")),
        path(where),
    )


DODF = data_object("CPS_NAME_PS", "A031") + data_object("CPS_ACTIVITY_01_PS", "D120", "01")

AUTHENTICATION_DER = sequence(octets(b"\xa5" * 1200))
SIGNATURE_DER = sequence(octets(b"\x5a" * 500))

CPS3_FILES = {
    "3F002F00": EF_DIR,
    "3F00D003": bytes.fromhex("5A0A8025000001992138450F"),
    "3F00D010": bytes.fromhex("EC148108202601020304058208202601020304F6")[:20],
    "3F0000015031": ODF,
    "3F000001A010": PRKDF,
    "3F000001A012": CDF,
    "3F000001A013": DODF,
    "3F000001A014": AODF,
    "3F000001A021": AUTHENTICATION_DER + b"\xff" * 30,
    "3F000001A022": SIGNATURE_DER,
    "3F000001A031": b"\x0c\x05LIBRE",
    "3F000001D120": b"\xee\x03\x84\x01A",
}
