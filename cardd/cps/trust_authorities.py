"""The authorities that the configuration names: certificates in two folders, and nothing else."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cardd.config import Trust
from cardd.cps.certificate import distribution_urls
from cardd.errors import Code, Refused
from cardd.files import read_bounded

SUFFIXES: Final = frozenset({".pem", ".cer", ".crt", ".der"})
MAXIMUM_FILES: Final = 64
MAXIMUM_FILE_BYTES: Final = 256 * 1024
MAXIMUM_AUTHORITIES: Final = 64

_PEM = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Authority:
    """The certificate of an authority and the file it came from."""

    certificate: x509.Certificate
    der: bytes
    file: Path
    is_root: bool

    @property
    def name(self) -> str:
        """Return the subject as people read it (RFC 4514)."""
        return self.certificate.subject.rfc4514_string()

    @property
    def not_after(self) -> datetime:
        """Return when it ends."""
        return self.certificate.not_valid_after_utc

    @property
    def signs_crls(self) -> bool:
        """Tell whether its key usage, where it has one, has cRLSign (RFC 5280, 4.2.1.3)."""
        try:
            usage = self.certificate.extensions.get_extension_for_class(x509.KeyUsage)
        except x509.ExtensionNotFound:
            return True
        return usage.value.crl_sign

    def is_also(self, other: "Authority") -> bool:
        """Tell whether it is the same authority: its certificate may have been renewed meanwhile.

        An authority is a name with a key, whose CRL counts for all its certificates (RFC 5280,
        6.3.3 (f)).
        """
        return self.certificate.subject == other.certificate.subject and _key(self) == _key(other)

    @property
    def crl_urls(self) -> frozenset[str]:
        """Return where the CRL that this certificate would be on is (RFC 5280, 4.2.1.13)."""
        try:
            points = self.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
        except x509.ExtensionNotFound:
            return frozenset()
        return distribution_urls(points.value)


def read_authorities(settings: Trust) -> tuple[Authority, ...]:
    """Read roots, then intermediates.

    A missing folder of intermediates is an empty one. Raises Refused (`trust_unavailable`) where
    there is no root, or a file cannot be read: an authority that silently counts for nothing would
    be looked for in the wrong place.
    """
    roots = _read_folder(settings.roots, is_root=True)
    if not roots:
        _refuse(
            f"there is no certificate of a root authority in {settings.roots}; put those of "
            "IGC-Santé there"
        )
    return (*roots, *_read_folder(settings.intermediates, is_root=False))


def certificate_files(folder: Path) -> list[Path]:
    """Return what would be read in a folder of authorities, in order; raises OSError."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def _read_folder(folder: Path, *, is_root: bool) -> list[Authority]:
    try:
        files = certificate_files(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        _refuse(f"{folder} cannot be read: {error}")
    if len(files) > MAXIMUM_FILES:
        _refuse(f"{folder} has {len(files)} certificate files; at most {MAXIMUM_FILES} are read")
    authorities = [each for file in files for each in _read_file(file, is_root=is_root)]
    if len(authorities) > MAXIMUM_AUTHORITIES:
        _refuse(f"{folder} has more than {MAXIMUM_AUTHORITIES} certificates")
    return authorities


def _read_file(file: Path, *, is_root: bool) -> list[Authority]:
    try:
        content = read_bounded(file, MAXIMUM_FILE_BYTES)
    except OSError as error:
        _refuse(f"{file} cannot be read: {error}")
    try:
        if _PEM in content:
            certificates = x509.load_pem_x509_certificates(content)
        else:
            certificates = [x509.load_der_x509_certificate(content)]
        return [_authority(each, file, is_root=is_root) for each in certificates]
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, Warning) as error:
        _refuse(f"{file} holds no certificate in PEM or DER: {error}")
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        _refuse(f"{file} holds a malformed certificate: {error}")


def _authority(certificate: x509.Certificate, file: Path, *, is_root: bool) -> Authority:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = None
    if basic is None or not basic.ca:
        _refuse(f"{file} is not the certificate of an authority (basic constraints)")
    if is_root and certificate.issuer != certificate.subject:
        _refuse(f"{file} is not the certificate of a root: another authority issued it")
    return Authority(certificate, certificate.public_bytes(Encoding.DER), file, is_root)


def _key(authority: Authority) -> bytes:
    public_key = authority.certificate.public_key()
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _refuse(why: str) -> NoReturn:
    raise Refused(Code.TRUST_UNAVAILABLE, f"no CPS can be verified: {why}")
