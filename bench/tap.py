"""A tap, from the badge's arrival to the event at a subscribed client, against its floor."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.result import Result
from cardd.client import AdminClient
from cardd.client.events import EventStream
from scripts.world import World
from simulators.desfire.picc import VirtualDesfire
from simulators.link import insert

TAPS = 200
WARM_UP = 20
EMBEDDED_TARGET = 2.0
WAIT_S = 20.0


def run() -> Iterator[Result]:
    """Tap and floor by turns, at one cadence; EV2 and EV1, at no card latency."""
    for product, scheme in (("ev2", "EV2_FIRST"), ("ev1", "AES")):
        taps, floors = measure(product, scheme)
        ratio = statistics.median(taps) / statistics.median(floors)
        yield Result(
            f"tap, {product}, embedded KMS, built-in reader, median",
            statistics.median(taps),
            "ms",
            f"the same 4 commands by a bare loop: {statistics.median(floors):.2f} ms",
            ratio,
            EMBEDDED_TARGET,
            ratio <= EMBEDDED_TARGET,
        )
        late, floor_late = (statistics.quantiles(times, n=100)[98] for times in (taps, floors))
        yield Result(
            f"tap, {product}, embedded KMS, built-in reader, p99",
            late,
            "ms",
            f"likewise: {floor_late:.2f} ms",
            late / floor_late,
        )


def measure(product: str, scheme: str) -> tuple[list[float], list[float]]:
    """Return the milliseconds of taps and of their floor, interleaved."""
    with World(light=True) as world:
        world.run("cardd-kms", "init", "--config", world.configuration)
        world.start_daemon()
        admin = AdminClient(world.folder / "admin.sock")
        badge = VirtualDesfire.factory(product)
        holder = admin.add_holder("1").id
        with insert(badge, world.place.address):
            admin.enrol(holder, timeout_s=WAIT_S)
        world.await_empty()
        with admin.events(timeout_s=WAIT_S) as events, floor(world.folder, badge, scheme) as bare:
            next(events)
            times = [
                (one_tap(badge, world.place.address, events), one_floor(badge, world.folder, bare))
                for _ in range(WARM_UP + TAPS)
            ][WARM_UP:]
    return [tap for tap, _ in times], [bottom for _, bottom in times]


def one_tap(badge: VirtualDesfire, address: str, events: EventStream) -> float:
    """Tap, and return the milliseconds until the client has the event."""
    began = time.perf_counter()
    with insert(badge, address):
        while (event := next(events)).type != "tap":
            pass
        took = (time.perf_counter() - began) * 1000
    if event.data["outcome"] != "succeeded":
        raise RuntimeError(f"a tap was refused: {event.data}")
    while next(events).type != "card.removed":
        pass
    return took


def one_floor(badge: VirtualDesfire, folder: Path, bare: "subprocess.Popen[str]") -> float:
    """Show the badge to the bare loop, and return the milliseconds until it is done."""
    assert bare.stdout is not None
    began = time.perf_counter()
    with insert(badge, f"unix:{folder}/floor.reader"):
        line = bare.stdout.readline()
        took = (time.perf_counter() - began) * 1000
    if line != "done\n":
        raise RuntimeError("the bare loop ended")
    return took


def floor(folder: Path, badge: VirtualDesfire, scheme: str) -> "subprocess.Popen[str]":
    """Start the bare loop with the badge's authentication key, read from the virtual chip."""
    application = badge.to_json()["applications"][0]
    bare = subprocess.Popen(
        [sys.executable, "-m", "bench.floor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert bare.stdin is not None
    assert bare.stdout is not None
    told = {
        "address": f"unix:{folder}/floor.reader",
        "aid": int.from_bytes(bytes.fromhex(application["aid"]), "little"),
        "key": application["keys"][1]["value"],
        "scheme": scheme,
        "taps": WARM_UP + TAPS,
    }
    bare.stdin.write(json.dumps(told) + "\n")
    bare.stdin.flush()
    bare.stdout.readline()
    return bare
