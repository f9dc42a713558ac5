"""Keeps the memory of a process that holds keys off the disk and from other programs of its user.

Three calls of Linux, and no more than they do: PR_SET_DUMPABLE 0 (prctl(2): no core dump, no
ptrace and no /proc/PID/mem for programs of the same user), RLIMIT_CORE 0 (setrlimit(2)), and
mlockall(2), so that nothing is written to swap. Root reads the memory all the same, hibernation
writes it to the disk, and Python copies bytes where it likes and wipes none.
"""

import ctypes
import resource
from dataclasses import dataclass
from pathlib import Path

# linux/prctl.h, linux/mman.h (ONFAULT: since 4.4), linux/capability.h
_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK = 14

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Protection:
    """What was reached. Where `locked` is False, this process's memory can reach the swap."""

    undumpable: bool
    no_core: bool
    locked: bool


def protect_memory() -> Protection:
    """Do what this process is allowed to, and tell what that was; to be called before keys load."""
    libc = ctypes.CDLL(None)
    return Protection(
        undumpable=libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0,
        no_core=_without_core(),
        locked=_may_lock_all() and _lock_all(libc),
    )


def _without_core() -> bool:
    if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):
        # Not where it is so already: a unit's filter of system calls may end who sets a limit.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return True


def _may_lock_all() -> bool:
    """Tell whether no limit holds: under one, what is allocated later would fail, and so cardd."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return soft == resource.RLIM_INFINITY or _has_capability(_CAP_IPC_LOCK)


def _has_capability(number: int) -> bool:
    try:
        lines = _STATUS.read_bytes().splitlines()
    except OSError:
        return False
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"CapEff":
            return bool(int(value, 16) >> number & 1)
    return False


def _lock_all(libc: ctypes.CDLL) -> bool:
    # On fault: the unused rest of each thread's stack takes no memory.
    return bool(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)
