"""Opens or creates a key service as the configuration says: masters, registry, audit, signer."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from typing import Any

from cardd.clock import Clock, SystemClock
from cardd.config import Config
from cardd.config_kms import EMBEDDED
from cardd.cps.trust import TrustStore
from cardd.kms import rollback
from cardd.kms.audit.checkpointing import Checkpointer
from cardd.kms.audit.recording import open_audit
from cardd.kms.audit.witnesses import open_witness
from cardd.kms.badge_keys import DiversifiedKeys, KeySource
from cardd.kms.challenges import Challenges
from cardd.kms.core import Core
from cardd.kms.handles import Handles
from cardd.kms.marks import Marker
from cardd.kms.masters import opening
from cardd.kms.masters.opening import Keys, create_keys, open_keys
from cardd.kms.masters.slots import Slot
from cardd.kms.notices import Notices
from cardd.kms.ports import Client, KeyService, Masters, Purpose, Registry, Right
from cardd.kms.remote import remote_key_service
from cardd.kms.service import Kms
from cardd.kms.stored_keys import StoredKeys
from cardd.store.opening import configured, create_registry, open_registry
from cardd.store.sealing import MastersSealer

EMBEDDED_RIGHTS = frozenset(Right)
"""Inside cardd, the daemon's own access rules come before these."""


@contextmanager
def open_key_service(config: Config, clock: Clock | None = None) -> Iterator[KeyService]:
    """Open the key service of this workstation, embedded or elsewhere; close it at the end.

    Raises StartError as `open_kms`, and `tls_unusable`.
    """
    if config.kms.urls != EMBEDDED:
        with remote_key_service(config.kms.urls, config.kms.tls) as remote:
            yield remote
        return
    with open_kms(config, clock) as kms:
        yield kms.for_client(Client("embedded", config.site.device, EMBEDDED_RIGHTS))


@contextmanager
def open_kms(config: Config, clock: Clock | None = None) -> Iterator[Kms]:
    """Open the key service itself, for any number of clients; close what it holds at the end.

    Raises StartError (`keystore_*`, `masters_*`, `registry_*`, `audit_*`), each with what to do.
    """
    clock = clock or SystemClock()
    with ExitStack() as stack:
        keys = stack.enter_context(open_keys(config.kms))
        masters = keys.masters
        registry = stack.enter_context(
            closing(open_registry(configured(config.kms), MastersSealer(masters), site_of(config)))
        )
        audit = stack.enter_context(open_audit(config.kms.audit, clock, config.kms.replica))
        marker = Marker(config.kms.replica, masters, registry, audit)
        rollback.require_current(marker)
        checkpoints = stack.enter_context(_checkpointing(config, keys, marker, clock))
        core = Core(
            config=config,
            masters=masters,
            signer=keys.signer,
            registry=registry,
            audit=audit,
            clock=clock,
            keys=_key_source(config, masters, registry),
            handles=Handles(),
            notices=Notices(),
            challenges=Challenges(),
            trust=TrustStore(config.trust, online=True),
            troubles=checkpoints.trouble,
        )
        stack.enter_context(registry.hearing(core.notices.ended, core.notices.resync))
        yield Kms(core)


def create_key_service(config: Config, slot: Slot | None = None) -> None:
    """Create the masters, the assertion key and the registry of a new key service.

    Nothing is overwritten. `slot` opens a keystore in future; without it, what the configuration
    names does.
    """
    with create_keys(config.kms, slot) as masters:
        create_registry(configured(config.kms), MastersSealer(masters), site_of(config)).close()


def public_keys(config: Config) -> dict[str, Any]:
    """Return the keys that verify assertions (RFC 7517), also while the service runs.

    Raises StartError (`keystore_*`, `masters_*`).
    """
    with open_keys(config.kms) as keys:
        return keys.signer.jwks()


def add_generation(config: Config, purposes: Sequence[Purpose]) -> int:
    """Give purposes a new master each, current from the key service's next start; return which.

    Raises StartError (`keystore_*`, `masters_*`), Refused (`conflict`) where there is no room.
    """
    return opening.add_generation(config.kms, purposes)


def generations(config: Config) -> dict[Purpose, tuple[int, tuple[int, ...]]]:
    """Return each purpose's current generation, and all that it has. Errors as `public_keys`."""
    with open_keys(config.kms) as keys:
        masters = keys.masters
        return {each: (masters.current(each), masters.generations(each)) for each in Purpose}


@contextmanager
def open_marker(config: Config, masters: Masters) -> Iterator[Marker]:
    """Open registry and audit to see whether an old copy was put back; also of the masters.

    Raises StartError (`registry_*`, `audit_*`), as while the key service runs.
    """
    with ExitStack() as stack:
        place, sealer = configured(config.kms), MastersSealer(masters)
        registry = stack.enter_context(closing(open_registry(place, sealer, site_of(config))))
        audit = stack.enter_context(open_audit(config.kms.audit, SystemClock(), config.kms.replica))
        yield Marker(config.kms.replica, masters, registry, audit)


@contextmanager
def _checkpointing(
    config: Config, keys: Keys, marker: Marker, clock: Clock
) -> Iterator[Checkpointer]:
    with (
        open_witness(config.kms, clock) as witness,
        Checkpointer(
            marker.audit,
            keys.signer,
            clock,
            witness=witness,
            every_lines=config.kms.audit_checkpoint_lines,
            every_s=config.kms.audit_checkpoint_s,
            prepare=marker.mark,
        ) as checkpointer,
    ):
        yield checkpointer


def _key_source(config: Config, masters: Masters, registry: Registry) -> KeySource:
    if config.badge.keys == "stored":
        return StoredKeys(masters, registry)
    return DiversifiedKeys(masters, config.badge)


def site_of(config: Config) -> bytes:
    """Return what stands for the values that a badge's keys depend on besides the masters."""
    if config.badge.keys == "stored":
        return sha256(b"stored").digest()
    identifier = bytes.fromhex(config.badge.system_identifier)
    return sha256(config.badge.aid_order.encode() + b"\0" + identifier).digest()
