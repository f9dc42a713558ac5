"""The configuration: one TOML file, parsed into frozen structs, refused with a reason.

Every key is a field here and its docstring says what it means; an unknown key is an error.
"""

import re
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta, field

from cardd.config_kms import (
    EMBEDDED,
    KmipIdentity,
    KmsClient,
    Listen,
    Tls,
    check_clients,
    check_listen,
    check_urls,
)
from cardd.config_witness import ReplicaName, check_witness, own_name
from cardd.errors import StartCode, StartError
from cardd.section import Section

RULE_1 = (
    "rule 1 (ANS, DESFire in contactless mode): one symmetric key common to all badges and "
    "terminals is forbidden; each badge carries its own key"
)

Seconds = Annotated[float, Meta(gt=0, le=7 * 86400)]
ObjectIdentifier = Annotated[str, Meta(pattern=r"^[012](\.(0|[1-9]\d{0,30})){1,30}\Z")]
PublicPoint = Annotated[str, Meta(pattern=r"^04[0-9A-Fa-f]{112}\Z")]
# Plain http: what is fetched is signed.
HttpUrl = Annotated[str, Meta(pattern=r"^http://[^\s/?#@]+(/[!-~]*)?\Z", max_length=512)]
Right = Literal["observe", "authenticate", "last-try", "enrol", "attest", "guard", "admin"]


class Site(Section, frozen=True, kw_only=True):
    """Who the establishment is to relying parties."""

    issuer: Annotated[str, Meta(min_length=1)] = "urn:cardd:site"
    device: Annotated[str, Meta(min_length=1)] = field(default_factory=socket.gethostname)


class Sockets(Section, frozen=True, kw_only=True):
    """Where clients connect."""

    path: Path = Path("/run/cardd/cardd.sock")
    admin: Path = Path("/run/cardd/admin.sock")


