"""Runs revisions on a registry: all of those asked for in one transaction, or none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from cardd.errors import StartCode, StartError
from cardd.store import schema
from cardd.store.connections import FAILURES, Database
from cardd.store.opening import Place
from cardd.store.sealing import RowSealer
from cardd.store.tables import SCHEMA_VERSION, alembic_version


@dataclass(frozen=True, slots=True)
class Migrated:
    """What became of a migration. `steps` are the schema versions that it passed through."""

    found: int
    reached: int
    steps: tuple[int, ...]
    backup: Path | None


def migrate(
    where: Place,
    sealer: RowSealer,
    *,
    to: int | None = None,
    dry_run: bool = False,
    before_commit: Callable[[int, int], None] = lambda *_: None,
) -> Migrated:
    """Bring a registry to a schema version, by default this program's.

    A copy of an SQLite file is kept beside it first. `before_commit` gets the two versions once
    everything is done and nothing is stored yet. With `dry_run` everything is done, and undone.

    Raises StartError: `registry_version` where there is no such version, or no way to it;
    `registry_in_use`, `registry_not_found`, `registry_unavailable`. Refused (`registry_integrity`)
    where a row that has to be sealed anew was altered.
    """
    database = where.maintain()
    target = SCHEMA_VERSION if to is None else to
    try:
        with _transaction(database, dry_run=dry_run) as connection:
            where.require_unused(connection)
            keep = _keep_nothing if dry_run else where.backup
            migrated = _run(connection, sealer, where.name, target, keep)
            if migrated.steps and not dry_run:
                before_commit(migrated.found, migrated.reached)
            return migrated
    except FAILURES as error:
        raise StartError(StartCode.REGISTRY_UNAVAILABLE, database.explain(error)) from None
    finally:
        database.engine.dispose()


def _run(
    connection: Connection,
    sealer: RowSealer,
    name: str,
    target: int,
    keep: Callable[[int], Path | None],
) -> Migrated:
    found = schema.version_of(connection, sealer, name)
    scripts = ScriptDirectory(str(Path(__file__).parent))
    known = sorted(int(script.revision) for script in scripts.walk_revisions())
    if found not in known or target not in known:
        raise _no_way(name, found, target, known)
    if found == target:
        return Migrated(found, target, (), None)
    backup = keep(found)
    _run_scripts(connection, scripts, sealer, found, target)
    passed = [each for each in known if min(found, target) <= each <= max(found, target)]
    return Migrated(found, target, tuple(passed if found < target else passed[::-1]), backup)


def _keep_nothing(_: int) -> None:
    """Stand for a copy where nothing is changed."""


def _run_scripts(
    connection: Connection,
    scripts: ScriptDirectory,
    sealer: RowSealer,
    found: int,
    target: int,
) -> None:
    def steps(revision: Any, _: MigrationContext) -> Any:
        find = scripts._upgrade_revs if found < target else scripts._downgrade_revs  # noqa: SLF001
        return find(str(target), revision)

    # The connection is in a transaction, which alembic leaves to whoever began it.
    context = MigrationContext.configure(connection, opts={"fn": steps})
    if not inspect(connection).has_table(alembic_version.name):
        context.stamp(scripts, str(found))
    if context.get_current_heads() != (str(found),):
        raise StartError(
            StartCode.REGISTRY_VERSION,
            f"the sealed row of the registry says schema version {found}, and alembic's note "
            f"{', '.join(context.get_current_heads()) or 'nothing'}: somebody altered one of them; "
            "restore a backup",
        )
    try:
        with Operations.context(context):
            context.run_migrations(sealer=sealer)
    except CommandError as error:
        raise StartError(StartCode.REGISTRY_VERSION, f"alembic: {error}") from None


@contextmanager
def _transaction(database: Database, *, dry_run: bool) -> Iterator[Connection]:
    with database.engine.connect() as connection:
        connection.exec_driver_sql(database.begin)
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("ROLLBACK" if dry_run else "COMMIT")


def _no_way(name: str, found: int, target: int, known: list[int]) -> StartError:
    return StartError(
        StartCode.REGISTRY_VERSION,
        f"the registry {name} has schema version {found}, and this program migrates between "
        f"{known[0]} and {known[-1]}: it cannot bring it to {target}",
        found=found,
        needed=target,
    )
