"""A CPS3 as its issuer hands it out: keys, certificates, PKCS #15 files, codes.

Labels of keys, identifiers, references and algorithms are those of real cards; the content of the
data objects is a stand-in (their format is in a document nobody could read), and so are the labels
of the certificates and what holds for the contactless face beyond its AID and its key's label.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from Crypto.PublicKey import RSA

from simulators import der
from simulators.cps import layout, pkcs15
from simulators.cps.card import VirtualCps
from simulators.cps.chip import Chip, Code, ElementaryFile, Face, PrivateKey
from simulators.cps.number import serial_file
from simulators.pki import ISSUER_NUMBER, Issued, Pki, Profile, Usage

Random = Callable[[int], bytes]

KEY_BITS = 2048
PIN_ID, PUK_ID = b"\x01", b"\x02"
APPLICATION_NAME = "CPS"
MANUFACTURER = "ASIP Sante"
CODE_RULES = {
    layout.PIN: bytes((0x00, 0x00, layout.BY_PUK, layout.NEVER, 0x00)),
    layout.PUK: bytes((layout.NEVER, 0x00, layout.NEVER, layout.NEVER, 0x00)),
}
ALGORITHMS = (
    pkcs15.Algorithm(0x220, pkcs15.OPERATION_HASH, 0x10),
    pkcs15.Algorithm(0x250, pkcs15.OPERATION_HASH, 0x40),
    pkcs15.Algorithm(0x06, pkcs15.OPERATION_SIGN, 0x12),
    pkcs15.Algorithm(0x40, pkcs15.OPERATION_SIGN, 0x42),
    pkcs15.Algorithm(0x01, pkcs15.OPERATION_SIGN, 0x02),
    pkcs15.Algorithm(0x01, pkcs15.OPERATION_DECIPHER, 0x1A),
)
CERTIFICATE_LABELS = {
    Usage.SIGNATURE: "Certificat de Signature CPS",
    Usage.AUTHENTICATION: "Certificat d'Authentification CPS",
    Usage.TECHNICAL: "Certificat Technique CPS",
}
SIGNATURE, AUTHENTICATION, TECHNICAL = (
    pkcs15.Key(
        "CPS_PRIV_SIG",
        layout.SIGNATURE_ID,
        layout.LOCAL | layout.SIGNATURE_KEY,
        (pkcs15.NON_REPUDIATION,),
        (pkcs15.COMPUTE_SIGNATURE,),
        KEY_BITS,
        PIN_ID,
    ),
    pkcs15.Key(
        "CPS_PRIV_AUT",
        layout.AUTHENTICATION_ID,
        layout.LOCAL | layout.AUTHENTICATION_KEY,
        (pkcs15.SIGN, pkcs15.DECRYPT),
        (pkcs15.DECIPHER, pkcs15.INTERNAL_AUTHENTICATE),
        KEY_BITS,
        PIN_ID,
    ),
    pkcs15.Key(
        "CPS_PRIV_TECH_AUT",
        layout.TECHNICAL_ID,
        layout.LOCAL | layout.TECHNICAL_KEY,
        (pkcs15.SIGN,),
        (),
        KEY_BITS,
        None,
    ),
)
KEYS = {
    Usage.SIGNATURE: SIGNATURE,
    Usage.AUTHENTICATION: AUTHENTICATION,
    Usage.TECHNICAL: TECHNICAL,
}
_NEVER = bytes((layout.NEVER,) * 6)
KEY_RULES = {
    # compute signature, internal authenticate, decipher, generate, put, get
    Usage.SIGNATURE: {
        Face.CONTACT: bytes((layout.BY_PIN, *_NEVER[:4], layout.ALWAYS)),
        Face.CONTACTLESS: _NEVER,
    },
    Usage.AUTHENTICATION: {
        Face.CONTACT: bytes(
            (layout.NEVER, layout.BY_PIN, layout.BY_PIN, *_NEVER[:2], layout.ALWAYS)
        ),
        Face.CONTACTLESS: _NEVER,
    },
    Usage.TECHNICAL: {
        Face.CONTACT: _NEVER,
        Face.CONTACTLESS: bytes(
            (layout.NEVER, layout.ALWAYS, layout.NEVER, *_NEVER[:2], layout.ALWAYS)
        ),
    },
}


def personalise(
    pki: Pki,
    profile: Profile,
    *,
    pin: bytes = b"1234",
    puk: bytes = b"12345678",
    certificates: Mapping[Usage, bytes] | None = None,
    rng: Random | None = None,
) -> VirtualCps:
    """Return a card whose three certificates `pki` has issued.

    `profile` is the authentication certificate's; its knobs (usages, policies, serial) are its
    own, the rest holds for all three. `certificates` puts other bytes in a certificate's file.
    `rng` makes keys and serial numbers repeatable, slowly.
    """
    if profile.card_number is None:
        raise ValueError("a card has a number")
    issued = {usage: issue(pki, profile, usage, rng) for usage in Usage}
    keys = {usage: RSA.import_key(one.key) for usage, one in issued.items()}
    content = {usage: one.certificate for usage, one in issued.items()} | dict(certificates or {})
    files = {
        **_card_files(profile.card_number, pki.created),
        **_contact_files(profile, keys, content),
        **_contactless_files(profile, content[Usage.TECHNICAL]),
    }
    return VirtualCps(Chip(profile.card_number, files, _codes(pin, puk), _keys(keys)))


def random_number(rng: Random = secrets.token_bytes) -> str:
    """Return a card number: the issuer's, and ten digits of which the first two are 26."""
    return f"{ISSUER_NUMBER}/26{int.from_bytes(rng(8)) % 10**8:08d}"


