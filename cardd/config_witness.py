"""Whose record an audit is, and who keeps its checkpoints elsewhere, in the configuration."""

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

from msgspec import Meta

ReplicaName = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}\Z")]

_FILE = "file:"
_SYSLOG = re.compile(
    r"syslog\+tls://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(:(?P<port>\d{1,5}))?/?"
)
_SYSLOG_PORT = 6514  # RFC 5425, 4.1


def own_name() -> str:
    """Return the name of this machine, as far as a replica can be called by it."""
    letters = re.sub(r"[^0-9A-Za-z._-]", "-", socket.gethostname())[:64].lstrip("._-")
    return letters or "kms"


def witness_file(url: str) -> Path | None:
    """Return the file that `file:/PATH` names; None for another witness."""
    path = url.removeprefix(_FILE)
    return Path(path) if path != url and path.startswith("/") and "\0" not in path else None


def syslog_address(url: str) -> tuple[str, int] | None:
    """Return the host and port of a syslog server; None for another witness."""
    match = _SYSLOG.fullmatch(url)
    if match is None:
        return None
    return match["host"].strip("[]"), int(match["port"] or _SYSLOG_PORT)


def check_witness(
    url: str | None, authority: Path | None, refuse: Callable[[str], NoReturn]
) -> None:
    """Refuse what names no witness, and a syslog server that nobody vouches for."""
    if url is None or witness_file(url) is not None:
        return
    address = syslog_address(url)
    if address is None:
        refuse(f"kms.audit_witness {url!r} is neither file:/PATH nor syslog+tls://HOST:PORT")
    if not 0 < address[1] < 65_536:
        refuse(f"kms.audit_witness {url!r} names a port that there is not")
    if authority is None:
        refuse(
            f"kms.audit_witness {url!r} needs kms.audit_witness_authority, the certificate of the "
            "authority that issued the server's"
        )
