"""The address of a PostgreSQL registry: what it may say, and how it is reached safely.

postgresql://USER@HOST[:PORT][,HOST…]/DATABASE[?sslrootcert=FILE&…]
postgresql://USER@/DATABASE?host=/FOLDER/OF/THE/SOCKET
"""

import errno
import ipaddress
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cardd.errors import StartCode, StartError
from cardd.files import open_regular
from cardd.secret import Secret

SCHEME = "postgresql:"
PASSWORD_BYTES = 1024

_SECRETS = {"password", "passfile", "sslpassword"}
_TAKEN = {
    *("user", "host", "port", "dbname", "target_session_attrs"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl"),
}


@dataclass(frozen=True, slots=True)
class Address:
    """How to reach a database. `name` says in messages which one; no part of it is secret."""

    name: str
    parameters: dict[str, str]
    password_file: Path | None

    def password(self) -> Secret | None:
        """Read the password, which may have been renewed; raise OSError where it cannot be used."""
        if self.password_file is None:
            return None
        with open_regular(self.password_file) as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IRWXO:
                raise PermissionError(errno.EPERM, "it is open to everybody; make it 0600")
            line = file.read(PASSWORD_BYTES).partition(b"\n")[0]
        if not line.isascii() or not line or b"\0" in line:
            raise OSError(errno.EINVAL, "its first line is no password in ASCII")
        return Secret(line)


def parse(url: str, password_file: Path | None) -> Address:
    """Parse an address; raise StartError (`config_invalid`), which never quotes it."""
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except (psycopg.Error, UnicodeError):
        _refuse(
            "kms.registry is no address of PostgreSQL; write postgresql://USER@HOST/DATABASE, or "
            "postgresql://USER@/DATABASE?host=/run/postgresql"
        )
    if found.keys() & _SECRETS:
        _refuse(
            "kms.registry has a password in it, which is now known to whoever read this file: "
            "change it, and put the new one into kms.registry_password_file or the systemd "
            "credential cardd-registry-password"
        )
    if unknown := sorted(found.keys() - _TAKEN):
        _refuse(f"kms.registry has the parameter {unknown[0]}, which is not taken; take it out")
    for needed in ("host", "dbname"):
        if not found.get(needed):
            _refuse(f"kms.registry does not say the {needed}; write it out")
    _require_encryption(found)
    name = f"postgresql://{found['host']}/{found['dbname']}"
    return Address(name, _FIXED | found, password_file)


# Said rather than left to the environment. A standby is never read: it may not know of a
# revocation yet.
_FIXED = {
    "port": "5432",
    "target_session_attrs": "read-write",
    "gssencmode": "disable",
    "client_encoding": "utf8",
    "application_name": "cardd-kms",
}


def _require_encryption(parameters: dict[str, str]) -> None:
    """Refuse to send names and badges over a network to a server that nothing vouches for."""
    far = [host for host in parameters["host"].split(",") if not _is_here(host)]
    if not far:
        return
    if parameters.setdefault("sslmode", "verify-full") != "verify-full":
        _refuse(
            f"kms.registry reaches {far[0]} over the network with sslmode="
            f"{parameters['sslmode']}; only verify-full is taken there, with sslrootcert=FILE"
        )
    if "sslrootcert" not in parameters:
        _refuse(
            f"kms.registry reaches {far[0]} over the network; say with sslrootcert=FILE which "
            "authority its certificate comes from"
        )


def _is_here(host: str) -> bool:
    """Tell whether a host is a Unix socket's folder or this machine's loopback."""
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(reason: str) -> NoReturn:
    raise StartError(StartCode.CONFIG_INVALID, reason) from None
