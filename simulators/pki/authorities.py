"""The test IGC-Santé in a folder: keys, certificates, what was revoked.

roots/           what a verifier trusts             (PEM)
intermediates/   what a verifier needs for paths    (PEM)
crls/            the lists, as their addresses name them (DER)
private/         the authorities' keys, in clear: a simulation
pki.json         names, addresses, revoked serials
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from simulators.pki.certificates import authority, authority_name, leaf
from simulators.pki.naming import Naming, naming
from simulators.pki.profile import Issued, Issuer, Profile
from simulators.pki.revocation import revocation_list

FORMAT = "cardd-sim pki 1"
AUTHORITY_BITS = 4096
CARD_BITS = 2048
EXPONENT = 65537
CARD_YEARS = 3
YEAR = timedelta(days=365)
CRL_LIFE = timedelta(days=7)
ROOT_FILE = "roots/ac-racine-igc-sante-fort.pem"
INTERMEDIATE_FILE = "intermediates/ac-igc-sante-fort-personnes.pem"


class PkiError(Exception):
    """The folder holds no usable PKI; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority: its certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self) -> bytes:
        """The certificate, DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


class Pki:
    """A test IGC-Santé: root FORT, intermediate FORT PERSONNES. Used by one thread at a time."""

    def __init__(
        self,
        folder: Path,
        names: Naming,
        created: datetime,
        authorities: dict[str, Authority],
        *,
        revoked: dict[int, datetime] | None = None,
        crl_number: int = 0,
    ) -> None:
        self.folder = folder
        self.naming = names
        self.created = created
        self.revoked = revoked or {}
        self.root = authorities["root"]
        self.intermediate = authorities["intermediate"]
        self._impostor = authorities["impostor"]
        self._stranger = authorities["stranger"]
        self._crl_number = crl_number

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        production: bool = False,
        crl_base: str | None = None,
        ocsp: str | None = None,
        now: datetime | None = None,
    ) -> Self:
        """Make a PKI in an empty or new folder, with a CRL of each authority; raise PkiError.

        `production` drops TEST from the names. `crl_base` and `ocsp` are addresses that the
        certificates give instead of the real ones.
        """
        if (folder / "pki.json").exists():
            raise PkiError(f"{folder} holds a PKI already: name another folder, or remove it first")
        names = naming(production=production, crl_base=crl_base, ocsp=ocsp)
        now = (now or datetime.now(UTC)).replace(microsecond=0)
        pki = cls(folder, names, now, _authorities(names, now))
        try:
            pki._write()
            pki.write_crls(now=now)
        except OSError as error:
            raise PkiError(f"{folder} cannot be written: {error.strerror}") from error
        return pki

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a PKI; raise PkiError where there is none, or a damaged one."""
        try:
            document = json.loads((folder / "pki.json").read_text())
            if document["format"] != FORMAT:
                raise ValueError(f'its "format" is not "{FORMAT}"')  # noqa: TRY301 - one report
            return cls(
                folder,
                Naming(**document["naming"]),
                datetime.fromisoformat(document["created"]),
                {name: _read(folder, name) for name in _CERTIFICATE_FILES},
                revoked=_revoked(document),
                crl_number=int(document["crl_number"]),
            )
        except FileNotFoundError as error:
            raise PkiError(
                f"{folder} holds no PKI ({error.filename} is missing): make one with cardd-sim pki"
            ) from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise PkiError(f"{folder} is damaged ({error}): make a new PKI") from error

    @property
    def roots(self) -> Path:
        """The folder of the certificates to trust."""
        return self.folder / "roots"

    @property
    def intermediates(self) -> Path:
        """The folder of the intermediate certificates."""
        return self.folder / "intermediates"

    @property
    def crls(self) -> Path:
        """The folder of the lists."""
        return self.folder / "crls"

    @property
    def chain(self) -> tuple[bytes, bytes]:
        """The intermediate's and the root's certificate, DER."""
        return self.intermediate.der, self.root.der

    def issue(self, profile: Profile, key: bytes | None = None) -> Issued:
        """Issue a certificate for an RSA key (PKCS#8 DER), or for a new one of 2048 bits."""
        private = _card_key(key)
        start = profile.not_before or self.created.replace(hour=0, minute=0, second=0)
        validity = (start, profile.not_after or start + CARD_YEARS * YEAR)
        signer = self._signer(profile.issuer)
        builder = leaf(profile, private.public_key(), self.naming, signer.certificate, validity)
        certificate = builder.sign(signer.key, hashes.SHA256())
        return Issued(
            certificate.serial_number,
            certificate.public_bytes(serialization.Encoding.DER),
            key or _pkcs8(private),
        )

    def _signer(self, issuer: Issuer) -> Authority:
        if issuer is Issuer.IMPOSTOR:
            # The genuine certificate, so that names and key identifiers match, and another key.
            return Authority(self.intermediate.certificate, self._impostor.key)
        return self._stranger if issuer is Issuer.STRANGER else self.intermediate

    def revoke(self, serial: int, when: datetime | None = None) -> None:
        """Revoke a certificate, whoever it is of; the next list has it."""
        self.revoked[serial] = (when or datetime.now(UTC)).replace(microsecond=0)
        self._write_state()

    def serials_in(self, contents: Iterable[bytes]) -> list[int]:
        """Return the serial numbers of this PKI's certificates among the contents of files."""
        serials = []
        for content in contents:
            try:
                certificate = x509.load_der_x509_certificate(content)
            except ValueError:
                continue
            if certificate.issuer == self.intermediate.certificate.subject:
                serials.append(certificate.serial_number)
        return serials

    def read_revoked(self) -> dict[int, datetime]:
        """Return what is revoked in the folder now; another process may have revoked it."""
        document = json.loads((self.folder / "pki.json").read_text())
        return _revoked(document)

    def name_responder(self, address: str) -> None:
        """Have the certificates that are issued from now on name this OCSP responder."""
        self.naming = replace(self.naming, ocsp=address)
        self._write_state()

    def crl(
        self,
        *,
        now: datetime | None = None,
        life: timedelta = CRL_LIFE,
        issuer: Issuer | None = Issuer.PERSONNES,
    ) -> bytes:
        """Return a signed list (DER) made at `now` and valid for `life`.

        `issuer=None` is the root's own list; IMPOSTOR signs the intermediate's with another key.
        """
        start = (now or datetime.now(UTC)).replace(microsecond=0)
        signer = self.root if issuer is None else self._signer(issuer)
        self._crl_number += 1
        revoked = {} if issuer is None else self.revoked
        builder = revocation_list(
            signer.certificate, revoked, self._crl_number, start, start + life
        )
        signed = builder.sign(signer.key, hashes.SHA256())
        self._write_state()
        return signed.public_bytes(serialization.Encoding.DER)

    def write_crls(self, *, now: datetime | None = None, life: timedelta = CRL_LIFE) -> None:
        """Write the lists of both authorities under the names that their addresses end with."""
        self.crls.mkdir(parents=True, exist_ok=True)
        lists = ((self.naming.crl, Issuer.PERSONNES), (self.naming.root_crl, None))
        for address, issuer in lists:
            content = self.crl(now=now, life=life, issuer=issuer)
            (self.crls / address.rpartition("/")[2]).write_bytes(content)

    def _write(self) -> None:
        for name, file in _CERTIFICATE_FILES.items():
            one: Authority = getattr(self, name if name in _PUBLIC else f"_{name}")
            _write_pem(self.folder / file, one.certificate.public_bytes(_PEM), 0o644)
            _write_pem(self.folder / "private" / f"{name}.pem", _pkcs8(one.key, _PEM), 0o600)
        self._write_state()

    def _write_state(self) -> None:
        document: dict[str, Any] = {
            "format": FORMAT,
            "created": self.created.isoformat(),
            "naming": self.naming.to_json(),
            "revoked": {str(serial): when.isoformat() for serial, when in self.revoked.items()},
            "crl_number": self._crl_number,
        }
        # In one step: a responder may be reading it.
        fresh = self.folder / "pki.json.new"
        fresh.write_text(json.dumps(document, indent=1) + "\n")
        fresh.replace(self.folder / "pki.json")


