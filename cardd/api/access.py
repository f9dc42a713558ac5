"""What a peer may do: the `[access]` table of the configuration, resolved once at the start.

Nobody has a right that no grant names: neither root nor the user that the daemon runs as. They can
change the configuration anyhow; a grant makes it visible that they use the socket too.
`authenticate` and `admin` include `observe`: both see more than an observer does.
"""

import grp
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from cardd.api.peers import Peer, nameless_uids
from cardd.config import Access, Grant, Right
from cardd.errors import StartCode, StartError

ANY_AUDIENCE = "*"
_LARGEST_ID = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class Standing:
    """The rights of one peer, and the audiences that its `authenticate` is for."""

    rights: frozenset[Right] = frozenset()
    audiences: frozenset[str] = frozenset()

    def has_any(self, rights: frozenset[Right]) -> bool:
        """Tell whether the peer holds one of these rights."""
        return bool(self.rights & rights)

    def may_ask_for(self, audience: str) -> bool:
        """Tell whether an assertion for this audience may be given to the peer."""
        return audience in self.audiences or ANY_AUDIENCE in self.audiences

    @property
    def of_seat(self) -> bool:
        """Whether the peer may know who is at the workstation.

        There is one seat, of all readers and of the uids that hold `authenticate`;
        administrators see every seat.
        """
        return self.has_any(frozenset({"authenticate", "admin"}))


class AccessTable:
    """The grants by uid and gid."""

    def __init__(
        self, users: dict[int, list[Grant]], groups: dict[int, list[Grant]], refused: frozenset[int]
    ) -> None:
        self._users = users
        self._groups = groups
        self._refused = refused

    @classmethod
    def resolve(cls, access: Access) -> "AccessTable":
        """Look up every name; raise StartError (`config_invalid`) for one that nobody bears."""
        users: dict[int, list[Grant]] = {}
        groups: dict[int, list[Grant]] = {}
        refused = nameless_uids()
        for number, grant in enumerate(access.grants, 1):
            entry = f"access.grants, entry {number}"
            if grant.user is not None:
                uid = resolve(grant.user, lambda name: pwd.getpwnam(name).pw_uid, entry, "user")
                if uid in refused:
                    _refuse(entry, f"user {grant.user!r} is the overflow uid, which is nobody's")
                users.setdefault(uid, []).append(grant)
            if grant.group is not None:
                gid = resolve(grant.group, lambda name: grp.getgrnam(name).gr_gid, entry, "group")
                groups.setdefault(gid, []).append(grant)
        return cls(users, groups, refused)

    def knows(self, peer: Peer) -> bool:
        """Tell whether the peer's uid names one user: the overflow uid does not."""
        return peer.uid not in self._refused

    def standing(self, peer: Peer) -> Standing:
        """Return what a peer may do; a refused uid may do nothing."""
        if not self.knows(peer):
            return Standing()
        grants = list(self._users.get(peer.uid, ()))
        for gid in peer.groups:
            grants += self._groups.get(gid, ())
        rights: set[Right] = {right for grant in grants for right in grant.rights}
        if rights & {"authenticate", "admin"}:
            rights.add("observe")
        audiences = {audience for grant in grants for audience in grant.audiences}
        return Standing(frozenset(rights), frozenset(audiences))


def resolve(name: str, look_up: Callable[[str], int], entry: str, kind: str) -> int:
    """Return the number of a user or group, given by name or number.

    Raises StartError (`config_invalid`) where there is none; `entry` is where it is named.
    """
    if name.isascii() and name.isdigit():
        number = int(name[:11])
        if number > _LARGEST_ID:
            _refuse(entry, f"there is no {kind} number {name}")
        return number
    try:
        return look_up(name)
    except (KeyError, ValueError):
        _refuse(entry, f"there is no {kind} {name!r} here; create it, or take the entry out")


def _refuse(entry: str, reason: str) -> NoReturn:
    raise StartError(StartCode.CONFIG_INVALID, f"{entry}: {reason}", entry=entry)
