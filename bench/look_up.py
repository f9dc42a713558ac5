"""A tap's look-up in a registry of a million badges, against one of a thousand."""

import contextlib
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from bench.result import Result
from cardd.badges.model import Badge, Holder, Scheme
from cardd.badges.states import BadgeState
from cardd.store import rows
from cardd.store.opening import Place, create_registry, place
from cardd.store.registry import SqlRegistry
from cardd.store.sealing import TableSeal
from tests.services.postgres_cluster import own_postgres

FEW = 1_000
MANY = 1_000_000
BADGES_PER_HOLDER = 10  # those of the past included
LOOK_UPS = 3_000
WARM_UP = 500
TARGET = 1.5
_BATCH = 5_000


class Sealer:
    """AES-CMAC under one key, as the masters seal rows."""

    def __init__(self) -> None:
        self._cmac = CMAC(AES(bytes(range(16))))

    def current(self) -> int:
        return 1

    def mac(self, generation: int, message: bytes) -> bytes:
        del generation
        cmac = self._cmac.copy()
        cmac.update(message)
        return cmac.finalize()


def run(many: int = MANY) -> Iterator[Result]:
    """Fill two registries of each kind, and look badges up in both by turns."""
    folder = Path(tempfile.mkdtemp(prefix="cardd-bench-"))
    try:
        with own_postgres() as cluster, cluster.running("max_wal_size=4GB"):
            server = f"postgresql://postgres@/{{}}?host={cluster.folder}"
            yield from compare("SQLite", many, lambda n: sqlite(folder / f"{n}.db"))
            yield from compare("PostgreSQL", many, lambda n: postgres(server, n))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sqlite(path: Path) -> Place:
    return place(f"sqlite:{path}")


def postgres(server: str, count: int) -> Place:
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE n{count}")
    return place(server.format(f"n{count}"))


def compare(name: str, many: int, where: Callable[[int], Place]) -> Iterator[Result]:
    """Yield the median look-up among many badges as a ratio to that among few."""
    with contextlib.ExitStack() as stack:
        registries = []
        for count in (FEW, many):
            made = where(count)
            registries.append(stack.enter_context(contextlib.closing(filled(made, count))))
        few, lots = measure(registries, (FEW, many))
    ratio = statistics.median(lots) / statistics.median(few)
    yield Result(
        f"look-up of a tap, {name}, {many:,} badges, median",
        statistics.median(lots) * 1000,
        "ms",
        f"the same among {FEW:,}: {statistics.median(few) * 1000:.3f} ms",
        ratio,
        TARGET,
        ratio <= TARGET,
    )


def measure(
    registries: "list[SqlRegistry]", counts: tuple[int, ...]
) -> tuple[list[float], list[float]]:
    """Return the seconds of look-ups of random badges, in both registries by turns."""
    chance = random.Random(1)  # noqa: S311 - the same badges each time
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARM_UP + LOOK_UPS):
        for registry, count, times in zip(registries, counts, took, strict=True):
            wanted = uid(chance.randrange(count))
            began = time.perf_counter()
            found = registry.badge_and_holder(wanted)
            times.append(time.perf_counter() - began)
            assert found is not None
            assert found[1] is not None
    return took[0][WARM_UP:], took[1][WARM_UP:]


def filled(where: Place, count: int) -> SqlRegistry:
    """Make a registry with `count` badges in use, each row sealed."""
    sealer = Sealer()
    registry = create_registry(where, sealer)
    holders, badges = (TableSeal(kind.table, sealer) for kind in (rows.HOLDER, rows.BADGE))
    people = (rows.HOLDER.values(holder(n)) for n in range(-(-count // BADGES_PER_HOLDER)))
    cards = (rows.BADGE.values(badge(n)) for n in range(count))
    database = where.maintain()
    with database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        load = copy if isinstance(driver, psycopg.Connection) else insert
        load(driver, rows.HOLDER, ((*each, *holders.seal(each)) for each in people))
        load(driver, rows.BADGE, ((*each, *badges.seal(each)) for each in cards))
        driver.execute("ANALYZE")
    database.engine.dispose()
    return registry


def insert(driver: Any, kind: "rows.RowKind[Any]", values: Iterator[tuple[Any, ...]]) -> None:
    columns = [column.name for column in kind.table.columns]
    statement = (
        f"INSERT INTO {kind.table.name} ({', '.join(columns)}) "  # noqa: S608
        f"VALUES ({', '.join('?' * len(columns))})"
    )
    driver.execute("PRAGMA synchronous = OFF")
    driver.execute("BEGIN")
    driver.executemany(statement, values)
    driver.execute("COMMIT")


def copy(driver: Any, kind: "rows.RowKind[Any]", values: Iterator[tuple[Any, ...]]) -> None:
    columns = ", ".join(column.name for column in kind.table.columns)
    with driver.cursor().copy(f"COPY {kind.table.name} ({columns}) FROM STDIN") as stream:
        for each in values:
            stream.write_row(each)


def uid(n: int) -> bytes:
    """Return the UID of the n-th badge: spread as real ones are."""
    return b"\x04" + (n * 0x9E3779B97F4A7C15 % (1 << 48)).to_bytes(6, "big")


def holder(n: int) -> Holder:
    return Holder(f"{n:032x}", f"S{n:07}", "Camille", "Martin", {"unix": f"u{n}"})


def badge(n: int) -> Badge:
    return Badge(
        id=f"{n * 0x9E3779B97F4A7C15 % (1 << 64):032x}",
        uid=uid(n),
        aid=0xF5CA4D,
        number=f"{n:08}",
        scheme=Scheme.EV2_AES,
        generation=1,
        state=BadgeState.ACTIVE,
        holder_id=f"{n // BADGES_PER_HOLDER:032x}",
        issued_at=1_795_000_000,
        expires_at=1_890_000_000,
    )
