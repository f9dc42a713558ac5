"""What opens the masters, from where the configuration says: never from itself."""

import os
import stat
from pathlib import Path

from cardd.config import Kms
from cardd.errors import StartCode, StartError
from cardd.files import open_regular
from cardd.kms.masters import keystore_token
from cardd.kms.masters.slots import CredentialFile, Passphrase, Slot
from cardd.secret import Secret

LINE_BYTES = 1024
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


def keystore_slot(kms: Kms) -> Slot:
    """Return what opens the keystore: a file, a token, or systemd's credential.

    Raises StartError: `keystore_passphrase`, `keystore_permissions`, `masters_credentials`,
    `config_invalid` and `backend_not_installed` for the token.
    """
    if kms.credential_file is not None:
        return CredentialFile(kms.credential_file)
    if kms.passphrase_file is not None:
        code = StartCode.KEYSTORE_PASSPHRASE
        return Passphrase(_first_line(kms.passphrase_file, "passphrase file", code))
    if kms.keystore_token is not None:
        return keystore_token.token_key(kms.keystore_token, token_pin(kms))
    given = _given_by_systemd("cardd-keystore")
    if given is not None:
        return CredentialFile(given)
    raise StartError(
        StartCode.KEYSTORE_PASSPHRASE,
        "nothing is configured that opens the keystore; set kms.credential_file, "
        "kms.passphrase_file or kms.keystore_token, or give systemd the credential cardd-keystore",
    )


def token_pin(kms: Kms) -> Secret:
    """Return the PIN of the token: the first line of a file, or of systemd's credential.

    Raises StartError (`masters_credentials`, `keystore_permissions`).
    """
    path = kms.pin_file or _given_by_systemd("cardd-pin")
    if path is None:
        raise StartError(
            StartCode.MASTERS_CREDENTIALS,
            "nothing is configured that has the token's PIN; set kms.pin_file, or give systemd the "
            "credential cardd-pin",
        )
    pin = _first_line(path, "PIN file", StartCode.MASTERS_CREDENTIALS)
    try:
        usable = bool(pin.reveal().decode("utf-8"))
    except UnicodeDecodeError:
        usable = False
    if not usable:
        raise StartError(
            StartCode.MASTERS_CREDENTIALS, f"the PIN file {path} has no PIN on its first line"
        )
    return pin


def _given_by_systemd(name: str) -> Path | None:
    folder = os.environ.get(_CREDENTIALS)
    return Path(folder) / name if folder else None


def _first_line(path: Path, what: str, code: StartCode) -> Secret:
    # systemd grants its credentials by an ACL, whose mask shows as a right of the group.
    forbidden = 0o037 if str(path.parent) == os.environ.get(_CREDENTIALS) else 0o077
    try:
        with open_regular(path) as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & forbidden:
                raise StartError(
                    StartCode.KEYSTORE_PERMISSIONS,
                    f"the {what} {path} is open to others: make it 0600, and consider what is in "
                    "it known",
                )
            return Secret(file.readline(LINE_BYTES).rstrip(b"\r\n"))
    except OSError as error:
        raise StartError(code, f"the {what} {path} cannot be read: {error.strerror}") from error
