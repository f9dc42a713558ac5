"""The tables of the registry.

Times are Unix seconds. Lists and dictionaries are JSON in its canonical text (`rows.json_text`).
Each deciding row ends with `version`, `mac_generation` and `mac`: its optimistic lock, the
generation of the master `registry` under which it is sealed, and the seal (`sealing`).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
)

SCHEMA_VERSION = 2


class Bytes(LargeBinary):
    """Bytes that pass between driver and caller as they are.

    The converters of LargeBinary would choke on what a tampered row holds in place of bytes, before
    its MAC is looked at. sqlite3 and psycopg 3 take and give `bytes`.
    """

    cache_ok = True

    def bind_processor(self, dialect: Any) -> None:
        """Convert nothing on the way in."""

    def result_processor(self, dialect: Any, coltype: object) -> None:
        """Convert nothing on the way out."""


# Bytewise, as SQLite compares: the order of lists is one on both, and no index depends on what
# the system's library knows about languages, which an update of it changes under the index.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _seal() -> tuple[Column[Any], ...]:
    """Return the columns that end every sealed row, in the order that `sealing` expects."""
    return (
        Column("mac_generation", Integer, nullable=False),
        Column("mac", Bytes, nullable=False),
    )


def _version() -> Column[Any]:
    return Column("version", BigInteger, nullable=False)


# One row. Its seal tells a registry that belongs to another keystore before a badge is tapped.
schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("site", Bytes, nullable=False),
    *_seal(),
)

holder = Table(
    "holder",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("staff_number", _TEXT, nullable=False, unique=True),
    Column("given_name", _TEXT),
    Column("family_name", _TEXT),
    Column("accounts", _TEXT, nullable=False),
    Column("national_ids", _TEXT, nullable=False),
    Column("groups", _TEXT, nullable=False),
    Column("valid_from", BigInteger),
    Column("valid_until", BigInteger),
    Column("status", _TEXT, nullable=False),
    Column("search", _TEXT, nullable=False),
    _version(),
    *_seal(),
)

# What finds a holder by what a CPS says. It has no seal: whoever it leads to is believed only where
# the holder's own sealed row says the same. A row taken away hides a person, no more.
holder_national_id = Table(
    "holder_national_id",
    metadata,
    Column("national_id", _TEXT, primary_key=True),
    Column("holder_id", _TEXT, ForeignKey(holder.c.id), primary_key=True, index=True),
)

badge = Table(
    "badge",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("uid", Bytes, nullable=False, unique=True),
    Column("aid", Integer, nullable=False),
    Column("number", _TEXT, nullable=False, unique=True),
    Column("scheme", _TEXT, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("picc", _TEXT, nullable=False),
    Column("transport_generation", Integer),
    Column("reason", _TEXT),
    Column("holder_id", _TEXT, ForeignKey(holder.c.id), index=True),
    Column("issued_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("search", _TEXT, nullable=False),
    _version(),
    *_seal(),
)

presence = Table(
    "presence",
    metadata,
    Column("sid", _TEXT, primary_key=True),
    Column("holder_id", _TEXT, ForeignKey(holder.c.id), nullable=False),
    Column("badge_id", _TEXT, ForeignKey(badge.c.id)),
    Column("certificate", _TEXT),
    Column("device", _TEXT, nullable=False),
    Column("client", _TEXT, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("acr", _TEXT, nullable=False),
    Column("amr", _TEXT, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_reason", _TEXT),
    _version(),
    *_seal(),
    Index(None, "badge_id", "ended_at"),
)

# No reference to badge: an encoding is journalled before its badge is registered.
journal = Table(
    "journal",
    metadata,
    Column("uid", Bytes, primary_key=True),
    Column("procedure", _TEXT, nullable=False),
    Column("badge_id", _TEXT, nullable=False),
    Column("step", _TEXT, nullable=False),
    Column("sealed", Bytes, nullable=False),
    Column("client", _TEXT, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    _version(),
    *_seal(),
)


FirstRows = Sequence[tuple[Table, dict[str, Any]]]
"""What a new registry begins with: tables and a row of each."""


def lay_out(connection: Connection, rows: FirstRows) -> None:
    """Make the tables in an empty database, and put their first rows in."""
    metadata.create_all(connection, checkfirst=False)
    for table, row in rows:
        connection.execute(insert(table), row)
