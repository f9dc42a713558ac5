"""The credential file that opens the keystore: made once, for its owner alone."""

import os
from pathlib import Path

from cardd.errors import StartCode, StartError

CREDENTIAL_BYTES = 32


def make_folder(folder: Path) -> None:
    """Make a folder of mode 0700 where it is missing; StartError (`keystore_permissions`)."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            StartCode.KEYSTORE_PERMISSIONS, f"the folder {folder} cannot be made: {error.strerror}"
        ) from error


def make_credential(path: Path) -> bool:
    """Write a new credential file, 0600; return False where there is one already."""
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(CREDENTIAL_BYTES))
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        return False
    except OSError as error:
        raise StartError(
            StartCode.KEYSTORE_PERMISSIONS,
            f"the credential file {path} cannot be written: {error.strerror}",
        ) from error
    return True
