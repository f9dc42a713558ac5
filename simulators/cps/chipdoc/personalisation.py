"""A CPS4 as its issuer hands it out.

Known are the serial number's file, the AID and label of the PKCS #15 application, the labels and
identifiers of the keys, the authentication key's reference, and that the token's label contains
CPS4. **The tree below the application, EF.DIR's path, the PIN's references, its lengths and what a
data object contains are stand-ins**, the same as on the virtual CPS3: a driver finds them through
PKCS #15.
"""

from collections.abc import Callable, Mapping

from Crypto.PublicKey import RSA

from simulators import der
from simulators.cps import layout, pkcs15
from simulators.cps.chipdoc.card import VirtualCps4
from simulators.cps.chipdoc.chip import (
    APPLICATION_AID,
    APPLICATION_DF,
    AUTHENTICATION_KEY,
    MODULUS_BYTES,
    PIN_MAX_DIGITS,
    PIN_MIN_DIGITS,
    PIN_REFERENCE,
    PIN_TRIES,
    PUK_REFERENCE,
    PUK_TRIES,
    SIGNATURE_KEY,
    Access,
    Chip,
    Code,
    ElementaryFile,
    Product,
)
from simulators.cps.number import serial_file
from simulators.cps.personalisation import CERTIFICATE_LABELS, activity, issue
from simulators.pki import Pki, Profile, Usage

Random = Callable[[int], bytes]
Files = dict[bytes, ElementaryFile]

MF_IDENTIFIER = layout.MF
KEY_BITS = 8 * MODULUS_BYTES
PIN_ID, PUK_ID = b"\x01", b"\x02"
APPLICATION_NAME = "CPS"
MANUFACTURER = "NXP"
DATA_BYTES = 128
SIGN = pkcs15.OPERATION_SIGN
ALGORITHMS = (
    pkcs15.Algorithm(0x06, SIGN, 0x0A),
    pkcs15.Algorithm(0x40, SIGN, 0x28),
    pkcs15.Algorithm(0x0E, SIGN, 0x15),
    pkcs15.Algorithm(0x43, SIGN, 0x2C),
)
KEYS = {
    Usage.SIGNATURE: pkcs15.Key(
        "CPS_PRIV_SIG",
        APPLICATION_AID + bytes((SIGNATURE_KEY,)),
        SIGNATURE_KEY,
        (pkcs15.NON_REPUDIATION,),
        (pkcs15.COMPUTE_SIGNATURE,),
        KEY_BITS,
        PIN_ID,
    ),
    Usage.AUTHENTICATION: pkcs15.Key(
        "CPS_PRIV_AUT",
        APPLICATION_AID + bytes((AUTHENTICATION_KEY,)),
        AUTHENTICATION_KEY,
        (pkcs15.SIGN, pkcs15.DECRYPT),
        (pkcs15.DECIPHER,),
        KEY_BITS,
        PIN_ID,
    ),
}
CERTIFICATE_FILES = dict(zip(KEYS, layout.CERTIFICATES, strict=False))


def personalise(
    pki: Pki,
    profile: Profile,
    *,
    product: Product = Product.T1,
    pin: bytes = b"1234",
    puk: bytes = b"12345678",
    certificates: Mapping[Usage, bytes] | None = None,
    rng: Random | None = None,
) -> VirtualCps4:
    """Return a card whose two certificates `pki` has issued.

    `profile` is the authentication certificate's; its knobs (usages, policies, serial) are its
    own, the rest holds for both. `certificates` puts other bytes in a certificate's file. `rng`
    makes keys and serial numbers repeatable, slowly.
    """
    if profile.card_number is None:
        raise ValueError("a card has a number")
    issued = {usage: issue(pki, profile, usage, rng) for usage in KEYS}
    keys = {usage: RSA.import_key(one.key) for usage, one in issued.items()}
    content = {usage: one.certificate for usage, one in issued.items()} | dict(certificates or {})
    codes = {
        PIN_REFERENCE: Code(pin, PIN_TRIES, PIN_TRIES),
        PUK_REFERENCE: Code(puk, PUK_TRIES, PUK_TRIES),
    }
    files = {
        layout.EF_DIR: ElementaryFile(_directory()),
        layout.EF_SN: ElementaryFile(serial_file(profile.card_number)),
        **_application_files(profile, keys),
        **{
            APPLICATION_DF + CERTIFICATE_FILES[usage]: ElementaryFile(content[usage])
            for usage in KEYS
        },
    }
    return VirtualCps4(
        Chip(product, files, codes, {KEYS[usage].reference: key for usage, key in keys.items()})
    )


def _directory() -> bytes:
    return der.tlv(
        0x61,
        der.tlv(0x4F, APPLICATION_AID),
        der.tlv(0x50, b"CPS4"),
        der.tlv(0x51, _absolute(b"")),
    )


