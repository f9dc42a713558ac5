"""The tables of the first cardd whose registries can be migrated.

A registry is made with the tables of its own cardd (`cardd-kms init`); these are frozen.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from cardd.store.sealing import RowSealer
from cardd.store.tables import TEXT, Bytes

revision = "2"
down_revision = None


def _column(name: str, kind: Any, *, null: bool = False) -> "sa.Column[Any]":
    return sa.Column(name, kind, nullable=null)


def _seal() -> "tuple[sa.Column[Any], ...]":
    return (
        _column("version", sa.BigInteger),
        _column("mac_generation", sa.Integer),
        _column("mac", Bytes),
    )


def upgrade(sealer: RowSealer) -> None:
    """Make the tables, without the row that says whose they are."""
    del sealer
    op.create_table(
        "schema_version",
        sa.Column("version", sa.Integer, autoincrement=False),
        _column("site", Bytes),
        *_seal()[1:],
        sa.PrimaryKeyConstraint("version", name="pk_schema_version"),
    )
    _make_people()
    _make_badges()
    _make_presences()
    op.create_table(
        "journal",
        _column("uid", Bytes),
        *(_column(name, TEXT) for name in ("procedure", "badge_id", "step")),
        _column("sealed", Bytes),
        _column("client", TEXT),
        _column("updated_at", sa.BigInteger),
        *_seal(),
        sa.PrimaryKeyConstraint("uid", name="pk_journal"),
    )


def _make_people() -> None:
    op.create_table(
        "holder",
        _column("id", TEXT),
        _column("staff_number", TEXT),
        _column("given_name", TEXT, null=True),
        _column("family_name", TEXT, null=True),
        *(_column(name, TEXT) for name in ("accounts", "national_ids", "groups")),
        _column("valid_from", sa.BigInteger, null=True),
        _column("valid_until", sa.BigInteger, null=True),
        _column("status", TEXT),
        _column("search", TEXT),
        *_seal(),
        sa.PrimaryKeyConstraint("id", name="pk_holder"),
        sa.UniqueConstraint("staff_number", name="uq_holder_staff_number"),
    )
    op.create_table(
        "holder_national_id",
        _column("national_id", TEXT),
        _column("holder_id", TEXT),
        sa.PrimaryKeyConstraint("national_id", "holder_id", name="pk_holder_national_id"),
        sa.ForeignKeyConstraint(
            ["holder_id"], ["holder.id"], name="fk_holder_national_id_holder_id"
        ),
    )
    op.create_index("ix_holder_national_id_holder_id", "holder_national_id", ["holder_id"])


def _make_badges() -> None:
    op.create_table(
        "badge",
        _column("id", TEXT),
        _column("uid", Bytes),
        _column("aid", sa.Integer),
        _column("number", TEXT),
        _column("scheme", TEXT),
        _column("generation", sa.Integer),
        _column("state", TEXT),
        _column("picc", TEXT),
        _column("transport_generation", sa.Integer, null=True),
        _column("reason", TEXT, null=True),
        _column("holder_id", TEXT, null=True),
        _column("issued_at", sa.BigInteger, null=True),
        _column("expires_at", sa.BigInteger, null=True),
        _column("search", TEXT),
        *_seal(),
        sa.PrimaryKeyConstraint("id", name="pk_badge"),
        sa.UniqueConstraint("uid", name="uq_badge_uid"),
        sa.UniqueConstraint("number", name="uq_badge_number"),
        sa.ForeignKeyConstraint(["holder_id"], ["holder.id"], name="fk_badge_holder_id"),
    )
    op.create_index("ix_badge_holder_id", "badge", ["holder_id"])


def _make_presences() -> None:
    op.create_table(
        "presence",
        _column("sid", TEXT),
        _column("holder_id", TEXT),
        _column("badge_id", TEXT, null=True),
        _column("certificate", TEXT, null=True),
        *(_column(name, TEXT) for name in ("device", "client")),
        _column("auth_time", sa.BigInteger),
        *(_column(name, TEXT) for name in ("acr", "amr")),
        _column("expires_at", sa.BigInteger),
        _column("ended_at", sa.BigInteger, null=True),
        _column("end_reason", TEXT, null=True),
        *_seal(),
        sa.PrimaryKeyConstraint("sid", name="pk_presence"),
        sa.ForeignKeyConstraint(["holder_id"], ["holder.id"], name="fk_presence_holder_id"),
        sa.ForeignKeyConstraint(["badge_id"], ["badge.id"], name="fk_presence_badge_id"),
    )
    op.create_index("ix_presence_badge_id_ended_at", "presence", ["badge_id", "ended_at"])


def downgrade(sealer: RowSealer) -> None:
    """Refuse: what is older was never migrated."""
    raise NotImplementedError(f"nothing older than schema {revision} is migrated ({sealer!r})")
