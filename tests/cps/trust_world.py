"""What the tests of trust need: folders of their own, and lists and certificates gone wrong."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from cardd.config import ContactAuthentication, Trust
from cardd.cps.certificate import CpsCertificate
from cardd.cps.trust import TrustStore, Usage
from cardd.errors import Code, Refused
from simulators.pki import Issuer, Pki, Profile
from simulators.pki.revocation import revocation_list

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)

Changes = Callable[[x509.CertificateRevocationListBuilder], x509.CertificateRevocationListBuilder]


@dataclass
class TrustWorld:
    """A configuration with folders of its own, over the shared PKI."""

    pki: Pki
    settings: Trust

    def with_(self, **changes: Any) -> "TrustWorld":
        """Return the same world under other settings of `[trust]`."""
        return TrustWorld(self.pki, msgspec.structs.replace(self.settings, **changes))

    def matching(self, **changes: Any) -> "TrustWorld":
        """Return the same world under another matcher."""
        return self.with_(contact_authentication=ContactAuthentication(**changes))

    def check(
        self,
        certificate: bytes,
        *,
        usage: Usage = Usage.CONTACT_AUTHENTICATION,
        at: datetime = NOW,
        online: bool = False,
    ) -> CpsCertificate:
        """Check with a store that has read nothing yet."""
        return TrustStore(self.settings, online=online).check((certificate,), usage, at.timestamp())

    def refused(self, certificate: bytes, **how: Any) -> Refused:
        """Return the refusal."""
        with pytest.raises(Refused) as caught:
            self.check(certificate, **how)
        return caught.value

    def code(self, certificate: bytes, **how: Any) -> Code:
        """Return the code of the refusal."""
        return self.refused(certificate, **how).code

    def issue(self, **profile: Any) -> bytes:
        """Return a card's certificate."""
        return self.pki.issue(Profile(**profile), _key(self.pki)).certificate

    def put_crl(
        self,
        revoked: Iterable[int] = (),
        *,
        at: datetime = NOW,
        life: timedelta = 7 * DAY,
        changed: Changes = lambda builder: builder,
        of_root: bool = False,
        impostor: bool = False,
    ) -> Path:
        """Put a list of the intermediate (or of the root) in the place of the one there."""
        authority = self.pki.root if of_root else self.pki.intermediate
        signer = self.pki._signer(Issuer.IMPOSTOR) if impostor else authority
        serials: Mapping[int, datetime] = dict.fromkeys(revoked, NOW - DAY)
        builder = revocation_list(authority.certificate, serials, 7, at, at + life)
        signed = changed(builder).sign(signer.key, hashes.SHA256())
        file = self.settings.crls / ("root.crl" if of_root else "cards.crl")
        file.write_bytes(signed.public_bytes(Encoding.DER))
        return file

    def drop_crls(self) -> None:
        """Remove the list of the intermediate."""
        (self.settings.crls / "cards.crl").unlink()


_keys: dict[int, bytes] = {}


def _key(pki: Pki) -> bytes:
    """Return one key for all cards of a PKI: nothing here depends on whose it is."""
    if id(pki) not in _keys:
        _keys[id(pki)] = pki.issue(Profile()).key
    return _keys[id(pki)]


def trust_world(pki: Pki, folder: Path) -> TrustWorld:
    """Make a world in a folder, in which a test card of the PKI is believed."""
    for name, source in (("roots", pki.roots), ("intermediates", pki.intermediates)):
        shutil.copytree(source, folder / name)
    (folder / "crls").mkdir()
    settings = Trust(
        roots=folder / "roots",
        intermediates=folder / "intermediates",
        crls=folder / "crls",
        allow_test_cards=True,
    )
    world = TrustWorld(pki, settings)
    world.put_crl()
    world.put_crl(of_root=True)
    return world


def serial_of(certificate: bytes) -> int:
    """Return a certificate's serial number."""
    return x509.load_der_x509_certificate(certificate).serial_number
