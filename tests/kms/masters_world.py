"""Each backend of the masters, real, empty, and as a configuration names it."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from cardd.config import Config, Kms
from cardd.config_kms import KmipIdentity
from tests.kms.kms_world import configuration
from tests.services.fixtures import KmipServer, Token

BACKENDS = ("soft", "pkcs11", "pkcs11-without-cmac", "kmip")
WITHOUT_CMAC = (
    "CKM_AES_KEY_GEN,CKM_AES_CBC,CKM_EC_KEY_PAIR_GEN,CKM_ECDSA"  # as modules of cloud HSMs have it
)


@dataclass(frozen=True, slots=True)
class Backend:
    """A place for masters where there are none yet, and the configuration that names it."""

    name: str
    config: Config

    @property
    def kms(self) -> Kms:
        return self.config.kms

    @property
    def held(self) -> bool:
        """Whether the keys are elsewhere, and not in this process."""
        return self.name != "soft"


def token_uri(token: Token, prefix: str = "cardd") -> str:
    return f"pkcs11:token={token.label};object={prefix}?module-path={token.module}"


def on_token(config: Config, folder: Path, token: Token) -> Config:
    pin = folder / "pin"
    pin.touch(mode=0o600)
    pin.write_text(f"{token.pin}\n")
    return with_kms(config, masters=token_uri(token), pin_file=pin)


def on_kmip(config: Config, folder: Path, server: KmipServer, host: str = "") -> Config:
    return with_kms(
        config,
        masters=f"kmip://{host or server.host}:{server.port}/{uuid.uuid4().hex}",
        assertion_key=f"sealed:{folder / 'assertion.key'}",
        kmip=KmipIdentity(
            certificate=server.client_certificate,
            key=server.client_key,
            authority=server.authority.certificate,
        ),
    )


def with_kms(config: Config, **changes: object) -> Config:
    return msgspec.structs.replace(config, kms=msgspec.structs.replace(config.kms, **changes))


def restrict_mechanisms(softhsm: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take CKM_AES_CMAC and most others from SoftHSM2, from its next initialisation on."""
    restricted = folder / "softhsm2-restricted.conf"
    text = (softhsm / "softhsm2.conf").read_text()
    restricted.write_text(f"{text}slots.mechanisms = {WITHOUT_CMAC}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(restricted))


def backend_named(
    name: str, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Backend:
    """Return a backend without keys; its service runs."""
    config = configuration(folder)
    if name == "kmip":
        config = on_kmip(config, folder, request.getfixturevalue("kmip_server"))
    elif name.startswith("pkcs11"):
        config = on_token(config, folder, request.getfixturevalue("token"))
        if name == "pkcs11-without-cmac":
            restrict_mechanisms(request.getfixturevalue("softhsm"), folder, monkeypatch)
    return Backend(name, config)


def written(backend: Backend, folder: Path) -> Path:
    """Write a backend's configuration to a file, as an administrator does."""
    kms = backend.kms
    lines = {
        "masters": kms.masters,
        "assertion_key": kms.assertion_key,
        "registry": kms.registry,
        "audit": kms.audit,
        "credential_file": kms.credential_file,
        "pin_file": kms.pin_file,
    }
    text = [f'[badge]\nsystem_identifier = "{backend.config.badge.system_identifier}"\n[kms]']
    text += [f'{key} = "{value}"' for key, value in lines.items() if value is not None]
    if kms.kmip is not None:
        files = msgspec.structs.asdict(kms.kmip)
        text += ["[kms.kmip]", *(f'{key} = "{value}"' for key, value in files.items())]
    path = folder / "cardd.toml"
    path.write_text("\n".join(text))
    return path
