"""The registry: what kms.ports.Registry promises, on an SQL database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from secrets import token_hex
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, or_, select

from cardd.assurance.presence import PresenceRecord
from cardd.badges.model import Badge, Holder
from cardd.cps.identity import canonical_national_id
from cardd.errors import CarddError, KmsUnavailable
from cardd.kms.messages import Page
from cardd.kms.ports import Journal, RegistryIdentity, ReplicaMark, StoredKey
from cardd.store import rows, search, tables
from cardd.store.connections import Connections, Database, Parameters
from cardd.store.entities import Entities
from cardd.store.schema import VERSION
from cardd.store.sealing import RowSealer

_h, _n = tables.holder.c, tables.holder_national_id.c
_b, _p, _j = tables.badge.c, tables.presence.c, tables.journal.c
_k, _m = tables.stored_key.c, tables.replica_mark.c
_LAST_USED = (
    select(_p.badge_id, func.max(_p.auth_time))
    .where(_p.badge_id.is_not(None))
    .group_by(_p.badge_id)
)
_INDEX_NATIONAL_ID = insert(tables.holder_national_id).inline()
_FORGET_NATIONAL_IDS = delete(tables.holder_national_id).where(_n.holder_id == bindparam("key"))

BadgeAndHolder = tuple[Badge, Holder | None]


class SqlRegistry:
    """People, badges, presences and journals in an SQL database. Thread-safe.

    Implements cardd.kms.ports.Registry, whose docstrings say what each method does. Every thread
    keeps its own connection until it ends or `close` is called.
    """

    def __init__(self, database: Database, sealer: RowSealer) -> None:
        self._connections = Connections(database)
        self._channel = database.channel
        self._own = token_hex(8)
        self._holders = Entities(rows.HOLDER, sealer, self._connections)
        self._badges = Entities(rows.BADGE, sealer, self._connections)
        self._presences = Entities(rows.PRESENCE, sealer, self._connections)
        self._journals = Entities(rows.JOURNAL, sealer, self._connections)
        self._stored_keys = Entities(rows.STORED_KEY, sealer, self._connections)
        self._identities = Entities(rows.IDENTITY, sealer, self._connections)
        self._marks = Entities(rows.REPLICA_MARK, sealer, self._connections)
        self._build_look_ups()
        self._build_lists()

    def _build_look_ups(self) -> None:
        self._holder_by_id = self._holders.by(_h.id)
        self._holder_by_staff_number = self._holders.by(_h.staff_number)
        self._holders_by_national_id = self._holders.look(
            select(*self._holders.columns)
            .join(tables.holder_national_id)
            .where(_n.national_id == bindparam("key"))
            .order_by(_h.id)
        )
        self._badge_by_id = self._badges.by(_b.id)
        self._badge_by_number = self._badges.by(_b.number)
        self._badge_by_uid = self._badges.by(_b.uid)
        self._badges_by_holder = self._badges.look(
            self._badges.query(_b.holder_id).order_by(_b.number)
        )
        self._presence_by_sid = self._presences.by(_p.sid)
        self._open_by_badge = self._presences.look(
            self._presences.query(_p.badge_id).where(_p.ended_at.is_(None)).order_by(_p.sid)
        )
        self._journal_by_uid = self._journals.by(_j.uid)
        self._keys_by_badge = self._stored_keys.look(
            self._stored_keys.query(_k.badge_id).order_by(_k.purpose, _k.generation)
        )
        self._mark_by_replica = self._marks.by(_m.replica)
        self._identity = self._identities.look(select(*self._identities.columns))

    def _build_lists(self) -> None:
        both = select(*self._badges.columns, *self._holders.columns).select_from(
            tables.badge.outerjoin(tables.holder)
        )
        self._both_by_uid = self._badges.look(both.where(_b.uid == bindparam("uid")))
        self._holder_pages = _pages(
            select(*self._holders.columns), _h.staff_number, _contains(_h.search, "q")
        )
        self._badge_pages = _pages(
            both,
            _b.number,
            or_(
                _contains(_b.search, "q"),
                _contains(_b.search, "compact"),
                _contains(_h.search, "q"),
            ),
        )

    def atomically(self) -> AbstractContextManager[None]:
        """Make the calls inside a `with` block one transaction of this thread.

        An inner block is a part of the outer one: where it raises, what it did is undone, and the
        outer one decides on the rest.
        """
        return self._connections.atomically()

    @contextmanager
    def hearing(
        self, ended: Callable[[PresenceRecord], None], missed: Callable[[], None]
    ) -> Iterator[None]:
        """Call `ended` for each presence that another key service on this database ends.

        `missed` is called where some of that may be lost. Both are called in a thread of the
        registry's own, until the end of the block. Raises StartError (`registry_in_use`) while the
        registry is migrated, or `registry_unavailable`.
        """

        def heard(payload: str) -> None:
            origin, _, sid = payload.partition(" ")
            if origin == self._own:
                return
            try:
                presence = self.presence(sid)
            except CarddError:
                missed()
                return
            if presence is not None and presence.ended_at is not None:
                ended(presence)

        with nullcontext() if self._channel is None else self._channel.hear(heard, missed):
            yield

    def close(self) -> None:
        """Close all connections; later calls raise KmsUnavailable."""
        self._connections.close()

    def ping(self) -> None:
        """Raise KmsUnavailable where the database cannot be used."""
        self._connections.check()
        if [row[0] for row in self._connections.rows(VERSION, {})] != [tables.SCHEMA_VERSION]:
            raise KmsUnavailable(
                "the registry has another schema version than this program; restart this service"
            )

    def add_holder(self, holder: Holder) -> None:
        """Insert; `conflict` where the id or staff number is taken."""
        with self.atomically():
            self._holders.add(holder)
            self._index_national_ids(holder)

    def put_holder(self, holder: Holder) -> Holder:
        """Replace."""
        with self.atomically():
            stored = self._holders.put(holder)
            self._connections.change(_FORGET_NATIONAL_IDS, {"key": holder.id})
            self._index_national_ids(holder)
        return stored

    def holder(self, holder_id: str) -> Holder | None:
        """Find by id."""
        return self._holders.one(self._holder_by_id, _h.id, holder_id)

    def holder_by_staff_number(self, staff_number: str) -> Holder | None:
        """Find by staff number."""
        return self._holders.one(self._holder_by_staff_number, _h.staff_number, staff_number)

    def holders(self, page: Page) -> tuple[list[Holder], str | None]:
        """List by staff number; `q` matches names and staff numbers, without case or accents."""
        found = self._page(self._holder_pages, page, "holders")
        items = [self._holders.read(row) for row in found[: page.limit]]
        more = len(found) > page.limit
        return items, search.cursor_after("holders", items[-1].staff_number) if more else None

    def holders_by_national_id(self, national_id: str) -> list[Holder]:
        """List those who have a national identifier, written as cards write it, by id."""
        found = {}
        for row in self._connections.rows(self._holders_by_national_id, {"key": national_id}):
            holder = self._holders.read(row)
            if national_id not in _national_ids(holder):
                self._holders.refuse(row)
            found[holder.id] = holder
        return list(found.values())

    def add_badge(self, badge: Badge) -> None:
        """Insert; `conflict` where the id, number or UID is taken, or its holder is unknown."""
        self._badges.add(badge)

    def put_badge(self, badge: Badge) -> Badge:
        """Replace."""
        return self._badges.put(badge)

    def badge(self, badge_id: str) -> Badge | None:
        """Find by id."""
        return self._badges.one(self._badge_by_id, _b.id, badge_id)

    def badge_by_number(self, number: str) -> Badge | None:
        """Find by printed number."""
        return self._badges.one(self._badge_by_number, _b.number, number)

    def badge_by_uid(self, uid: bytes) -> Badge | None:
        """Find by UID."""
        return self._badges.one(self._badge_by_uid, _b.uid, uid)

    def badge_and_holder(self, uid: bytes) -> BadgeAndHolder | None:
        """Find a badge by UID together with its holder, in one query: the tap's look-up."""
        found = self._connections.rows(self._both_by_uid, {"uid": uid})
        if not found:
            return None
        badge, holder = self._both(found[0])
        if badge.uid != uid:
            self._badges.refuse(found[0])
        return badge, holder

    def badges_of(self, holder_id: str) -> list[Badge]:
        """List a holder's badges, by number."""
        return self._badges.all(self._badges_by_holder, _b.holder_id, holder_id)

    def badges(self, page: Page) -> tuple[list[BadgeAndHolder], str | None]:
        """List by number; `q` matches numbers, UIDs and holders' names and staff numbers."""
        found = self._page(self._badge_pages, page, "badges")
        items = [self._both(row) for row in found[: page.limit]]
        more = len(found) > page.limit
        return items, search.cursor_after("badges", items[-1][0].number) if more else None

    def add_presence(self, presence: PresenceRecord) -> None:
        """Insert; `conflict` where the sid is taken, or its holder or badge is unknown."""
        self._presences.add(presence)

    def put_presence(self, presence: PresenceRecord) -> PresenceRecord:
        """Replace."""
        if presence.ended_at is None or self._channel is None:
            return self._presences.put(presence)
        with self.atomically():
            self._connections.rows(self._channel.send, {"payload": f"{self._own} {presence.sid}"})
            return self._presences.put(presence)

    def presence(self, sid: str) -> PresenceRecord | None:
        """Find by sid."""
        return self._presences.one(self._presence_by_sid, _p.sid, sid)

    def open_presences_of_badge(self, badge_id: str) -> list[PresenceRecord]:
        """List those that are not ended."""
        return self._presences.all(self._open_by_badge, _p.badge_id, badge_id)

    def last_used(self) -> dict[str, int]:
        """Return when each badge last opened a presence, in Unix seconds, by the badge's id."""
        return {str(row[0]): int(row[1]) for row in self._connections.rows(_LAST_USED, {})}

    def journal(self, uid: bytes) -> Journal | None:
        """Find by UID."""
        return self._journals.one(self._journal_by_uid, _j.uid, uid)

    def put_journal(self, journal: Journal) -> Journal:
        """Insert where `version` is 1, else replace; return it with the next version.

        So the first one that is stored has version 2, and a second one that begins at 1 for the
        same UID is refused (`conflict`): two stations do not encode one badge.
        """
        if journal.version == 1:
            return self._journals.put_first(journal)
        return self._journals.put(journal)

    def drop_journal(self, uid: bytes) -> None:
        """Delete; none is no error."""
        self._journals.drop(uid)

    def add_stored_key(self, key: StoredKey) -> None:
        """Insert; `conflict` where the badge has one of this purpose and generation."""
        self._stored_keys.add(key)

    def put_stored_key(self, key: StoredKey) -> StoredKey:
        """Replace."""
        return self._stored_keys.put(key)

    def stored_keys(self, badge_id: str) -> list[StoredKey]:
        """List those of a badge, by purpose and generation."""
        return self._stored_keys.all(self._keys_by_badge, _k.badge_id, badge_id)

    def drop_stored_key(self, key: StoredKey) -> None:
        """Delete; none is no error."""
        self._stored_keys.drop(key.badge_id, key.purpose.value, key.generation)

    def identity(self) -> RegistryIdentity:
        """Return whose registry this is; Refused (`registry_integrity`) where that is missing."""
        found = self._connections.rows(self._identity, {})
        if len(found) != 1:
            self._identities.refuse((f"one of {len(found)}",))
        return self._identities.read(found[0])

    def put_identity(self, identity: RegistryIdentity) -> RegistryIdentity:
        """Replace."""
        return self._identities.put(identity)

    def replica_mark(self, replica: str) -> ReplicaMark | None:
        """Find by the replica's name."""
        return self._marks.one(self._mark_by_replica, _m.replica, replica)

    def add_replica_mark(self, mark: ReplicaMark) -> None:
        """Insert; `conflict` where the replica has one."""
        self._marks.add(mark)

    def put_replica_mark(self, mark: ReplicaMark) -> ReplicaMark:
        """Replace."""
        return self._marks.put(mark)

    def _index_national_ids(self, holder: Holder) -> None:
        for national_id in sorted(_national_ids(holder)):
            parameters = {"national_id": national_id, "holder_id": holder.id}
            self._connections.change(_INDEX_NATIONAL_ID, parameters)

    def _both(self, row: Sequence[Any]) -> BadgeAndHolder:
        """Return badge and holder of a joined row, which must belong together."""
        own, other = row[: self._badges.width], row[self._badges.width :]
        badge = self._badges.read(own)
        holder = None if other[0] is None else self._holders.read(other)
        if badge.holder_id != (holder.id if holder else None):
            self._badges.refuse(own)
        return badge, holder

    def _page(
        self, pages: dict[tuple[bool, bool], Select[Any]], page: Page, listing: str
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a page, and one more where another page follows."""
        parameters: Parameters = {"look_ahead": page.limit + 1}
        if page.cursor is not None:
            parameters["after"] = search.key_before(listing, page.cursor)
        if page.q:
            parameters["q"] = search.pattern(page.q)
            parameters["compact"] = search.compact_pattern(page.q)
        statement = pages[page.cursor is not None, bool(page.q)]
        return self._connections.rows(statement, parameters)


def _national_ids(holder: Holder) -> frozenset[str]:
    return frozenset(map(canonical_national_id, holder.national_ids)) - {""}


def _contains(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return column.like(bindparam(name), escape=search.ESCAPE)


def _pages(
    query: Select[Any], key: ColumnElement[Any], matches: ColumnElement[bool]
) -> dict[tuple[bool, bool], Select[Any]]:
    """Build the queries of a list, by whether they go on after a cursor and whether they search."""
    ordered = query.order_by(key).limit(bindparam("look_ahead"))
    onward = ordered.where(key > bindparam("after"))
    return {
        (False, False): ordered,
        (True, False): onward,
        (False, True): ordered.where(matches),
        (True, True): onward.where(matches),
    }
