"""Which token, of which module, and how its keys are called: a PKCS #11 URI (RFC 7512)."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from cardd.errors import StartCode, StartError

_SCHEME = "pkcs11:"
_DEFAULT_PREFIX = "cardd"
_OF_TOKENS = frozenset({"token", "serial", "model", "manufacturer"})
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class TokenUri:
    """A parsed URI. `identity` has the token's attributes as RFC 7512, 2.3 names them."""

    module: Path
    identity: dict[str, str]
    prefix: str

    def __str__(self) -> str:
        return " ".join(f"{name} {value!r}" for name, value in sorted(self.identity.items()))


def parse(text: str) -> TokenUri:
    """Parse `pkcs11:token=LABEL;object=PREFIX?module-path=/FILE`.

    `serial`, `model` and `manufacturer` may name the token too; `object` is what the names of all
    keys begin with (default: cardd). Raises StartError (`config_invalid`) for anything else: an
    attribute that would be ignored might be the one that was meant. A PIN is never taken from it.
    """
    path, _, query = text.removeprefix(_SCHEME).partition("?")
    of_path, of_query = _attributes(path, ";"), _attributes(query, "&")
    if {"pin-value", "pin-source"} & (of_path.keys() | of_query.keys()):
        raise _refused("it holds a PIN or says where one is; set kms.pin_file instead")
    module, prefix = of_query.pop("module-path", ""), of_path.pop("object", _DEFAULT_PREFIX)
    unknown = sorted(of_query.keys() | (of_path.keys() - _OF_TOKENS))
    if unknown:
        raise _refused(f"the attribute {unknown[0]!r} means nothing here")
    if not {"token", "serial"} & of_path.keys():
        raise _refused("it names no token: give token= or serial=")
    if not module.startswith("/"):
        raise _refused("it names no module: give ?module-path= with an absolute path")
    if not _PREFIX.fullmatch(prefix):
        raise _refused("object= is what the names of the keys begin with: letters, digits, . _ -")
    return TokenUri(Path(module), of_path, prefix)


def _attributes(text: str, separator: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        try:
            decoded = unquote_to_bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise _refused(f"the value of {name!r} is not UTF-8") from None
        if not equals or not name or not decoded or "\0" in decoded or name in found:
            raise _refused(f"{name!r} has no value, or has two")
        found[name] = decoded
    return found


def _refused(reason: str) -> StartError:
    return StartError(
        StartCode.CONFIG_INVALID,
        f"kms.masters is no PKCS #11 URI that can be used: {reason}; write "
        "pkcs11:token=LABEL?module-path=/usr/lib/...so (RFC 7512)",
    )
