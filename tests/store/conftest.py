"""A registry to test, people and badges to put in it, and the way round it: raw SQL."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from cardd.assurance.levels import Acr
from cardd.assurance.presence import PresenceRecord
from cardd.badges.model import Badge, Holder, Scheme
from cardd.badges.states import BadgeState
from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.ports import Journal
from cardd.store.opening import create_registry, place
from cardd.store.registry import SqlRegistry


@dataclass
class CmacSealer:
    """AES-CMAC under one key per generation, as the masters do it."""

    generation: int = 1
    site: bytes = b"s"
    answers: bool = True

    def current(self) -> int:
        return self.generation

    def mac(self, generation: int, message: bytes) -> bytes:
        if not self.answers or generation > self.generation:
            raise KmsUnavailable("no such generation")
        cmac = CMAC(AES(self.site * 15 + bytes([generation])))
        cmac.update(message)
        return cmac.finalize()


class Things:
    """Entities that differ by a number."""

    def holder(self, n: int = 1, **fields: Any) -> Holder:
        return replace(Holder(f"{n:032x}", f"S{n:05}", "Anne", "Martin"), **fields)

    def badge(self, n: int = 1, **fields: Any) -> Badge:
        plain = Badge(
            id=f"{n:032x}",
            uid=b"\x04" + n.to_bytes(6, "big"),
            aid=0xF5CA4D,
            number=f"{n:08}",
            scheme=Scheme.EV2_AES,
            generation=1,
            state=BadgeState.ACTIVE,
        )
        return replace(plain, **fields)

    def presence(self, n: int = 1, **fields: Any) -> PresenceRecord:
        plain = PresenceRecord(
            sid=f"sid-{n}",
            holder_id=f"{1:032x}",
            badge_id=f"{1:032x}",
            certificate=None,
            device="ward-3",
            client="embedded",
            auth_time=1_795_000_000,
            acr=Acr.ONE_FACTOR,
            amr=("hwk",),
            expires_at=1_795_014_400,
        )
        return replace(plain, **fields)

    def journal(self, n: int = 1, **fields: Any) -> Journal:
        uid = b"\x04" + n.to_bytes(6, "big")
        return replace(Journal(uid, "encode", f"{n:032x}", "begun", b"\0sealed", "c", 1), **fields)


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture
def sealer() -> CmacSealer:
    return CmacSealer()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def sqlite_url(path: Path) -> str:
    return f"sqlite:{path}"


@pytest.fixture(
    params=[
        pytest.param("sqlite_url", marks=pytest.mark.unit),
        pytest.param("postgres_url", marks=pytest.mark.services),
    ]
)
def url(request: pytest.FixtureRequest) -> str:
    """The address of a registry that is not there yet, on each kind of database."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
def registry(url: str, sealer: CmacSealer) -> Iterator[SqlRegistry]:
    registry = create_registry(place(url), sealer)
    yield registry
    registry.close()


@pytest.fixture
def peopled(registry: SqlRegistry, things: Things) -> SqlRegistry:
    """A registry with two holders who have a badge each, and an open presence of the first."""
    for n in (1, 2):
        registry.add_holder(things.holder(n))
        registry.add_badge(things.badge(n, holder_id=things.holder(n).id))
    registry.add_presence(things.presence())
    return registry


@pytest.fixture
def tampered(peopled):
    """Tell whether a call finds that a row was altered, and says no more than which one."""

    def check(call, *arguments) -> bool:
        with pytest.raises(Refused) as caught:
            call(*arguments)
        assert caught.value.code is Code.REGISTRY_INTEGRITY
        assert set(caught.value.facts) == {"table", "key"}
        assert "Martin" not in str(caught.value)
        return caught.value.facts["table"] in str(caught.value)

    return check


@pytest.fixture
def sql(url: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Do to the database what somebody with it and without the keys can do."""

    def run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        if url.startswith("sqlite:"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:"))) as file, file:
                return file.execute(statement, parameters).fetchall()
        # References are not checked, as in SQLite's own shell.
        with psycopg.connect(url, options="-c session_replication_role=replica") as connection:
            cursor = connection.execute(statement.replace("?", "%s"), parameters or None)
            return cursor.fetchall() if cursor.description else []

    return run