_PEM = serialization.Encoding.PEM
_PUBLIC = ("root", "intermediate")
_CERTIFICATE_FILES = {
    "root": ROOT_FILE,
    "intermediate": INTERMEDIATE_FILE,
    "impostor": "private/impostor-certificate.pem",
    "stranger": "private/stranger-certificate.pem",
}


def _revoked(document: dict[str, Any]) -> dict[int, datetime]:
    return {
        int(serial): datetime.fromisoformat(when) for serial, when in document["revoked"].items()
    }


def _authorities(names: Naming, now: datetime) -> dict[str, Authority]:
    """Make the authorities. They began 5 years ago, so that cards may have expired since."""
    validity = (now - 5 * YEAR, now + 15 * YEAR)
    root = _authority(names, names.root, None, validity)
    return {
        "root": root,
        "intermediate": _authority(names, names.intermediate, root, validity),
        "impostor": _authority(names, names.intermediate, None, validity, CARD_BITS),
        "stranger": _authority(names, "AC DE PERSONNE", None, validity, CARD_BITS),
    }


def _authority(
    names: Naming,
    common_name: str,
    issuer: Authority | None,
    validity: tuple[datetime, datetime],
    bits: int = AUTHORITY_BITS,
) -> Authority:
    key = rsa.generate_private_key(EXPONENT, bits)
    builder = authority(
        authority_name(names, common_name),
        key.public_key(),
        issuer.certificate if issuer else None,
        names,
        validity,
    )
    return Authority(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def _card_key(pkcs8: bytes | None) -> rsa.RSAPrivateKey:
    if pkcs8 is None:
        return rsa.generate_private_key(EXPONENT, CARD_BITS)
    return _rsa(serialization.load_der_private_key(pkcs8, None))


def _rsa(key: object) -> rsa.RSAPrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("an RSA key was expected")  # noqa: TRY004 - what the file says is wrong
    return key


def _pkcs8(
    key: rsa.RSAPrivateKey, encoding: serialization.Encoding = serialization.Encoding.DER
) -> bytes:
    return key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_pem(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode)
    path.write_bytes(content)


def _read(folder: Path, name: str) -> Authority:
    certificate = x509.load_pem_x509_certificate((folder / _CERTIFICATE_FILES[name]).read_bytes())
    pem = (folder / "private" / f"{name}.pem").read_bytes()
    return Authority(certificate, _rsa(serialization.load_pem_private_key(pem, None)))
