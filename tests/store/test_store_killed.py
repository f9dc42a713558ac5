"""The process is killed in the middle of a transaction."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from cardd.badges.states import BadgeState
from cardd.kms.messages import Page
from cardd.store.opening import open_registry, place

CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
from conftest import CmacSealer, Things
from dataclasses import replace
from cardd.badges.states import BadgeState
from cardd.store.opening import open_registry, place

things = Things()
registry = open_registry(place(sys.argv[1]), CmacSealer())
badge = registry.badge(things.badge(1).id)
revoked = registry.put_badge(replace(badge, state=BadgeState.REVOKED, reason="lost"))
with registry.atomically():
    registry.put_badge(replace(revoked, state=BadgeState.WIPED))
    for n in range(100, 2000):  # more than the page cache keeps
        registry.add_holder(things.holder(n, groups=("g" * 2000,)))
    print("in the middle", flush=True)
    sys.stdin.read()
"""


def test_a_process_killed_in_a_transaction_leaves_all_before_and_nothing_of_it(
    peopled, url, sealer, things, sql
):
    peopled.close()
    command = [sys.executable, "-c", CHILD, url, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout.readline() == b"in the middle\n"
        finally:
            os.kill(child.pid, signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
    registry = open_registry(place(url), sealer)
    try:
        badge = registry.badge(things.badge(1).id)
        assert (badge.state, badge.version) == (BadgeState.REVOKED, 2)
        assert len(registry.holders(Page())[0]) == 2
        registry.put_badge(replace(badge, state=BadgeState.WIPED))
    finally:
        registry.close()
    if url.startswith("sqlite:"):
        assert sql("PRAGMA integrity_check") == [("ok",)]
