"""A credential file: random bytes that open a keystore without a person."""

import os
import stat
from pathlib import Path

from cardd.errors import StartCode, StartError
from cardd.files import open_regular
from cardd.secret import Secret

CREDENTIAL_MINIMUM = 32
CREDENTIAL_MAXIMUM = 4096


def read_credential(path: Path) -> Secret:
    """Return what a credential file holds.

    Raises StartError: `keystore_not_found`, `keystore_permissions` (others may read it),
    `keystore_unavailable`, `keystore_passphrase` where it cannot be a credential.
    """
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            value = file.read(CREDENTIAL_MAXIMUM + 1)
    except OSError as error:
        raise _no_credential(path, error) from error
    # Group-readable passes: systemd grants its credentials by an ACL, whose mask shows there.
    if mode & 0o037:
        raise StartError(
            StartCode.KEYSTORE_PERMISSIONS,
            f"the credential file {path} is open to others (mode {mode:04o}): make it 0400",
        )
    if not CREDENTIAL_MINIMUM <= len(value) <= CREDENTIAL_MAXIMUM:
        raise StartError(
            StartCode.KEYSTORE_PASSPHRASE,
            f"{path} is no credential: it must be a file of {CREDENTIAL_MINIMUM} to "
            f"{CREDENTIAL_MAXIMUM} random bytes",
        )
    return Secret(value)


def _no_credential(path: Path, error: OSError) -> StartError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return StartError(
            StartCode.KEYSTORE_NOT_FOUND,
            f"there is no credential file at {path}; check kms.credential_file",
        )
    refused = isinstance(error, PermissionError)
    return StartError(
        StartCode.KEYSTORE_PERMISSIONS if refused else StartCode.KEYSTORE_UNAVAILABLE,
        f"the credential file {path} cannot be read: {error.strerror}",
    )
