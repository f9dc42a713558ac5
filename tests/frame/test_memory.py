"""A process that protects its memory, seen by the kernel; no other process is changed."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PROGRAM = """
import ctypes, json, os, resource, sys
from dataclasses import asdict
from cardd.memory import protect_memory
if "limited" in sys.argv:
    # As an ordinary user has it: a limit, and no capability to pass it.
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 16, 1 << 16))
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
reached = asdict(protect_memory())
kept = bytearray(32 << 20)
kept[:] = b"x" * len(kept)
status = dict(
    line.split(":", 1) for line in open("/proc/self/status").read().splitlines() if ":" in line
)
limits = open("/proc/self/limits").read().splitlines()
core = next(line.split() for line in limits if line.startswith("Max core file size"))
print(json.dumps({
    "reached": reached,
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "core": core[4:6],
    "locked_kb": int(status["VmLck"].split()[0]),
    "mem_owner": os.stat("/proc/self/mem").st_uid,
}))
"""


def seen(*arguments: str) -> dict[str, object]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    result: dict[str, object] = json.loads(ran.stdout)
    return result


def test_no_core_and_no_other_program_of_the_user_sees_it() -> None:
    found = seen()
    assert found["dumpable"] == 0
    assert found["core"] == ["0", "0"]
    assert found["mem_owner"] == 0  # proc(5): root owns the files of what is not dumpable
    reached = found["reached"]
    assert isinstance(reached, dict)
    assert reached["undumpable"]
    assert reached["no_core"]


def test_what_it_allocates_later_is_locked_where_it_may_lock() -> None:
    found = seen()
    if not found["reached"]["locked"]:  # type: ignore[index]
        soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        assert soft != resource.RLIM_INFINITY
        pytest.skip("this machine does not let us lock memory")
    assert found["locked_kb"] > 32 << 10  # type: ignore[operator]


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] == 0, reason="no limit to set")
def test_under_a_limit_nothing_is_locked_and_allocation_goes_on() -> None:
    found = seen("limited")
    assert found["locked_kb"] == 0
    assert found["reached"] == {"undumpable": True, "no_core": True, "locked": False}
