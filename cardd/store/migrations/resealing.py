"""Seals rows anew where a revision changes what their MAC covers.

The MAC covers the names of the columns, so that a row of an older form is checked in that form
before it is sealed in the new one. A row that does not verify ends the migration: nothing that was
altered outside cardd gets a fresh seal.
"""

from sqlalchemy import Connection, TableClause, bindparam, column, select, table, update

from cardd.store.sealing import RowSealer, TableSeal

PAGE_ROWS = 500
_SEAL = ("mac_generation", "mac")


def reseal(
    connection: Connection,
    sealer: RowSealer,
    name: str,
    before: tuple[str, ...],
    after: tuple[str, ...],
) -> None:
    """Check each row of a table as it was and seal it as it is; page by page, by its first column.

    `before` and `after` are its columns without the seal. Both must be there. Raises Refused
    (`registry_integrity`).
    """
    columns = tuple(dict.fromkeys((*before, *after)))
    rows = table(name, *map(column, (*columns, *_SEAL)))
    old, new = (TableSeal(_form(name, form), sealer) for form in (before, after))
    key = rows.c[before[0]]
    page = select(*rows.c).order_by(key).limit(PAGE_ROWS)
    onward = page.where(key > bindparam("last"))
    change = (
        update(rows)
        .where(key == bindparam("key"))
        .values(mac_generation=bindparam("new_generation"), mac=bindparam("new_mac"))
    )
    found = connection.execute(page).mappings().all()
    while found:
        for row in found:
            old.check([row[each] for each in (*before, *_SEAL)])
            generation, mac = new.seal([row[each] for each in after])
            sealed = {"key": row[key.name], "new_generation": generation, "new_mac": mac}
            connection.execute(change, sealed)
        found = connection.execute(onward, {"last": found[-1][key.name]}).mappings().all()


def restamp(connection: Connection, sealer: RowSealer, version: int) -> None:
    """Let the sealed row that the key service believes say another schema version."""
    form = ("version", "site")
    rows = table("schema_version", *map(column, (*form, *_SEAL)))
    seal = TableSeal(_form("schema_version", form), sealer)
    (row,) = connection.execute(select(*rows.c)).all()
    seal.check(tuple(row))
    generation, mac = seal.seal([version, row[1]])
    connection.execute(update(rows).values(version=version, mac_generation=generation, mac=mac))


def _form(name: str, columns: tuple[str, ...]) -> TableClause:
    return table(name, *map(column, (*columns, *_SEAL)))
