"""Keys stored per badge, what tells an old registry put back, and a lease on an open procedure."""

import os
from typing import Any

import sqlalchemy as sa
from alembic import op

from cardd.errors import StartCode, StartError
from cardd.store.migrations.resealing import reseal, restamp
from cardd.store.sealing import RowSealer, TableSeal
from cardd.store.tables import TEXT, Bytes

revision = "3"
down_revision = "2"

_JOURNAL_2 = (
    *("uid", "procedure", "badge_id", "step", "sealed", "client", "updated_at", "version"),
)
_JOURNAL_3 = (*_JOURNAL_2[:-1], "leased_until", "version")
_IDENTITY = ("id", "opened", "keystore_counter", "restored", "version")


def upgrade(sealer: RowSealer) -> None:
    """Add three tables and a column."""
    connection = op.get_bind()
    identity = op.create_table(
        "registry_identity",
        sa.Column("id", Bytes, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _IDENTITY[1:]),
        sa.Column("mac_generation", sa.Integer, nullable=False),
        sa.Column("mac", Bytes, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_identity"),
    )
    values = (os.urandom(16), 0, 0, 0, 1)
    row = (*values, *TableSeal(identity, sealer).seal(values))
    connection.execute(sa.insert(identity).values(row))
    _make_tables()
    leased_until = sa.Column("leased_until", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("journal", leased_until)
    reseal(connection, sealer, "journal", _JOURNAL_2, _JOURNAL_3)
    restamp(connection, sealer, 3)


def _make_tables() -> None:
    op.create_table(
        "stored_key",
        sa.Column("badge_id", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("generation", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sealed", Bytes, nullable=False),
        *_seal(),
        sa.PrimaryKeyConstraint("badge_id", "purpose", "generation", name="pk_stored_key"),
    )
    op.create_table(
        "replica_mark",
        sa.Column("replica", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("chain", TEXT, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("masters", TEXT, nullable=False),
        *_seal(),
        sa.PrimaryKeyConstraint("replica", name="pk_replica_mark"),
    )


def _seal() -> "tuple[sa.Column[Any], ...]":
    return (
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("mac_generation", sa.Integer, nullable=False),
        sa.Column("mac", Bytes, nullable=False),
    )


def downgrade(sealer: RowSealer) -> None:
    """Take them away; StartError (`registry_version`) where badges would lose their keys."""
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT 1 FROM stored_key LIMIT 1")).first():
        raise StartError(
            StartCode.REGISTRY_VERSION,
            "badges have keys of their own in the registry, and schema 2 has no place for them: "
            "going back would lose them; nothing was changed",
        )
    reseal(connection, sealer, "journal", _JOURNAL_3, _JOURNAL_2)
    op.drop_column("journal", "leased_until")
    op.drop_table("stored_key")
    op.drop_table("replica_mark")
    op.drop_table("registry_identity")
    restamp(connection, sealer, 2)
