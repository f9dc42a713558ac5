"""A keystore that a key in a PKCS #11 token opens.

The masters stay in the keystore: this binds the file to the token. The token is asked twice at
each opening, with its PIN, and then let go. What that needs is loaded when it is asked for.
"""

from types import ModuleType

from cardd.errors import StartCode, StartError
from cardd.kms.masters.pkcs11_uri import parse
from cardd.kms.masters.slots import TokenKey
from cardd.secret import Secret


def token_key(uri: str, pin: Secret) -> TokenKey:
    """Return the key that a token has for keystores; nothing is asked of the token yet.

    Its `mac` raises KmsUnavailable where there is no such key or no answer, StartError where the
    token is missing or refuses the PIN. Raises StartError: `config_invalid`,
    `backend_not_installed`.
    """
    backend, where = _backend(), parse(uri)
    name = f"{where.prefix}/keystore/1"

    def compute(message: bytes) -> bytes:
        mac: bytes = backend.mac(where, pin, name, message)
        return mac

    return TokenKey(name, compute)


def make_token_key(uri: str, pin: Secret) -> TokenKey:
    """Make the token's key for keystores where it has none yet; return it.

    Raises as `token_key` and its `mac`, and Refused (`not_supported`) where the token cannot.
    """
    key = token_key(uri, pin)
    _backend().make(parse(uri), pin, key.name)
    return key


def _backend() -> ModuleType:
    try:
        from cardd.kms.masters import pkcs11_keystore  # noqa: PLC0415 - the extra may be missing
    except ImportError as error:
        raise StartError(
            StartCode.BACKEND_NOT_INSTALLED,
            "a token is to open the keystore, and what that needs is not installed: "
            f"pip install cardd[pkcs11] ({error})",
        ) from error
    return pkcs11_keystore
