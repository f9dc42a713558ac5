"""The clients of the key service: who is at the other end of a connection, and what it may do."""

import hashlib
import pwd
import ssl
import time
from asyncio import BaseTransport
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cardd.api.access import resolve
from cardd.api.peers import Caller, Peer, nameless_uids
from cardd.config import Config
from cardd.config_kms import KmsClient
from cardd.errors import StartCode, StartError
from cardd.kms.ports import Client, Right

ANY_AUDIENCE = "*"


@dataclass(frozen=True, slots=True)
class Certified:
    """Somebody who proved the key of a certificate. `names` are its common and DNS names."""

    fingerprint: bytes
    names: frozenset[str]
    expires_at: float

    @property
    def account(self) -> str:
        """Whose connections are counted together: the certificate's, SHA-256 in hexadecimal."""
        return self.fingerprint.hex()


@dataclass(frozen=True, slots=True)
class Anybody:
    """Somebody at an address, who proved nothing."""

    address: str

    @property
    def account(self) -> str:
        """Whose connections are counted together: the address's."""
        return self.address


class Stranger(Exception):
    """Nobody whom the configuration names; the message says why."""


def certified(transport: BaseTransport) -> Certified:
    """Read the certificate of a TLS connection, which its authority has vouched for; OSError."""
    tls = transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True)
    parsed: dict[str, Any] = tls.getpeercert()
    if not der or not parsed:
        raise OSError("a TLS connection without a client certificate")
    return Certified(
        hashlib.sha256(der).digest(),
        frozenset(_names(parsed)),
        ssl.cert_time_to_seconds(parsed["notAfter"]),
    )


def anybody(transport: BaseTransport) -> Anybody:
    """Read the address of a connection."""
    peer = transport.get_extra_info("peername")
    if not peer:
        raise OSError("a connection that ended at once")
    return Anybody(str(peer[0]))


def _names(certificate: Mapping[str, Any]) -> Iterable[str]:
    for relative in certificate.get("subject", ()):
        yield from (value for kind, value in relative if kind == "commonName")
    yield from (value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")


class ClientTable:
    """The clients by user and by certificate, as one reading of the configuration has them."""

    def __init__(
        self,
        entries: dict[str, KmsClient],
        by_uid: dict[int, Client],
        by_fingerprint: dict[bytes, Client],
    ) -> None:
        self.entries = entries
        self._by_uid = by_uid
        self._by_fingerprint = by_fingerprint
        self._nameless = nameless_uids()

    @classmethod
    def resolve(cls, config: Config) -> "ClientTable":
        """Look up every user; raise StartError (`config_invalid`) for one that nobody bears."""
        by_uid: dict[int, Client] = {}
        by_fingerprint: dict[bytes, Client] = {}
        for entry in config.kms.clients:
            where = f"kms.clients, {entry.name}"
            client = _client(entry, config.site.device)
            if entry.user is not None:
                uid = resolve(entry.user, lambda name: pwd.getpwnam(name).pw_uid, where, "user")
                if uid in by_uid or uid in nameless_uids():
                    raise StartError(
                        StartCode.CONFIG_INVALID,
                        f"{where}: the user {entry.user!r} is nobody's, or another client's",
                    )
                by_uid[uid] = client
            by_fingerprint |= dict.fromkeys(entry.fingerprints, client)
        return cls({entry.name: entry for entry in config.kms.clients}, by_uid, by_fingerprint)

    def changes(self, former: "ClientTable") -> list[tuple[str, str]]:
        """Return the names of those added, changed or revoked since a former table, and which."""
        before, after = former.entries, self.entries
        return [
            *((name, "added") for name in after if name not in before),
            *((name, "revoked") for name in before if name not in after),
            *((name, "changed") for name in after if before.get(name, after[name]) != after[name]),
        ]

    def find(self, caller: Caller) -> Client:
        """Return the client that a caller is now; raise Stranger where it is none."""
        match caller:
            case Peer(uid=uid):
                client = None if uid in self._nameless else self._by_uid.get(uid)
            case Certified(fingerprint=fingerprint):
                client = self._by_fingerprint.get(fingerprint)
            case _:
                client = None
        if client is None:
            raise Stranger("no [[kms.clients]] of the key service names who asks")
        if isinstance(caller, Certified):
            _require_certificate(caller, client)
        return client


def _require_certificate(caller: Certified, client: Client) -> None:
    """Look at what may have changed since the connection began, or was mistaken in the list."""
    if client.name not in caller.names:
        raise Stranger(f"the certificate listed for {client.name} does not bear that name")
    if caller.expires_at <= time.time():
        raise Stranger(f"the certificate of {client.name} has expired; renew it, and reconnect")


def _client(entry: KmsClient, device: str) -> Client:
    of_socket = entry.user is not None
    any_audience = ANY_AUDIENCE in entry.audiences
    return Client(
        name=entry.name,
        device=entry.device or (device if of_socket else entry.name),
        rights=frozenset(map(Right, entry.rights)),
        audiences=None if any_audience else frozenset(entry.audiences),
        aids=frozenset(aid.upper() for aid in entry.aids) or None,
        badges_per_hour=entry.badges_per_hour,
    )
