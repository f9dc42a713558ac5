"""The way to a key service of its own: its addresses, its clients, and the certificates of both."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from msgspec import Meta

from cardd.section import Section

EMBEDDED = ("embedded:",)

KmsRight = Literal[
    "tap",
    "prepare",
    "encode",
    "encode-factory",
    "rekey",
    "wipe",
    "inspect",
    "people",
    "revoke",
    "cps",
]
Fingerprint = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}\Z")]
Address = Annotated[
    str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253}):\d{1,5}\Z")
]

_URL = re.compile(
    r"unix:(?P<path>/[^\0]+)"
    r"|https://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(:(?P<port>\d{1,5}))?/?"
)
_DEFAULT_PORT = 8443

Refuse = Callable[[str], NoReturn]


class Tls(Section, frozen=True, kw_only=True):
    """The certificate of this end of a connection, its key, and who certifies the other end.

    PEM files. The key service reads them again on SIGHUP.
    """

    certificate: Path
    key: Path
    authority: Path


class KmipIdentity(Section, frozen=True, kw_only=True):
    """Who the key service is to a KMIP server, and who certifies that server. PEM files."""

    certificate: Path
    key: Path
    authority: Path


class Listen(Section, frozen=True, kw_only=True):
    """Where `cardd-kms serve` listens: a Unix socket always, `HOST:PORT` for the others."""

    socket: Path = Path("/run/cardd-kms/kms.sock")
    https: Address | None = None
    jwks: Address | None = None
    max_connections: Annotated[int, Meta(ge=8, le=65_536)] = 4096


class KmsClient(Section, frozen=True, kw_only=True):
    """A client of the key service: known by its certificate over TLS, by its user on the socket.

    `fingerprint` is the SHA-256 of the certificate in hexadecimal, which must name the client;
    two of them while a certificate is renewed. Without `device`, that is the name of the client
    for one with a certificate, and `site.device` for a user. Of `audiences`, "*" is any; no `aids`
    means that of [badge].
    """

    name: Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}\Z")]
    fingerprint: Fingerprint | tuple[Fingerprint, ...] | None = None
    user: str | None = None
    device: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    rights: tuple[KmsRight, ...]
    aids: tuple[Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{6}\Z")], ...] = ()
    audiences: tuple[str, ...] = ()
    badges_per_hour: Annotated[int, Meta(ge=1, le=100_000)] = 300

    @property
    def fingerprints(self) -> tuple[bytes, ...]:
        """The SHA-256 hashes of its certificates, 32 bytes each."""
        given = (self.fingerprint,) if isinstance(self.fingerprint, str) else self.fingerprint
        return tuple(bytes.fromhex(each.replace(":", "")) for each in given or ())


def unix_path(url: str) -> Path | None:
    """Return the socket that a `unix:` URL of a key service names; None for another URL."""
    match = _URL.fullmatch(url)
    return Path(match["path"]) if match and match["path"] else None


def https_address(url: str) -> tuple[str, int] | None:
    """Return the host and the port of an `https:` URL of a key service; None for another URL."""
    match = _URL.fullmatch(url)
    if not match or match["path"]:
        return None
    return match["host"].strip("[]"), int(match["port"] or _DEFAULT_PORT)


def host_and_port(address: str) -> tuple[str, int]:
    """Split an `Address`; port 0 lets the system choose one."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def check_urls(urls: tuple[str, ...], tls: Tls | None, refuse: Refuse) -> None:
    """Refuse what is no list of key services: the embedded one alone, or others."""
    if urls == EMBEDDED:
        return
    if not urls:
        refuse('kms.urls is empty; write ["embedded:"], or where the key service is')
    for url in urls:
        if url in EMBEDDED:
            refuse("kms.urls: embedded: stands alone; a workstation has one key service")
        address = https_address(url)
        if address is None and unix_path(url) is None:
            refuse(f"kms.urls: {url!r} is neither unix:/PATH nor https://HOST:PORT")
        if address is not None and not 0 < address[1] < 65_536:
            refuse(f"kms.urls: {url!r} names a port that there is not")
        if address is not None and tls is None:
            refuse(f"kms.urls: {url!r} needs [kms.tls], the certificate of this workstation")
    if len(set(urls)) != len(urls):
        refuse("kms.urls names the same key service twice")


def check_listen(listen: Listen, tls: Tls | None, refuse: Refuse) -> None:
    """Refuse addresses that cannot be listened at."""
    for name, address in (("https", listen.https), ("jwks", listen.jwks)):
        if address is None:
            continue
        if host_and_port(address)[1] > 65_535:
            refuse(f"kms.listen.{name}: {address!r} names a port that there is not")
        if tls is None:
            refuse(f"kms.listen.{name} needs [kms.tls], the certificate of the key service")


def check_clients(clients: tuple[KmsClient, ...], refuse: Refuse) -> None:
    """Refuse clients that cannot be told from each other, or be known at all."""
    seen: set[object] = set()
    for client in clients:
        if (client.user is None) == (client.fingerprint is None):
            refuse(f"kms.clients, {client.name}: give a fingerprint or a user, and not both")
        if client.fingerprint is not None and not client.fingerprints:
            refuse(f"kms.clients, {client.name}: the list of fingerprints is empty")
        for key in _keys(client):
            if key in seen:
                refuse(f"kms.clients, {client.name}: another client has its {key[0]}")
            seen.add(key)


def _keys(client: KmsClient) -> Iterator[tuple[str, object]]:
    yield "name", client.name
    if client.user is not None:
        yield "user", client.user
    for fingerprint in client.fingerprints:
        yield "fingerprint", fingerprint