def issue(pki: Pki, profile: Profile, usage: Usage, rng: Random | None) -> Issued:
    """Issue one of a card's certificates; the knobs of `profile` hold for its own usage alone."""
    if usage is not profile.usage:
        profile = replace(
            profile,
            usage=usage,
            key_usage=None,
            extended_usages=None,
            policies=None,
            serial=None,
        )
    if rng is None:
        return pki.issue(profile)
    key = RSA.generate(KEY_BITS, randfunc=rng).export_key("DER", pkcs=8)
    serial = profile.serial or int.from_bytes(rng(16)) | 1
    return pki.issue(replace(profile, serial=serial), key)


def _codes(pin: bytes, puk: bytes) -> dict[int, Code]:
    return {
        layout.PIN: Code(pin, 3, 3, CODE_RULES[layout.PIN]),
        layout.PUK: Code(puk, 10, 10, CODE_RULES[layout.PUK], 100),
    }


def _keys(keys: Mapping[Usage, RSA.RsaKey]) -> dict[tuple[bytes, int], PrivateKey]:
    names = {
        Usage.SIGNATURE: (layout.CONTACT_DF, layout.SIGNATURE_KEY),
        Usage.AUTHENTICATION: (layout.CONTACT_DF, layout.AUTHENTICATION_KEY),
        Usage.TECHNICAL: (layout.CONTACTLESS_DF, layout.TECHNICAL_KEY),
    }
    return {names[usage]: PrivateKey(key, KEY_RULES[usage]) for usage, key in keys.items()}


def _file(
    content: bytes, contact: int, contactless: int, update: int = layout.NEVER
) -> ElementaryFile:
    locked = _NEVER[:4]
    return ElementaryFile(
        content,
        {
            Face.CONTACT: locked + bytes((update, contact)),
            Face.CONTACTLESS: locked + bytes((layout.NEVER, contactless)),
        },
    )


def _public(content: bytes) -> ElementaryFile:
    return _file(content, layout.ALWAYS, layout.ALWAYS)


def _contact_only(content: bytes) -> ElementaryFile:
    return _file(content, layout.ALWAYS, layout.NEVER)


