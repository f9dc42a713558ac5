"""From the configuration's `kms.masters` to masters: in a keystore, in a token, on a server.

The backends' packages are loaded here, when they are asked for: cardd runs without them.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cardd.config import Kms
from cardd.errors import KmsUnavailable, Refused, StartCode, StartError
from cardd.kms.masters import keystore, sealed_key, soft_keys
from cardd.kms.masters.configured import keystore_slot, token_pin
from cardd.kms.masters.held import HeldMasterKeys, HeldMasters, KeyHolder, create_masters
from cardd.kms.masters.names import Names
from cardd.kms.masters.outage import CredentialsRefused
from cardd.kms.masters.slots import Slot
from cardd.kms.ports import AssertionSigner, MasterKeys, Masters, Purpose
from cardd.kms.signer import EcdsaSigner

_SOFT = "soft:"
_PKCS11 = "pkcs11:"
_SEALED = "sealed:"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a key service needs of its backend."""

    masters: Masters
    signer: AssertionSigner


@contextmanager
def open_keys(kms: Kms) -> Iterator[Keys]:
    """Open the masters and the assertion key; let go of them at the end.

    Raises StartError: `keystore_*`, `masters_*`, `config_invalid`, `backend_not_installed`.
    """
    with ExitStack() as stack:
        if kms.masters.startswith(_SOFT):
            soft = keystore.open_keystore(_path(kms.masters), keystore_slot(kms))
            keys = Keys(soft, _sealed(kms, soft) or EcdsaSigner(soft.assertion_key))
        else:
            keys = stack.enter_context(_open_held(kms))
        yield keys


@contextmanager
def open_master_keys(kms: Kms, slot: Slot | None = None) -> Iterator[MasterKeys]:
    """Open the masters for a ceremony; `slot` opens a keystore that nothing configured opens.

    Raises StartError as `open_keys`.
    """
    if kms.masters.startswith(_SOFT):
        yield soft_keys.SoftMasterKeys(_path(kms.masters), slot or keystore_slot(kms))
    else:
        with _holder(kms, writable=True) as backend:
            yield HeldMasterKeys(backend.holder)


@contextmanager
def create_keys(kms: Kms, slot: Slot | None = None) -> Iterator[Masters]:
    """Make the masters and the assertion key; overwrite nothing. Undone where the block fails.

    Raises StartError as `open_keys`, `keystore_exists`, `masters_exist`; Refused (`not_supported`).
    """
    path = _sealed_path(kms)
    if path is not None:
        sealed_key.require_none(path)
    with ExitStack() as undo:
        masters = undo.enter_context(_created(kms, slot))
        if path is not None:
            sealed_key.create_sealed_key(path, masters)
        try:
            yield masters
        except BaseException:
            if path is not None:
                path.unlink()
            raise


def add_generation(kms: Kms, purposes: Sequence[Purpose]) -> int:
    """Give purposes a new random master each, of one generation, current from the next start on.

    Raises StartError as `open_keys`, Refused (`conflict`) where there is room for no more.
    """
    if kms.masters.startswith(_SOFT):
        return soft_keys.add_generation(_path(kms.masters), keystore_slot(kms), purposes)
    with open_master_keys(kms) as keys:
        generation = 1 + max(max(keys.states(each), default=0) for each in purposes)
        for each in purposes:
            keys.generate(each, generation)
        for each in purposes:
            keys.promote(each, generation)
    return generation


@dataclass(frozen=True, slots=True)
class _Backend:
    holder: KeyHolder
    signer: AssertionSigner | None = None


@contextmanager
def _open_held(kms: Kms) -> Iterator[Keys]:
    with _holder(kms, sign=_sealed_path(kms) is None) as backend:
        with _starting():
            masters = HeldMasters(backend.holder)
            signer = _sealed(kms, masters) or backend.signer
        if signer is None:
            raise StartError(
                StartCode.CONFIG_INVALID,
                f"{kms.masters} cannot sign assertions; set kms.assertion_key to sealed:/PATH",
            )
        yield Keys(masters, signer)


