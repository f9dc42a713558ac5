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
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    insert,
)

SCHEMA_VERSION = 3


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
TEXT = Text().with_variant(Text(collation="C"), "postgresql")

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

# One row. `id` is random: whose registry this is, whatever file or server it is on. `opened` rises
# each time a key service begins to use it, `keystore_counter` with the keystore that it was last
# used with, `restored` each time people accepted that an old one was put back.
registry_identity = Table(
    "registry_identity",
    metadata,
    Column("id", Bytes, primary_key=True),
    Column("opened", BigInteger, nullable=False),
    Column("keystore_counter", BigInteger, nullable=False),
    Column("restored", BigInteger, nullable=False),
    _version(),
    *_seal(),
)

# One row a replica of the key service: how far it had come. Its audit says the same, so that each
# shows where the other is older than it was.
replica_mark = Table(
    "replica_mark",
    metadata,
    Column("replica", TEXT, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("chain", TEXT, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", TEXT, nullable=False),
    Column("masters", TEXT, nullable=False),
    _version(),
    *_seal(),
)

# alembic's own note of the revision: the one in schema_version, which is sealed, is believed.
alembic_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

holder = Table(
    "holder",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("staff_number", TEXT, nullable=False, unique=True),
    Column("given_name", TEXT),
    Column("family_name", TEXT),
    Column("accounts", TEXT, nullable=False),
    Column("national_ids", TEXT, nullable=False),
    Column("groups", TEXT, nullable=False),
    Column("valid_from", BigInteger),
    Column("valid_until", BigInteger),
    Column("status", TEXT, nullable=False),
    Column("search", TEXT, nullable=False),
    _version(),
    *_seal(),
)

# What finds a holder by what a CPS says. It has no seal: whoever it leads to is believed only where
# the holder's own sealed row says the same. A row taken away hides a person, no more.
holder_national_id = Table(
    "holder_national_id",
    metadata,
    Column("national_id", TEXT, primary_key=True),
    Column("holder_id", TEXT, ForeignKey(holder.c.id), primary_key=True, index=True),
)

badge = Table(
    "badge",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("uid", Bytes, nullable=False, unique=True),
    Column("aid", Integer, nullable=False),
    Column("number", TEXT, nullable=False, unique=True),
    Column("scheme", TEXT, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("picc", TEXT, nullable=False),
    Column("transport_generation", Integer),
    Column("reason", TEXT),
    Column("holder_id", TEXT, ForeignKey(holder.c.id), index=True),
    Column("issued_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("search", TEXT, nullable=False),
    _version(),
    *_seal(),
)

presence = Table(
    "presence",
    metadata,
    Column("sid", TEXT, primary_key=True),
    Column("holder_id", TEXT, ForeignKey(holder.c.id), nullable=False),
    Column("badge_id", TEXT, ForeignKey(badge.c.id)),
    Column("certificate", TEXT),
    Column("device", TEXT, nullable=False),
    Column("client", TEXT, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("acr", TEXT, nullable=False),
    Column("amr", TEXT, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_reason", TEXT),
    _version(),
    *_seal(),
    Index(None, "badge_id", "ended_at"),
)

# No reference to badge: an encoding is journalled before its badge is registered.
journal = Table(
    "journal",
    metadata,
    Column("uid", Bytes, primary_key=True),
    Column("procedure", TEXT, nullable=False),
    Column("badge_id", TEXT, nullable=False),
    Column("step", TEXT, nullable=False),
    Column("sealed", Bytes, nullable=False),
    Column("client", TEXT, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("leased_until", BigInteger, nullable=False, server_default="0"),
    _version(),
    *_seal(),
)

# A badge's own keys, where they are not derived. No reference to badge, as in journal.
stored_key = Table(
    "stored_key",
    metadata,
    Column("badge_id", TEXT, primary_key=True),
    Column("purpose", TEXT, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("sealed", Bytes, nullable=False),
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