def _by_pin(content: bytes) -> ElementaryFile:
    return _file(content, layout.BY_PIN, layout.NEVER)


def _card_files(number: str, written: datetime) -> dict[bytes, ElementaryFile]:
    stamp = bytes.fromhex(written.strftime("%Y%m%d%H%M%S"))
    update = der.tlv(0xEC, der.tlv(0x81, stamp), der.tlv(0x82, stamp))
    producer = bytes((layout.BY_PRODUCER, *_NEVER[:3], layout.BY_PRODUCER, layout.ALWAYS))
    ef_atr = ElementaryFile(
        layout.EF_ATR_BYTES,
        {Face.CONTACT: producer, Face.CONTACTLESS: _NEVER[:5] + bytes((layout.ALWAYS,))},
    )
    return {
        layout.MF + layout.EF_DIR: _public(_directory()),
        layout.MF + layout.EF_ATR: ef_atr,
        layout.MF + layout.EF_SN: _public(serial_file(number)),
        layout.MF + layout.EF_ACTUA: _contact_only(update),
    }


def _directory() -> bytes:
    """Return EF.DIR. Its 101 bytes are the size of the real one; both DDOs name the contact AID.

    OpenSC takes the second entry first, and found the contact application on real cards.
    """
    entries = (
        (layout.CONTACTLESS_AID, "CPX IAS CL", layout.CONTACTLESS_DF),
        (layout.CONTACT_AID, "CPX IAS", layout.CONTACT_DF),
    )
    return b"".join(
        der.tlv(
            0x61,
            der.tlv(0x4F, aid),
            der.tlv(0x50, label.encode()),
            der.tlv(0x51, folder),
            der.tlv(0x73, der.tlv(0x4F, layout.CONTACT_AID)),
        )
        for aid, label, folder in entries
    )


def _contact_files(
    profile: Profile, keys: Mapping[Usage, RSA.RsaKey], certificates: Mapping[Usage, bytes]
) -> dict[bytes, ElementaryFile]:
    base = layout.CONTACT_DF
    usages = (Usage.SIGNATURE, Usage.AUTHENTICATION)
    where = {usage: base + fid for usage, fid in zip(usages, layout.CERTIFICATES, strict=False)}
    directories = (
        pkcs15.Directory(pkcs15.PRKDF, base + layout.PRKDF),
        pkcs15.Directory(pkcs15.PUKDF, base + layout.PUKDF),
        pkcs15.Directory(pkcs15.CDF, base + layout.CDF),
        pkcs15.Directory(pkcs15.DODF, base + layout.DODF),
        pkcs15.Directory(pkcs15.AODF, base + layout.AODF),
    )
    objects, listed = _data_objects(profile)
    return {
        base + layout.ODF: _contact_only(pkcs15.object_directory(directories)),
        base + layout.TOKEN_INFO: _contact_only(_token_info(profile, pkcs15.LOGIN_REQUIRED)),
        base + layout.AODF: _contact_only(_pins()),
        base + layout.PRKDF: _contact_only(_private_keys(base, *usages)),
        base + layout.PUKDF: _contact_only(
            b"".join(_public_key(usage, keys[usage]) for usage in usages)
        ),
        base + layout.CDF: _contact_only(_certificates(where)),
        base + layout.DODF: _contact_only(listed),
        **{path: _contact_only(certificates[usage]) for usage, path in where.items()},
        **objects,
    }


def _contactless_files(profile: Profile, certificate: bytes) -> dict[bytes, ElementaryFile]:
    base = layout.CONTACTLESS_DF
    where = base + layout.CERTIFICATES[2]
    directories = (
        pkcs15.Directory(pkcs15.PRKDF, base + layout.PRKDF),
        pkcs15.Directory(pkcs15.CDF, base + layout.CDF),
    )
    return {
        base + layout.ODF: _public(pkcs15.object_directory(directories)),
        base + layout.TOKEN_INFO: _public(_token_info(profile)),
        base + layout.PRKDF: _public(_private_keys(base, Usage.TECHNICAL)),
        base + layout.CDF: _public(_certificates({Usage.TECHNICAL: where})),
        where: _public(certificate),
    }