@contextmanager
def _created(kms: Kms, slot: Slot | None) -> Iterator[Masters]:
    if kms.masters.startswith(_SOFT):
        path, slot = _path(kms.masters), slot or keystore_slot(kms)
        keystore.create(path, slot)
        try:
            yield keystore.open_keystore(path, slot)
        except BaseException:
            path.unlink()  # nothing is sealed with it yet
            raise
        return
    with _holder(kms, writable=True, create=_sealed_path(kms) is None) as backend:
        with _starting():
            made = create_masters(HeldMasterKeys(backend.holder))
            masters = HeldMasters(backend.holder)
        try:
            yield masters
        except BaseException:
            for name in made:
                with suppress(KmsUnavailable, Refused):
                    backend.holder.destroy(name)
            raise


@contextmanager
def _holder(
    kms: Kms, *, writable: bool = False, sign: bool = False, create: bool = False
) -> Iterator[_Backend]:
    opened = (
        _token(kms, writable=writable, sign=sign, create=create)
        if kms.masters.startswith(_PKCS11)
        else _server(kms)
    )
    with opened as backend:
        yield backend


@contextmanager
def _token(kms: Kms, *, writable: bool, sign: bool, create: bool) -> Iterator[_Backend]:
    try:
        from cardd.kms.masters import (  # noqa: PLC0415 - where python-pkcs11 is installed
            pkcs11,
            pkcs11_signer,
            pkcs11_token,
            pkcs11_uri,
        )
    except ImportError as error:
        raise _not_installed("pkcs11", error) from error
    uri = pkcs11_uri.parse(kms.masters)
    names = Names(uri.prefix)
    with _starting():
        token = pkcs11_token.OpenToken(uri, token_pin(kms), writable=writable)
    with closing(token):
        with _starting():
            if create:
                pkcs11_signer.create_assertion_key(token, names)
            signer = pkcs11_signer.TokenSigner(token, names) if sign else None
        yield _Backend(pkcs11.Pkcs11Keys(token, names), signer)


@contextmanager
def _server(kms: Kms) -> Iterator[_Backend]:
    try:
        from cardd.kms.masters import kmip, kmip_link  # noqa: PLC0415 - where PyKMIP is installed
    except ImportError as error:
        raise _not_installed("kmip", error) from error
    server = kmip_link.parse(kms.masters)
    if kms.kmip is None:
        raise StartError(
            StartCode.CONFIG_INVALID, f"{kms.masters} needs [kms.kmip]: who we are to the server"
        )
    identity = kmip_link.Identity(kms.kmip.certificate, kms.kmip.key, kms.kmip.authority)
    with closing(kmip_link.KmipLink(server, identity)) as link:
        yield _Backend(kmip.KmipKeys(link, Names(server.prefix)))


@contextmanager
def _starting() -> Iterator[None]:
    """Say as a StartError that a backend does not answer inside the block."""
    try:
        yield
    except CredentialsRefused as error:
        raise StartError(StartCode.MASTERS_CREDENTIALS, str(error)) from error
    except KmsUnavailable as error:
        raise StartError(StartCode.MASTERS_UNAVAILABLE, str(error)) from error


def _sealed(kms: Kms, masters: Masters) -> EcdsaSigner | None:
    path = _sealed_path(kms)
    return None if path is None else sealed_key.open_sealed_key(path, masters)


def _sealed_path(kms: Kms) -> Path | None:
    if not kms.assertion_key.startswith(_SEALED):
        return None
    return Path(kms.assertion_key.removeprefix(_SEALED))


def _path(masters: str) -> Path:
    return Path(masters.removeprefix(_SOFT))


def _not_installed(extra: str, error: ImportError) -> StartError:
    return StartError(
        StartCode.BACKEND_NOT_INSTALLED,
        f"kms.masters is {extra}:, and what that needs is not installed: pip install "
        f"cardd[{extra}] ({error})",
    )