class VirtualReader(Section, frozen=True, kw_only=True):
    """A built-in reader: the reader end of the vpcd wire, `unix:PATH` or `tcp:127.0.0.1:PORT`.

    With `pinpad` it takes PINs by keys of its own, at `PATH.keys`; it then needs `unix:PATH`.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    listen: Annotated[
        str, Meta(pattern=r"^(unix:/.+|tcp:(127\.0\.0\.1|\[::1\]|localhost):\d{1,5})\Z")
    ]
    pinpad: bool = False


class Readers(Section, frozen=True, kw_only=True):
    """The card readers."""

    pcsc: bool = True
    virtual: tuple[VirtualReader, ...] = ()
    debounce_ms: Annotated[int, Meta(ge=0, le=10_000)] = 500
    answer_timeout_s: Seconds = 3.0


class BadgeSettings(Section, frozen=True, kw_only=True):
    """What is written on a badge. `aid` as people print it; both are 3 and 6 to 18 bytes in hex.

    With `keys` `stored` each badge has random keys in the registry, and there need be no system
    identifier. `originality_test_keys` are public keys (secp224r1, uncompressed, in hex) that sign
    the UIDs of virtual cards; a card that is not NXP's passes for one with them, so it needs
    `development`.
    """

    keys: Literal["diversified", "stored"] = "diversified"
    aid: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{6}\Z")] = "F5CA4D"
    system_identifier: Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}){6,18}\Z")] = ""
    aid_order: Literal["printed", "wire"] = "printed"
    minimum_scheme: Literal["ev1-aes", "ev2-aes"] = "ev1-aes"
    originality_test_keys: tuple[PublicPoint, ...] = ()
    lifetime_days: Annotated[int, Meta(ge=1, le=1096)] = 1095


class Enrolment(Section, frozen=True, kw_only=True):
    """How badges are encoded: from factory-fresh blanks, or from blanks with a transport key.

    `max_badges` is how many a holder may have that are not revoked.
    """

    blanks: Literal["factory", "transport"] = "factory"
    max_badges: Annotated[int, Meta(ge=1, le=10)] = 1


class Kms(Section, frozen=True, kw_only=True):
    """The key management service: where a workstation finds it, and where its own things are.

    `replica` is the name of this one of the key services that share a registry. A witness is
    `file:/PATH`, on another disk, or `syslog+tls://HOST:PORT`, whose certificate the authority
    issued for that host.
    """

    urls: tuple[str, ...] = EMBEDDED
    tls: Tls | None = None
    listen: Listen = Listen()
    clients: tuple[KmsClient, ...] = ()
    masters: Annotated[str, Meta(pattern=r"^(soft:/|pkcs11:|kmip://).+\Z")] = (
        "soft:/var/lib/cardd/keystore.json"
    )
    credential_file: Path | None = None
    passphrase_file: Path | None = None
    keystore_token: Annotated[str, Meta(pattern=r"^pkcs11:.+\Z")] | None = None
    pin_file: Path | None = None
    kmip: KmipIdentity | None = None
    assertion_key: Annotated[str, Meta(pattern=r"^(masters|sealed:/.+)\Z")] = "masters"
    registry: Annotated[str, Meta(pattern=r"^(sqlite:/|postgresql://).+\Z")] = (
        "sqlite:/var/lib/cardd/registry.db"
    )
    registry_password_file: Path | None = None
    replica: ReplicaName = field(default_factory=own_name)
    audit: Path = Path("/var/lib/cardd/audit.jsonl")
    ceremonies: Path | None = None
    audit_checkpoint_lines: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    audit_checkpoint_s: Seconds = 300.0
    audit_witness: str | None = None
    audit_witness_authority: Path | None = None


class ContactAuthentication(Section, frozen=True, kw_only=True):
    """Which certificate proves a contact card whose PIN was given. All of it must hold.

    The card number extension, and digitalSignature where there is a key usage, are always asked
    for. `policies` are alternatives, and none means that any will do: those of IGC-Santé's
    authentication certificates are not confirmed.
    """

    issuers: tuple[str, ...] = (
        "AC IGC-SANTE FORT PERSONNES",
        "TEST AC IGC-SANTE FORT PERSONNES",
    )
    extended_key_usages: tuple[ObjectIdentifier, ...] = (
        "1.3.6.1.5.5.7.3.2",
        "1.3.6.1.4.1.311.20.2.2",
    )
    policies: tuple[ObjectIdentifier, ...] = ()
    categories: tuple[Annotated[int, Meta(ge=0, le=255)], ...] = (0x00, 0x80)
    types: tuple[Literal["cps", "cpf", "cpe", "cpa"], ...] = ("cps", "cpf", "cpe", "cpa")


class Trust(Section, frozen=True, kw_only=True):
    """Which CPS are believed: the authorities, revocation, and what a certificate must be.

    `crl_urls` are where `cardctl trust update` finds the CRLs of the issuers, besides those that
    the authorities' own certificates name. `ocsp_responders` are the only ones that the key
    service asks, and only for certificates that name them; `ocsp_timeout_s` leaves time for the
    rest within the 5 s after which the reader of a card that is logging in counts as stuck.
    """

    roots: Path = Path("/etc/cardd/trust/roots")
    intermediates: Path = Path("/etc/cardd/trust/intermediates")
    crls: Path = Path("/var/lib/cardd/crls")
    crl_urls: tuple[HttpUrl, ...] = ()
    revocation: Literal["require", "prefer", "off"] = "require"
    ocsp_responders: tuple[HttpUrl, ...] = ()
    ocsp_timeout_s: Annotated[float, Meta(gt=0, le=4)] = 3.0
    clock_skew_s: Annotated[int, Meta(ge=0, le=3600)] = 60
    allow_test_cards: bool = False
    allow_contactless: bool = False
    contact_authentication: ContactAuthentication = ContactAuthentication()


class PresenceSettings(Section, frozen=True, kw_only=True):
    """How long a presence lives; one of a contact card by default until the card is taken out."""

    idle_s: Seconds = 30 * 60.0
    maximum_s: Seconds = 4 * 3600.0
    contact_removal: Literal["end", "keep"] = "end"


class Grant(Section, frozen=True, kw_only=True):
    """What one Unix user or group may do. `audiences` are those of `authenticate`; "*" is any."""

    user: str | None = None
    group: str | None = None
    rights: tuple[Right, ...]
    audiences: tuple[str, ...] = ()


class Access(Section, frozen=True, kw_only=True):
    """Who may do what on the sockets."""

    grants: tuple[Grant, ...] = ()


class Logs(Section, frozen=True, kw_only=True):
    """How much is logged, and in which form (`auto`: readable on a terminal, else JSON)."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    development: bool = False
    site: Site = Site()
    sockets: Sockets = Sockets()
    readers: Readers = Readers()
    badge: BadgeSettings
    enrolment: Enrolment = Enrolment()
    kms: Kms = Kms()
    trust: Trust = Trust()
    presence: PresenceSettings = PresenceSettings()
    access: Access = Access()
    logs: Logs = Logs()


def load(path: Path) -> Config:
    """Read a configuration file; raise StartError (`config_*`) naming the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StartError(
            StartCode.CONFIG_NOT_FOUND,
            f"no configuration at {path}; write one (docs/configuration.md) or pass --config FILE",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(StartCode.CONFIG_INVALID, f"{path} cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, origin: str) -> Config:
    """Parse the text of a configuration file; errors as `load`. `origin` names it in messages."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StartError(StartCode.CONFIG_SYNTAX, f"{origin} is not TOML: {error}") from error
    _refuse_shared_key(document, origin)
    try:
        config = msgspec.convert(document, Config, dec_hook=_decoded)
    except msgspec.ValidationError as error:
        unknown = _UNKNOWN.match(str(error))
        if unknown:
            raise StartError(
                StartCode.CONFIG_UNKNOWN_KEY,
                f"{origin}: there is no key {unknown['key']!r} at {unknown['path'] or 'the top'};"
                " check its spelling in docs/configuration.md, or take it out",
            ) from None
        raise StartError(StartCode.CONFIG_INVALID, f"{origin}: {error}") from None
    _check(config, origin)
    return config


