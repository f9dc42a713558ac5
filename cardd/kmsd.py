"""The key service as a process of its own: it wires the rooms together, and does nothing else."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import structlog

from cardd import __version__, logs
from cardd.api.kms_calls import KmsBacking
from cardd.api.kms_clients import ClientTable
from cardd.api.kms_server import KmsServer, KmsSockets, serve_kms
from cardd.assembly import open_kms
from cardd.clock import SystemClock
from cardd.config import Config
from cardd.config_kms import EMBEDDED
from cardd.errors import CarddError, StartCode, StartError
from cardd.lifecycle import (
    Lifecycle,
    Notifier,
    StopRequest,
    inherited_sockets,
    stop_on_signals,
    watchdog_interval_s,
)
from cardd.memory import protect_memory
from cardd.worker import Workers

UNIX_SOCKET = "cardd-kms"
HTTPS_SOCKET = "cardd-kms-https"
JWKS_SOCKET = "cardd-kms-jwks"

# A CPS whose responder is slow keeps one of them for 3 s; a badge, for less than a millisecond.
THREADS = 16
SERVER_STOP_S = 3.0
WORKERS_STOP_S = 0.5
KEYS_STOP_S = 1.0

# Shorter than the default: many threads that each compute little.
SWITCH_INTERVAL_S = 0.0005

Read = Callable[[], Config]
"""Reads the configuration again; StartError."""

_log = structlog.get_logger(__name__)


def run(config: Config, read: Read) -> None:
    """Serve until SIGTERM or SIGINT; take clients and certificates anew on SIGHUP.

    Raises StartError where it cannot start.
    """
    if config.kms.urls != EMBEDDED:
        raise StartError(
            StartCode.CONFIG_INVALID,
            'this configuration is a workstation\'s: the key service has kms.urls = ["embedded:"], '
            "or none",
        )
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    logs.configure(config.logs)
    _log.info("memory.protection", **asdict(protect_memory()))
    asyncio.run(_run(config, read))


async def _run(config: Config, read: Read) -> None:
    notifier = Notifier.from_environment()
    sockets = _inherited()
    stop = stop_on_signals(asyncio.get_running_loop())
    reload = _reload_on_signal(asyncio.get_running_loop())
    async with Lifecycle() as lifecycle:
        clients = ClientTable.resolve(config)
        keys = open_kms(config, SystemClock())
        kms = lifecycle.enter_blocking("key service", keys, limit_s=KEYS_STOP_S)
        workers = lifecycle.enter_blocking("workers", _started(Workers("kms", THREADS)))
        backing = KmsBacking(kms, workers, clients, __version__)
        server = await lifecycle.enter(
            "sockets", serve_kms(backing, config, sockets), limit_s=SERVER_STOP_S
        )
        notifier.ready()
        _log.info(
            "kms.ready",
            socket=str(config.kms.listen.socket),
            https=server.https,
            jwks=server.jwks,
            version=__version__,
        )
        await _until_stopped(stop, reload, notifier, lambda: _reload(server, read, notifier))
        notifier.stopping()
        _log.info("kms.stopping")


@contextmanager
def _started(workers: Workers) -> Iterator[Workers]:
    workers.start()
    try:
        yield workers
    finally:
        workers.stop(WORKERS_STOP_S)


def _inherited() -> KmsSockets:
    """Take the sockets that the service manager opened; refuse one of another name."""
    sockets = inherited_sockets()
    names = (UNIX_SOCKET, HTTPS_SOCKET, JWKS_SOCKET)
    unknown = sockets.keys() - set(names)
    if unknown:
        raise StartError(
            StartCode.SOCKET_UNAVAILABLE,
            f"the service manager passed the socket {', '.join(sorted(unknown))}; the units need "
            f"FileDescriptorName={', '.join(names)}",
        )
    return KmsSockets(*(sockets.get(name) for name in names))


def _reload_on_signal(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    event = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, event.set)
    return event


async def _reload(server: KmsServer, read: Read, notifier: Notifier) -> None:
    """Read the configuration again; what is wrong in it is logged, and nothing changes."""
    notifier.reloading()
    try:
        await server.reload(read())
        _log.info("kms.reloaded")
    except CarddError as error:
        _log.error("kms.reload_refused", code=str(error.code), reason=str(error))
    notifier.ready()


async def _until_stopped(
    stop: StopRequest,
    reload: asyncio.Event,
    notifier: Notifier,
    reload_now: Callable[[], Awaitable[None]],
) -> None:
    """Wait for a signal; meanwhile feed the watchdog, as long as the event loop turns."""
    interval_s = watchdog_interval_s()
    stopped = asyncio.create_task(stop.wait())
    while True:
        asked = asyncio.create_task(reload.wait())
        done, _ = await asyncio.wait(
            {stopped, asked}, timeout=interval_s, return_when=asyncio.FIRST_COMPLETED
        )
        asked.cancel()
        if stopped in done:
            return
        if reload.is_set():
            reload.clear()
            await reload_now()
        if interval_s is not None:
            notifier.watchdog()