def _absolute(identifier: bytes) -> bytes:
    """Return the path of a file of the application as PKCS #15 writes it, from 3F00."""
    return MF_IDENTIFIER + APPLICATION_DF + identifier


def _application_files(profile: Profile, keys: Mapping[Usage, RSA.RsaKey]) -> Files:
    directories = (
        pkcs15.Directory(pkcs15.PRKDF, _absolute(layout.PRKDF)),
        pkcs15.Directory(pkcs15.PUKDF, _absolute(layout.PUKDF)),
        pkcs15.Directory(pkcs15.CDF, _absolute(layout.CDF)),
        pkcs15.Directory(pkcs15.DODF, _absolute(layout.DODF)),
        pkcs15.Directory(pkcs15.AODF, _absolute(layout.AODF)),
    )
    objects, listed = _data_objects(profile)
    contents = {
        layout.ODF: pkcs15.object_directory(directories),
        layout.TOKEN_INFO: _token_info(profile),
        layout.AODF: _pins(),
        layout.PRKDF: b"".join(pkcs15.private_key(key, _absolute(b"")) for key in KEYS.values()),
        layout.PUKDF: b"".join(_public_key(usage, key) for usage, key in keys.items()),
        layout.CDF: _certificates(),
        layout.DODF: listed,
    }
    return {
        **{APPLICATION_DF + name: ElementaryFile(value) for name, value in contents.items()},
        **{APPLICATION_DF + name: file for name, file in objects.items()},
    }


def _pins() -> bytes:
    user = pkcs15.Pin(
        "Code porteur",
        PIN_ID,
        PIN_REFERENCE,
        (pkcs15.INITIALIZED,),
        (PIN_MIN_DIGITS, PIN_MAX_DIGITS),
        PUK_ID,
    )
    unblocking = pkcs15.Pin(
        "Code de deblocage",
        PUK_ID,
        PUK_REFERENCE,
        (pkcs15.UNBLOCK_DISABLED, pkcs15.INITIALIZED, pkcs15.UNBLOCKING_PIN),
        (PIN_MAX_DIGITS, PIN_MAX_DIGITS),
    )
    return pkcs15.pin(user, MF_IDENTIFIER) + pkcs15.pin(unblocking, MF_IDENTIFIER)


def _public_key(usage: Usage, key: RSA.RsaKey) -> bytes:
    """Describe a public key. On a CPS4 its usages lack both encrypt and verify."""
    private = KEYS[usage]
    label = private.label.replace("PRIV", "PUB")
    return pkcs15.public_key(label, private.identifier, private.reference, key.n, key.e, usages=())


def _certificates() -> bytes:
    return b"".join(
        pkcs15.certificate(
            CERTIFICATE_LABELS[usage], key.identifier, _absolute(CERTIFICATE_FILES[usage])
        )
        for usage, key in KEYS.items()
    )


def _token_info(profile: Profile) -> bytes:
    serial = (profile.card_number or "").rpartition("/")[2]
    return pkcs15.token_info(
        bytes.fromhex(serial), MANUFACTURER, f"CPS4-{serial}", ALGORITHMS, pkcs15.LOGIN_REQUIRED
    )


def _data_objects(profile: Profile) -> tuple[Files, bytes]:
    """Return the files of the data objects by identifier, and the DODF that lists them."""
    holder = profile.holder
    names = " ".join(part for part in (holder.given_name, holder.surname) if part)
    texts = {
        "CPS_ID_CARD": profile.card_number or "",
        "CPS_NAME_PS": names,
        "CPS_LANG_PS": "fr",
        "CPS_INFO_PS": f"{holder.national_id}{''.join(holder.specialties[:1])}",
    }
    free = {name: (layout.FREE_OBJECTS[name], text.encode()) for name, text in texts.items()}
    guarded = {
        "CPS_SIT_FACT": (layout.SIT_FACT, activity("SITUATION")),
        "CPS_ACTIVITY_01_PS": (layout.SITUATIONS[0], activity("CABINET 1")),
        "CPS_ACTIVITY_03_PS": (layout.SITUATIONS[2], activity("CABINET 3")),
    }
    files = {name: ElementaryFile(content) for name, content in free.values()}
    files |= {name: ElementaryFile(content, Access.PIN) for name, content in guarded.values()}
    files[layout.CPS_DATA] = ElementaryFile(bytes(DATA_BYTES), Access.FREE, Access.PIN)
    listed = [_listed(label, name, None) for label, (name, _) in free.items()]
    listed.append(_listed("CPS_DATA", layout.CPS_DATA, None, modifiable=True))
    listed += [_listed(label, name, PIN_ID) for label, (name, _) in guarded.items()]
    return files, b"".join(listed)


def _listed(label: str, name: bytes, code: bytes | None, *, modifiable: bool = False) -> bytes:
    return pkcs15.data_object(
        label, APPLICATION_NAME, _absolute(name), auth_id=code, modifiable=modifiable
    )
