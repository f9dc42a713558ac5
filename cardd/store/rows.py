"""What a row of each table is in Python, and back. Pure: no database, no key.

`values` are in the order of the table's columns, up to and with `version`; the seal follows them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Table

from cardd.assurance.levels import Acr
from cardd.assurance.presence import PresenceRecord
from cardd.badges.model import Badge, Holder, HolderStatus, Picc, Scheme
from cardd.badges.states import BadgeState
from cardd.kms.ports import Journal, Purpose, RegistryIdentity, ReplicaMark, StoredKey
from cardd.store import search, tables
from cardd.store.sealing import Value

Entity = TypeVar("Entity")


@dataclass(frozen=True, slots=True)
class RowKind(Generic[Entity]):
    """How one kind of entity is stored. `taken` says what a refused insert collided with."""

    table: Table
    values: Callable[[Entity], tuple[Value, ...]]
    entity: Callable[[Sequence[Any]], Entity]
    taken: str


def json_text(value: dict[str, str] | tuple[str, ...]) -> str:
    """Return the one JSON text of a value: keys sorted, no white space, no escape but needed."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _texts(text: str) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(text)) if text != "[]" else ()


def _holder_values(holder: Holder) -> tuple[Value, ...]:
    return (
        holder.id,
        holder.staff_number,
        holder.given_name,
        holder.family_name,
        json_text(holder.accounts),
        json_text(holder.national_ids),
        json_text(holder.groups),
        holder.valid_from,
        holder.valid_until,
        holder.status.value,
        search.person(holder.staff_number, holder.given_name, holder.family_name),
        holder.version,
    )


def _holder(row: Sequence[Any]) -> Holder:
    return Holder(
        id=row[0],
        staff_number=row[1],
        given_name=row[2],
        family_name=row[3],
        accounts=msgspec.json.decode(row[4]),
        national_ids=_texts(row[5]),
        groups=_texts(row[6]),
        valid_from=row[7],
        valid_until=row[8],
        status=HolderStatus(row[9]),
        version=row[11],
    )


def _badge_values(badge: Badge) -> tuple[Value, ...]:
    return (
        badge.id,
        badge.uid,
        badge.aid,
        badge.number,
        badge.scheme.value,
        badge.generation,
        badge.state.value,
        badge.picc.value,
        badge.transport_generation,
        badge.reason,
        badge.holder_id,
        badge.issued_at,
        badge.expires_at,
        search.badge(badge.number, badge.uid),
        badge.version,
    )


def _badge(row: Sequence[Any]) -> Badge:
    return Badge(
        id=row[0],
        uid=row[1],
        aid=row[2],
        number=row[3],
        scheme=Scheme(row[4]),
        generation=row[5],
        state=BadgeState(row[6]),
        picc=Picc(row[7]),
        transport_generation=row[8],
        reason=row[9],
        holder_id=row[10],
        issued_at=row[11],
        expires_at=row[12],
        version=row[14],
    )


def _presence_values(presence: PresenceRecord) -> tuple[Value, ...]:
    return (
        presence.sid,
        presence.holder_id,
        presence.badge_id,
        presence.certificate,
        presence.device,
        presence.client,
        presence.auth_time,
        presence.acr.value,
        json_text(presence.amr),
        presence.expires_at,
        presence.ended_at,
        presence.end_reason,
        presence.version,
    )


def _presence(row: Sequence[Any]) -> PresenceRecord:
    return PresenceRecord(
        sid=row[0],
        holder_id=row[1],
        badge_id=row[2],
        certificate=row[3],
        device=row[4],
        client=row[5],
        auth_time=row[6],
        acr=Acr(row[7]),
        amr=_texts(row[8]),
        expires_at=row[9],
        ended_at=row[10],
        end_reason=row[11],
        version=row[12],
    )


def _journal_values(journal: Journal) -> tuple[Value, ...]:
    return (
        journal.uid,
        journal.procedure,
        journal.badge_id,
        journal.step,
        journal.sealed,
        journal.client,
        journal.updated_at,
        journal.leased_until,
        journal.version,
    )


def _journal(row: Sequence[Any]) -> Journal:
    return Journal(*row[:9])


def _stored_key_values(key: StoredKey) -> tuple[Value, ...]:
    return (key.badge_id, key.purpose.value, key.generation, key.sealed, key.version)


def _stored_key(row: Sequence[Any]) -> StoredKey:
    return StoredKey(row[0], Purpose(row[1]), *row[2:5])


def _identity_values(identity: RegistryIdentity) -> tuple[Value, ...]:
    return (
        identity.id,
        identity.opened,
        identity.keystore_counter,
        identity.restored,
        identity.version,
    )


def _identity(row: Sequence[Any]) -> RegistryIdentity:
    return RegistryIdentity(*row[:5])


def _mark_values(mark: ReplicaMark) -> tuple[Value, ...]:
    return (
        mark.replica,
        mark.number,
        mark.chain,
        mark.seq,
        mark.hash,
        mark.masters,
        mark.version,
    )


def _mark(row: Sequence[Any]) -> ReplicaMark:
    return ReplicaMark(*row[:7])


# A row without MAC columns is what `values` builds; see tables for the order of its columns.
HOLDER = RowKind(
    tables.holder, _holder_values, _holder, "its id or staff number is already registered"
)
BADGE = RowKind(
    tables.badge,
    _badge_values,
    _badge,
    "its id, number or UID is already registered, or its holder is not",
)
PRESENCE = RowKind(
    tables.presence,
    _presence_values,
    _presence,
    "its sid exists already, or its holder or badge is not registered",
)
JOURNAL = RowKind(
    tables.journal, _journal_values, _journal, "an encoding of this UID is already under way"
)
STORED_KEY = RowKind(
    tables.stored_key,
    _stored_key_values,
    _stored_key,
    "the badge has a key of this purpose and generation",
)
IDENTITY = RowKind(
    tables.registry_identity, _identity_values, _identity, "the registry has one already"
)
REPLICA_MARK = RowKind(
    tables.replica_mark, _mark_values, _mark, "a replica of this name has made one meanwhile"
)
