"""Entering, leaving, the service manager's two protocols, and signals."""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardd.errors import StartCode, StartError
from cardd.lifecycle import (
    Lifecycle,
    Notifier,
    inherited_sockets,
    watchdog_interval_s,
)
from tests.limits import ends_soon

pytestmark = pytest.mark.unit


@contextmanager
def leaving(leave: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        leave()


def test_resources_are_left_in_reverse_order_also_after_an_error() -> None:
    left: list[str] = []

    async def scenario() -> None:
        async def leave(name: str) -> None:
            left.append(name)

        async with Lifecycle() as life:
            life.on_leave("store", lambda: leave("store"))
            life.enter_blocking("readers", leaving(lambda: left.append("readers")))
            life.on_leave("sockets", lambda: leave("sockets"))
            raise ValueError("start went wrong")

    with pytest.raises(ValueError, match="start went wrong"):
        asyncio.run(scenario())
    assert left == ["sockets", "readers", "store"]


def test_what_does_not_end_in_time_is_left_behind_and_the_others_still_end() -> None:
    stuck = threading.Event()
    left: list[str] = []

    async def scenario() -> None:
        async def fail() -> None:
            raise OSError("already gone")

        async with Lifecycle() as life:
            life.enter_blocking("first", leaving(lambda: left.append("first")))
            life.on_leave("broken", fail)
            life.enter_blocking("stuck", leaving(stuck.wait), limit_s=0.05)
            life.on_leave("waits", lambda: asyncio.sleep(60), limit_s=0.05)

    with ends_soon():
        asyncio.run(scenario())
    assert left == ["first"]
    stuck.set()


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_ready_watchdog_and_stopping(
    tmp_path: Path, abstract: bool
) -> None:
    name = f"@cardd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        environment = {"NOTIFY_SOCKET": name}
        notifier = Notifier.from_environment(environment)
        notifier.ready()
        notifier.watchdog()
        notifier.stopping()
        heard = [manager.recv(256) for _ in range(3)]
    assert heard == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
    assert environment == {}


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/notify"])
def test_without_a_service_manager_nothing_fails(address: str | None) -> None:
    Notifier.from_environment({"NOTIFY_SOCKET": address} if address is not None else {}).ready()


def test_the_watchdog_is_fed_twice_in_its_limit() -> None:
    assert watchdog_interval_s({"WATCHDOG_USEC": "10000000"}) == 5.0
    assert watchdog_interval_s({"WATCHDOG_USEC": "10", "WATCHDOG_PID": str(os.getpid())}) == 5e-6


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-5"}, {"WATCHDOG_USEC": "5 s"},
     {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)  # fmt: skip
def test_no_watchdog_is_fed_where_none_is_asked_for(environment: dict[str, str]) -> None:
    assert watchdog_interval_s(environment) is None


def inherit(count: int, **changes: str) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), **changes}


def test_inherited_sockets_are_found_by_name(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "one"))
        # Two duplicates that the code under test owns afterwards, on consecutive descriptors.
        first = fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 500)
        assert fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, first + 1) == first + 1
        environment = inherit(2, LISTEN_FDNAMES="agents:admin")
        found = inherited_sockets(environment, first=first)
    assert list(found) == ["agents", "admin"]
    assert {each.getsockname() for each in found.values()} == {str(tmp_path / "one")}
    assert not any(each.get_inheritable() for each in found.values())
    assert environment == {}
    for each in found.values():
        each.close()


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, inherit(0)],
)
def test_sockets_meant_for_another_process_are_left_alone(environment: dict[str, str]) -> None:
    assert inherited_sockets(environment) == {}


@pytest.mark.parametrize(
    "environment",
    [inherit(2, LISTEN_FDNAMES="a:a"), inherit(2, LISTEN_FDNAMES="a"), inherit(2),
     inherit(65), {**inherit(1), "LISTEN_FDS": "-1"}, {**inherit(1), "LISTEN_FDS": "x"}],
)  # fmt: skip
def test_inherited_sockets_that_make_no_sense_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(StartError) as caught:
        inherited_sockets(environment, first=1000)
    assert caught.value.code is StartCode.SOCKET_UNAVAILABLE


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(StartError) as caught:
        inherited_sockets(inherit(1, LISTEN_FDNAMES="agents"), first=file.fileno())
    assert caught.value.code is StartCode.SOCKET_UNAVAILABLE


WAITS = """
import asyncio, signal, sys
from cardd.lifecycle import stop_on_signals

async def main():
    request = stop_on_signals(asyncio.get_running_loop())
    print("ready", flush=True)
    await request.wait()
    print("stopping", request.received.name, flush=True)
    if sys.argv[1] == "stuck":
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_to_stop(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS, "clean"], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(number)
        assert child.stdout.readline() == f"stopping {number.name}\n".encode()
        assert child.wait(10) == 0


def test_the_second_signal_ends_a_stuck_process_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS, "stuck"], stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 128 + signal.SIGTERM
