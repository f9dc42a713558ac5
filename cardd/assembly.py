"""Opens or creates a key service as the configuration says: masters, registry, audit, signer."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from cardd.clock import Clock, SystemClock
from cardd.config import Config
from cardd.cps.trust import TrustStore
from cardd.errors import StartCode, StartError
from cardd.files import open_regular
from cardd.kms.audit.recording import open_audit
from cardd.kms.badge_keys import KeySource
from cardd.kms.challenges import Challenges
from cardd.kms.core import Core
from cardd.kms.handles import Handles
from cardd.kms.masters import keystore, soft_keys
from cardd.kms.masters.slots import CredentialFile, Passphrase, Slot
from cardd.kms.masters.soft import SoftMasters
from cardd.kms.notices import Notices
from cardd.kms.ports import Client, KeyService, Purpose, Right
from cardd.kms.service import Kms
from cardd.kms.signer import EcdsaSigner
from cardd.secret import Secret
from cardd.store.opening import create_registry, open_registry
from cardd.store.sealing import MastersSealer

PASSPHRASE_BYTES = 1024

EMBEDDED_RIGHTS = frozenset(Right)
"""Inside cardd, the daemon's own access rules come before these."""


@contextmanager
def open_key_service(config: Config, clock: Clock | None = None) -> Iterator[KeyService]:
    """Open the embedded key service for this workstation; close what it holds at the end.

    Raises StartError as `open_kms`.
    """
    with open_kms(config, clock) as kms:
        yield kms.for_client(Client("embedded", config.site.device, EMBEDDED_RIGHTS))


@contextmanager
def open_kms(config: Config, clock: Clock | None = None) -> Iterator[Kms]:
    """Open the key service itself, for any number of clients; close what it holds at the end.

    Raises StartError (`keystore_*`, `registry_*`, `audit_*`), each with what to do.
    """
    clock = clock or SystemClock()
    masters = keystore.open_keystore(_keystore_path(config), _slot(config))
    with ExitStack() as stack:
        registry = stack.enter_context(
            closing(open_registry(config.kms.registry, MastersSealer(masters), _site(config)))
        )
        audit = stack.enter_context(open_audit(config.kms.audit, clock))
        core = Core(
            config=config,
            masters=masters,
            signer=_signer(masters),
            registry=registry,
            audit=audit,
            clock=clock,
            keys=KeySource(masters, config.badge),
            handles=Handles(),
            notices=Notices(),
            challenges=Challenges(),
            trust=TrustStore(config.trust, online=True),
        )
        yield Kms(core)


def create_key_service(config: Config, slot: Slot | None = None) -> None:
    """Create the keystore and the registry of a new key service; overwrite nothing.

    `slot` opens the keystore in future; without it, what the configuration names does.
    """
    path = _keystore_path(config)
    slot = slot or _slot(config)
    keystore.create(path, slot)
    try:
        masters = keystore.open_keystore(path, slot)
        create_registry(config.kms.registry, MastersSealer(masters), _site(config)).close()
    except BaseException:
        path.unlink()  # nothing is sealed with it yet
        raise


def public_keys(config: Config) -> dict[str, Any]:
    """Return the keys that verify assertions (RFC 7517), also while the service runs.

    Raises StartError (`keystore_*`).
    """
    return _signer(keystore.open_keystore(_keystore_path(config), _slot(config))).jwks()


def add_generation(config: Config, purposes: Sequence[Purpose]) -> int:
    """Give purposes a new master each, current from the key service's next start; return which.

    Raises StartError (`keystore_*`), Refused (`conflict`) where the keystore has no room.
    """
    return soft_keys.add_generation(_keystore_path(config), _slot(config), purposes)


def generations(config: Config) -> dict[Purpose, tuple[int, tuple[int, ...]]]:
    """Return each purpose's current generation, and all that it has. Errors as `public_keys`."""
    masters = keystore.open_keystore(_keystore_path(config), _slot(config))
    return {each: (masters.current(each), masters.generations(each)) for each in Purpose}


def _signer(masters: SoftMasters) -> EcdsaSigner:
    return EcdsaSigner(masters.assertion_key)


def _site(config: Config) -> bytes:
    """Return what stands for the values that a badge's keys depend on besides the masters."""
    identifier = bytes.fromhex(config.badge.system_identifier)
    return sha256(config.badge.aid_order.encode() + b"\0" + identifier).digest()


def _keystore_path(config: Config) -> Path:
    return Path(config.kms.masters.removeprefix("soft:"))


def _slot(config: Config) -> Slot:
    """Return what opens the keystore: a credential file, systemd's, or a passphrase file."""
    if config.kms.credential_file is not None:
        return CredentialFile(config.kms.credential_file)
    if config.kms.passphrase_file is not None:
        return Passphrase(Secret(_first_line(config.kms.passphrase_file)))
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials:
        return CredentialFile(Path(credentials) / "cardd-keystore")
    raise StartError(
        StartCode.KEYSTORE_PASSPHRASE,
        "nothing is configured that opens the keystore; set kms.credential_file or "
        "kms.passphrase_file, or give systemd the credential cardd-keystore",
    )


def _first_line(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise StartError(
                    StartCode.KEYSTORE_PERMISSIONS,
                    f"the passphrase file {path} is open to others: make it 0600, and consider the "
                    "passphrase known",
                )
            return file.readline(PASSPHRASE_BYTES).rstrip(b"\n")
    except OSError as error:
        raise StartError(
            StartCode.KEYSTORE_PASSPHRASE, f"the passphrase file {path} cannot be read: {error}"
        ) from error
