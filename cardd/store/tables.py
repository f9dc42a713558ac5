"""The tables of the registry.

Times are Unix seconds. Lists and dictionaries are JSON in its canonical text (`rows.json_text`).
Each deciding row ends with `version`, `mac_generation` and `mac`: its optimistic lock, the
generation of the master `registry` under which it is sealed, and the seal (`sealing`).
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
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
    Column("id", Text, primary_key=True),
    Column("staff_number", Text, nullable=False, unique=True),
    Column("given_name", Text),
    Column("family_name", Text),
    Column("accounts", Text, nullable=False),
    Column("national_ids", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("valid_from", BigInteger),
    Column("valid_until", BigInteger),
    Column("status", Text, nullable=False),
    Column("search", Text, nullable=False),
    _version(),
    *_seal(),
)

# What finds a holder by what a CPS says. It has no seal: whoever it leads to is believed only where
# the holder's own sealed row says the same. A row taken away hides a person, no more.
holder_national_id = Table(
    "holder_national_id",
    metadata,
    Column("national_id", Text, primary_key=True),
    Column("holder_id", Text, ForeignKey(holder.c.id), primary_key=True, index=True),
)

badge = Table(
    "badge",
    metadata,
    Column("id", Text, primary_key=True),
    Column("uid", Bytes, nullable=False, unique=True),
    Column("aid", Integer, nullable=False),
    Column("number", Text, nullable=False, unique=True),
    Column("scheme", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("picc", Text, nullable=False),
    Column("transport_generation", Integer),
    Column("reason", Text),
    Column("holder_id", Text, ForeignKey(holder.c.id), index=True),
    Column("issued_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("search", Text, nullable=False),
    _version(),
    *_seal(),
)

presence = Table(
    "presence",
    metadata,
    Column("sid", Text, primary_key=True),
    Column("holder_id", Text, ForeignKey(holder.c.id), nullable=False),
    Column("badge_id", Text, ForeignKey(badge.c.id)),
    Column("certificate", Text),
    Column("device", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("acr", Text, nullable=False),
    Column("amr", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_reason", Text),
    _version(),
    *_seal(),
    Index(None, "badge_id", "ended_at"),
)

# No reference to badge: an encoding is journalled before its badge is registered.
journal = Table(
    "journal",
    metadata,
    Column("uid", Bytes, primary_key=True),
    Column("procedure", Text, nullable=False),
    Column("badge_id", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("sealed", Bytes, nullable=False),
    Column("client", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    _version(),
    *_seal(),
)
