"""How a service starts and ends: resources, the service manager, inherited sockets, signals.

The protocol with the service manager is sd_notify(3) and sd_listen_fds(3), by the standard library.
"""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import structlog

from cardd.errors import StartCode, StartError

_log = structlog.get_logger(__name__)

# sd_listen_fds(3): SD_LISTEN_FDS_START.
FIRST_INHERITED = 3
_MOST_INHERITED = 64

Leave = Callable[[], Awaitable[object]]
Resource = TypeVar("Resource")


class Lifecycle:
    """What was entered is left in reverse order, each within its time limit, whatever happens.

    An async context manager. What does not end in time, or fails to, is logged and left behind:
    a stuck card must not keep the process alive.
    """

    def __init__(self) -> None:
        self._leaves: list[tuple[str, Leave, float]] = []

    def on_leave(self, name: str, leave: Leave, *, limit_s: float = 2.0) -> None:
        """Await `leave` on the way out. `name` is for the logs."""
        self._leaves.append((name, leave, limit_s))

    async def enter(
        self, name: str, resource: AbstractAsyncContextManager[Resource], *, limit_s: float = 2.0
    ) -> Resource:
        """Enter an async context manager now, and leave it on the way out."""
        entered = await resource.__aenter__()
        self.on_leave(name, lambda: resource.__aexit__(None, None, None), limit_s=limit_s)
        return entered

    def enter_blocking(
        self, name: str, resource: AbstractContextManager[Resource], *, limit_s: float = 2.0
    ) -> Resource:
        """Enter a context manager now, and leave it in a thread of its own: that may block."""
        entered = resource.__enter__()
        self.on_leave(
            name,
            lambda: _in_thread(name, lambda: resource.__exit__(None, None, None)),
            limit_s=limit_s,
        )
        return entered

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._leaves:
            name, leave, limit_s = self._leaves.pop()
            await _leave(name, leave, limit_s)


async def _leave(name: str, leave: Leave, limit_s: float) -> None:
    try:
        await asyncio.wait_for(leave(), limit_s)
    except TimeoutError:
        _log.error("lifecycle.left_behind", resource=name, limit_s=limit_s)
    except Exception:  # noqa: BLE001 - the others are still to be left
        _log.exception("lifecycle.leave_failed", resource=name)


async def _in_thread(name: str, function: Callable[[], object]) -> None:
    """Run a function in a daemon thread: an executor's would be joined when the process ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        outcome = None
        try:
            function()
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            outcome = error
        # The loop may have given up on this thread and closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, name=f"leave {name}", daemon=True).start()
    await done


class Notifier:
    """Tells the service manager how the service does; without one it does nothing."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] | None = None) -> Self:
        """Take the address out of NOTIFY_SOCKET, so that no child process inherits it."""
        environment = os.environ if environment is None else environment
        address = environment.pop("NOTIFY_SOCKET", None)
        return cls(address if address and address[0] in "/@" else None)

    def ready(self) -> None:
        """Say that the sockets listen."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` says that it is done."""
        self._send("RELOADING=1")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Say that the service lives."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if self._address is None:
            return
        # A leading @ stands for the null byte of an abstract socket.
        address = self._address.replace("@", "\0", 1) if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), address)
        except OSError as error:
            _log.warning("lifecycle.notify_failed", state=state, error=str(error))


def watchdog_interval_s(environment: MutableMapping[str, str] | None = None) -> float | None:
    """Return how often the service manager wants to hear `watchdog`: half its limit; None: never.

    Source: sd_watchdog_enabled(3).
    """
    environment = os.environ if environment is None else environment
    pid = environment.get("WATCHDOG_PID")
    limit = environment.get("WATCHDOG_USEC", "")
    if pid not in (None, str(os.getpid())) or not limit.isdecimal() or int(limit) == 0:
        return None
    return int(limit) / 2e6


def inherited_sockets(
    environment: MutableMapping[str, str] | None = None, *, first: int = FIRST_INHERITED
) -> dict[str, socket.socket]:
    """Return the sockets that the service manager opened for this process, by FileDescriptorName.

    The variables are taken out of the environment, so that no child process picks them up again.
    Raises StartError (`socket_unavailable`) where they make no sense. Source: sd_listen_fds(3).
    """
    environment = os.environ if environment is None else environment
    pid = environment.pop("LISTEN_PID", None)
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "")
    if pid != str(os.getpid()) or not count:
        return {}
    if not count.isdecimal() or not 0 <= int(count) <= _MOST_INHERITED:
        raise StartError(StartCode.SOCKET_UNAVAILABLE, f"LISTEN_FDS={count!r} is no count")
    labels = names.split(":") if names else ["unknown"] * int(count)
    if len(labels) != int(count) or len(set(labels)) != len(labels):
        raise StartError(
            StartCode.SOCKET_UNAVAILABLE,
            f"{count} inherited sockets need {count} different names and have {labels};"
            " give each .socket unit its FileDescriptorName=",
        )
    return {label: _adopt(first + index, label) for index, label in enumerate(labels)}


def _adopt(descriptor: int, label: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(
            StartCode.SOCKET_UNAVAILABLE,
            f"the inherited descriptor {descriptor} ({label}) is no socket: {error.strerror}",
        ) from error


@dataclass(slots=True)
class StopRequest:
    """Set by the first SIGTERM or SIGINT; the second one ends the process at once."""

    event: asyncio.Event
    received: signal.Signals | None = None

    async def wait(self) -> None:
        """Return once a signal has come."""
        await self.event.wait()


def stop_on_signals(loop: asyncio.AbstractEventLoop) -> StopRequest:
    """Take SIGTERM and SIGINT over on a running loop, in the main thread."""
    request = StopRequest(asyncio.Event())

    def receive(number: signal.Signals) -> None:
        if request.event.is_set():
            # Nothing may stand in the way of a second request: no handler, no thread, no flush.
            os._exit(128 + number)
        request.received = number
        request.event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive, number)
    return request
