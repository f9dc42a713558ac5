"""The key that signs assertions, in a file that only the masters' backend opens."""

import os
from pathlib import Path

from cardd.errors import KmsUnavailable, StartCode, StartError
from cardd.files import publish, read_bounded
from cardd.kms.masters import keystore
from cardd.kms.ports import Masters
from cardd.kms.signer import EcdsaSigner

_CONTEXT = b"cardd assertion key v1"
_MAXIMUM_BYTES = 4096


def require_none(path: Path) -> None:
    """Raise StartError (`keystore_exists`) where there is such a file already."""
    if os.path.lexists(path):
        raise StartError(
            StartCode.KEYSTORE_EXISTS,
            f"there is already an assertion key at {path}; move it away by hand if a new one is "
            "meant: nobody who has the old public key would believe it",
        )


def create_sealed_key(path: Path, masters: Masters) -> None:
    """Make a key in a new file of mode 0600; StartError as `require_none`, or `keystore_*`."""
    key = keystore.new_secret("assertion")
    try:
        publish(path, masters.seal(key.reveal(), _CONTEXT))
    except FileExistsError:
        require_none(path)
    except OSError as error:
        raise _failure(path, error, "written") from error


def open_sealed_key(path: Path, masters: Masters) -> EcdsaSigner:
    """Open the file. Raises StartError: `keystore_not_found`, `keystore_damaged`, ..."""
    try:
        sealed = read_bounded(path, _MAXIMUM_BYTES)
    except OSError as error:
        raise _failure(path, error, "read") from error
    try:
        return EcdsaSigner(masters.open(sealed, _CONTEXT))
    except KmsUnavailable as error:
        raise StartError(
            StartCode.KEYSTORE_DAMAGED, f"the assertion key {path} does not open: {error}"
        ) from error


def _failure(path: Path, error: OSError, done: str) -> StartError:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return StartError(
        StartCode.KEYSTORE_NOT_FOUND if missing else StartCode.KEYSTORE_UNAVAILABLE,
        f"the assertion key {path} cannot be {done}: {error.strerror}; check kms.assertion_key",
    )