def _decoded(kind: type, value: Any) -> Any:
    """Return a value of a type that TOML does not have: paths."""
    if kind is Path and isinstance(value, str):
        path = Path(value)
        if not path.is_absolute() or "\0" in value:
            # Relative to what? A service is started from anywhere.
            raise ValueError(f"Expected an absolute path, got {value!r}")
        return path
    raise ValueError(f"Expected an absolute path, got {type(value).__name__}")


_UNKNOWN = re.compile(
    r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$\.?(?P<path>.*)`)?"
)


def _refuse_shared_key(document: dict[str, Any], origin: str) -> None:
    """Refuse a configuration in which badges would share a key, before anything else is said."""
    badge = document.get("badge")
    if not isinstance(badge, dict):
        raise StartError(
            StartCode.CONFIG_SHARED_KEY,
            f"{origin} has no [badge] table: it gives the keys of the badges neither "
            f'diversification (a system_identifier) nor a place (keys = "stored"). {RULE_1}',
        )
    keys = badge.get("keys", "diversified")
    if keys not in ("diversified", "stored"):
        raise StartError(
            StartCode.CONFIG_SHARED_KEY,
            f"{origin}: badge.keys = {keys!r} gives badges no keys of their own; use "
            f'"diversified" or "stored". {RULE_1}',
        )
    if keys == "diversified" and "system_identifier" not in badge:
        raise StartError(
            StartCode.CONFIG_SHARED_KEY,
            f"{origin}: badge.system_identifier is missing, and the keys of the badges are "
            f"diversified with it: 6 to 18 bytes in hexadecimal, one value per site. {RULE_1}",
        )


def _check(config: Config, origin: str) -> None:
    """Refuse what the types cannot: values that are right alone and wrong together."""

    def refuse(reason: str) -> NoReturn:
        raise StartError(StartCode.CONFIG_INVALID, f"{origin}: {reason}")

    if config.badge.aid == "000000":
        refuse("badge.aid 000000 is the PICC itself; choose another")
    if config.badge.originality_test_keys and not config.development:
        refuse("badge.originality_test_keys lets copies pass; it needs development = true")
    check_urls(config.kms.urls, config.kms.tls, refuse)
    check_listen(config.kms.listen, config.kms.tls, refuse)
    check_clients(config.kms.clients, refuse)
    check_witness(config.kms.audit_witness, config.kms.audit_witness_authority, refuse)
    _check_masters(config.kms, refuse)
    exposed = [r.name for r in config.readers.virtual if r.listen.startswith("tcp:")]
    if exposed and not config.development:
        refuse(
            f"the virtual reader {exposed[0]} listens on tcp:, where any local user may connect a "
            "card; use unix:PATH, or set development = true"
        )
    names = [reader.name for reader in config.readers.virtual]
    if len(set(names)) != len(names):
        refuse("two virtual readers have the same name")
    for reader in config.readers.virtual:
        if reader.pinpad and not reader.listen.startswith("unix:"):
            refuse(f"the virtual reader {reader.name} has a pinpad, so it must listen at unix:PATH")
    _check_grants(config.access.grants, refuse)


def _check_masters(kms: Kms, refuse: Callable[[str], NoReturn]) -> None:
    opening = {
        "credential_file": kms.credential_file,
        "passphrase_file": kms.passphrase_file,
        "keystore_token": kms.keystore_token,
    }
    given = [name for name, value in opening.items() if value is not None]
    if len(given) > 1:
        refuse(f"kms has a {given[0]} and a {given[1]}; give one")
    if not kms.masters.startswith("kmip:"):
        return
    if kms.kmip is None:
        refuse("kms.masters is kmip:, which needs [kms.kmip]: certificate, key, authority")
    if kms.assertion_key == "masters":
        refuse('kms.masters is kmip:, which does not sign: set kms.assertion_key = "sealed:/PATH"')


def _check_grants(grants: tuple[Grant, ...], refuse: Callable[[str], NoReturn]) -> None:
    for number, grant in enumerate(grants, 1):
        if (grant.user is None) == (grant.group is None):
            refuse(f"access.grants, entry {number}: name a user or a group, and not both")
        if grant.audiences and "authenticate" not in grant.rights:
            refuse(f"access.grants, entry {number}: audiences go with the right authenticate")
        if "last-try" in grant.rights and "authenticate" not in grant.rights:
            refuse(f"access.grants, entry {number}: last-try goes with the right authenticate")
