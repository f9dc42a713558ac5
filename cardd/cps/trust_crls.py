"""Certificate revocation lists: files in a folder, each verified once and then looked up.

Only full lists that an authority signs for its own certificates are used; delta and indirect lists,
and lists by reason, count as absent. Looking a certificate up in a list of 100 000 entries takes
pyhanko-certvalidator 0.17 s at each login, and 90 MB (measured); here a set of serial numbers is
made when a list is read. Source: RFC 5280 (5, 6.3).
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from cardd.cps.trust_authorities import Authority
from cardd.files import read_bounded

SUFFIX: Final = ".crl"
MAXIMUM_FILES: Final = 64
MAXIMUM_BYTES: Final = 64 * 1024 * 1024

_KNOWN_CRITICAL = frozenset({ExtensionOID.ISSUING_DISTRIBUTION_POINT})


class CrlError(Exception):
    """A list that cannot be used; the message says why."""


class CrlStatus(Enum):
    """What the lists say of one certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "expired"  # the list that covers it is no longer fresh
    ABSENT = "absent"  # no list covers it


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list is looked up by: a certificate's serial number, kind and distribution points."""

    serial_number: int
    is_authority: bool
    crl_urls: frozenset[str]


@dataclass(frozen=True, slots=True)
class Crl:
    """A list whose signature was verified with its issuer's key."""

    issuer: Authority
    this_update: datetime
    next_update: datetime
    serials: frozenset[int]
    point: x509.IssuingDistributionPoint | None

    def covers(self, certificate: Listed) -> bool:
        """Tell whether the list would have the certificate, by its scope (RFC 5280, 5.2.5)."""
        point = self.point
        if point is None:
            return True
        if point.only_contains_ca_certs and not certificate.is_authority:
            return False
        if point.only_contains_user_certs and certificate.is_authority:
            return False
        return point.full_name is None or any(
            isinstance(name, x509.UniformResourceIdentifier) and name.value in certificate.crl_urls
            for name in point.full_name
        )

    def is_fresh(self, now: datetime, skew: timedelta) -> bool:
        """Tell whether the list holds now."""
        return self.this_update - skew <= now <= self.next_update + skew


def read_crl(content: bytes, authorities: Sequence[Authority]) -> Crl:
    """Parse a list (DER or PEM) and verify it; raises CrlError."""
    if not 0 < len(content) <= MAXIMUM_BYTES:
        raise CrlError(f"it has {len(content)} bytes; 1 to {MAXIMUM_BYTES} are accepted")
    try:
        if content.startswith(b"-----BEGIN"):
            parsed = x509.load_pem_x509_crl(content)
        else:
            parsed = x509.load_der_x509_crl(content)
        point = _scope(parsed)
        issuer = _issuer(parsed, authorities)
        return _verified(parsed, issuer, point)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, Warning) as error:
        raise CrlError(f"it is no CRL: {error}") from None
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise CrlError(f"it is malformed: {error}") from None


def _verified(
    parsed: x509.CertificateRevocationList,
    issuer: Authority,
    point: x509.IssuingDistributionPoint | None,
) -> Crl:
    this_update, next_update = parsed.last_update_utc, parsed.next_update_utc
    if next_update is None:
        raise CrlError("it does not say when the next one comes, so it cannot be known as fresh")
    if next_update < this_update:
        raise CrlError("it ends before it begins")
    serials = frozenset(entry.serial_number for entry in parsed)
    return Crl(issuer, this_update, next_update, serials, point)


def _scope(parsed: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    point: x509.IssuingDistributionPoint | None = None
    for extension in parsed.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            point = value
        elif extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise CrlError(f"it has the critical extension {extension.oid.dotted_string}")
    if point and (
        point.indirect_crl
        or point.only_some_reasons
        or point.only_contains_attribute_certs
        or point.relative_name is not None
    ):
        raise CrlError("it is indirect, or limited to some reasons or to attribute certificates")
    return point


def _issuer(parsed: x509.CertificateRevocationList, authorities: Sequence[Authority]) -> Authority:
    """Return the authority that signed it: by name, then by what its key verifies."""
    named = [
        each
        for each in authorities
        if each.certificate.subject == parsed.issuer and each.signs_crls
    ]
    if not named:
        raise CrlError(f"no configured authority is {parsed.issuer.rfc4514_string()}")
    for authority in named:
        if parsed.is_signature_valid(authority.certificate.public_key()):  # type: ignore[arg-type]
            return authority
    raise CrlError(f"its signature is not by {parsed.issuer.rfc4514_string()}")


_Stamp = tuple[int, int, int]


class CrlFolder:
    """The lists of a folder, read again when a file changes. Thread-safe."""

    def __init__(self, folder: Path, authorities: Sequence[Authority]) -> None:
        self._folder = folder
        self._authorities = tuple(authorities)
        self._lock = threading.Lock()
        self._files: dict[str, tuple[_Stamp, Crl | CrlError]] = {}

    def status(
        self, certificate: Listed, issuer: Authority, now: datetime, skew: timedelta
    ) -> CrlStatus:
        """Return what the lists of `issuer` say of one of its certificates.

        A certificate on a list that has expired stays revoked.
        """
        covering = [
            crl
            for _, crl in self.contents()
            if isinstance(crl, Crl) and crl.issuer.is_also(issuer) and crl.covers(certificate)
        ]
        if any(certificate.serial_number in crl.serials for crl in covering):
            return CrlStatus.REVOKED
        if any(crl.is_fresh(now, skew) for crl in covering):
            return CrlStatus.GOOD
        return CrlStatus.EXPIRED if covering else CrlStatus.ABSENT

    def contents(self) -> list[tuple[str, Crl | CrlError]]:
        """Return each file's name with its list, or why it cannot be used."""
        with self._lock:
            stamps = dict(self._stamps())
            for gone in self._files.keys() - stamps.keys():
                del self._files[gone]
            for name, stamp in stamps.items():
                if name not in self._files or self._files[name][0] != stamp:
                    self._files[name] = (stamp, self._read(name))
            return [(name, crl) for name, (_, crl) in sorted(self._files.items())]

    def _stamps(self) -> Iterator[tuple[str, _Stamp]]:
        """Give each file's name and what changes when it is replaced; an absent folder is empty."""
        try:
            with os.scandir(self._folder) as entries:
                named = [entry for entry in entries if entry.name.endswith(SUFFIX)]
                for entry in sorted(named, key=lambda each: each.name)[:MAXIMUM_FILES]:
                    # A file that goes meanwhile is as if it had not been there.
                    with suppress(FileNotFoundError):
                        status = entry.stat()
                        yield entry.name, (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            # Then nothing covers a certificate: the refusal says that no list does.
            return

    def _read(self, name: str) -> Crl | CrlError:
        try:
            content = read_bounded(self._folder / name, MAXIMUM_BYTES)
            return read_crl(content, self._authorities)
        except OSError as error:
            return CrlError(f"it cannot be read: {error}")
        except CrlError as error:
            return error
