"""Who is at the other end of a Unix socket, as the kernel tells it."""

import errno
import socket
import struct
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Linux, asm-generic/socket.h; Python names SO_PEERCRED alone.
_SO_PEERGROUPS = 59
_UCRED = struct.Struct("iII")
# CPython reads at most this many bytes of a socket option: 256 groups.
_MAX_OPTION = 1024
_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")
_NO_UID = 0xFFFFFFFF


class Caller(Protocol):
    """Who made a connection, however that is known."""

    @property
    def account(self) -> Hashable:
        """Whose connections are counted together."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that connected: its credentials when it did. `groups` includes `gid`."""

    uid: int
    gid: int
    groups: frozenset[int]
    pid: int

    @property
    def account(self) -> int:
        """Whose connections are counted together: the user's."""
        return self.uid


def peer_of(connection: socket.socket) -> Peer:
    """Read SO_PEERCRED and SO_PEERGROUPS (unix(7)) of a connected Unix socket; raises OSError.

    A process of more than 256 groups counts with its primary one alone: it can only lose rights.
    """
    pid, uid, gid = _UCRED.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    )
    return Peer(uid, gid, frozenset({gid, *_supplementary(connection)}), pid)


def _supplementary(connection: socket.socket) -> tuple[int, ...]:
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_OPTION)
    except OSError as error:
        if error.errno in {errno.ERANGE, errno.ENOPROTOOPT, errno.ENODATA}:
            return ()
        raise
    return struct.unpack(f"{len(raw) // 4}I", raw)


def nameless_uids() -> frozenset[int]:
    """Return the uids that name nobody: the kernel's overflow uid, and -1.

    A peer from another user namespace reads as the overflow uid: many people, one number.
    """
    try:
        overflow = int(_OVERFLOW_UID.read_text(encoding="ascii"))
    except (OSError, ValueError):
        overflow = 65534
    return frozenset({overflow, _NO_UID})