def _pins() -> bytes:
    initialized = pkcs15.INITIALIZED
    return pkcs15.pin(
        pkcs15.Pin("Code porteur", PIN_ID, layout.PIN, (initialized,), (4, 8), PUK_ID), layout.MF
    ) + pkcs15.pin(
        pkcs15.Pin(
            "Code de deblocage",
            PUK_ID,
            layout.PUK,
            (pkcs15.UNBLOCK_DISABLED, initialized, pkcs15.UNBLOCKING_PIN),
            (8, 8),
        ),
        layout.MF,
    )


def _private_keys(base: bytes, *usages: Usage) -> bytes:
    return b"".join(pkcs15.private_key(KEYS[usage], base) for usage in usages)


def _public_key(usage: Usage, key: RSA.RsaKey) -> bytes:
    private = KEYS[usage]
    label = private.label.replace("PRIV", "PUB")
    return pkcs15.public_key(label, private.identifier, private.reference, key.n, key.e)


def _certificates(where: Mapping[Usage, bytes]) -> bytes:
    return b"".join(
        pkcs15.certificate(CERTIFICATE_LABELS[usage], KEYS[usage].identifier, path)
        for usage, path in where.items()
    )


def _token_info(profile: Profile, *flags: int) -> bytes:
    serial = (profile.card_number or "").rpartition("/")[2]
    return pkcs15.token_info(
        bytes.fromhex(serial), MANUFACTURER, f"CPS3-{serial}", ALGORITHMS, *flags
    )


def _data_objects(profile: Profile) -> tuple[dict[bytes, ElementaryFile], bytes]:
    """Return the files of the data objects, and the DODF that lists them."""
    base, holder = layout.CONTACT_DF, profile.holder
    names = " ".join(part for part in (holder.given_name, holder.surname) if part)
    texts = {
        "CPS_ID_CARD": profile.card_number or "",
        "CPS_NAME_PS": names,
        "CPS_LANG_PS": "fr",
        "CPS_INFO_PS": f"{holder.national_id}{''.join(holder.specialties[:1])}",
    }
    free = {
        base + fid: (name, _contact_only(texts[name].encode()))
        for name, fid in layout.FREE_OBJECTS.items()
    }
    data = _file(bytes(128), layout.ALWAYS, layout.NEVER, update=layout.BY_PIN)
    guarded = {base + layout.SIT_FACT: ("CPS_SIT_FACT", _by_pin(activity("SITUATION")))}
    for number, fid in enumerate(layout.SITUATIONS[:2], 1):
        name = f"CPS_ACTIVITY_{number:02d}_PS"
        guarded[base + fid] = (name, _by_pin(activity(f"CABINET {number}")))
    listed = [
        pkcs15.data_object(name, APPLICATION_NAME, path, auth_id=None)
        for path, (name, _) in free.items()
    ]
    listed.append(
        pkcs15.data_object(
            "CPS_DATA", APPLICATION_NAME, base + layout.CPS_DATA, auth_id=None, modifiable=True
        )
    )
    listed += [
        pkcs15.data_object(name, APPLICATION_NAME, path, auth_id=PIN_ID)
        for path, (name, _) in guarded.items()
    ]
    files = {path: file for path, (_, file) in {**free, **guarded}.items()}
    return {**files, base + layout.CPS_DATA: data}, b"".join(listed)


def activity(name: str) -> bytes:
    """Return an activity: the only tags anyone has named are EE, 84, 85 and 86."""
    return der.tlv(
        0xEE,
        der.tlv(0x84, name.encode()),
        der.tlv(0x85, b"10B0168811"),
        der.tlv(0x86, b"SA07"),
    )
