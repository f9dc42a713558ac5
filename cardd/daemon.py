"""The workstation's daemon: it wires the rooms together, and does nothing else."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import structlog

from cardd import __version__, logs
from cardd.api.backing import Backing
from cardd.api.server import Inherited, serve
from cardd.assembly import open_key_service
from cardd.clock import SystemClock
from cardd.config import Config
from cardd.config import Readers as ReaderSettings
from cardd.cps.trust import TrustStore
from cardd.lifecycle import (
    Lifecycle,
    Notifier,
    StopRequest,
    inherited_sockets,
    stop_on_signals,
    watchdog_interval_s,
)
from cardd.presence.workstation import Workstation
from cardd.readers.ports import ReaderSource
from cardd.readers.virtual import VirtualSource

WORKSTATION_STOP_S = 4.0

# The watching loops turn at least every 5 s, also while pcscd is away.
HEARTBEAT_LIMIT_S = 15.0

# A CPU-bound thread must not hold a card's thread back for 5 ms at a time.
SWITCH_INTERVAL_S = 0.0001

_log = structlog.get_logger(__name__)


def run(config: Config) -> None:
    """Run the daemon until SIGTERM or SIGINT; raise StartError where it cannot start."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    logs.configure(config.logs)
    asyncio.run(_run(config))


async def _run(config: Config) -> None:
    notifier = Notifier.from_environment()
    sockets = inherited_sockets()
    clock = SystemClock()
    stop = stop_on_signals(asyncio.get_running_loop())
    async with Lifecycle() as lifecycle:
        keys = lifecycle.enter_blocking("key service", open_key_service(config, clock))
        sources = lifecycle.enter_blocking("readers", _sources(config.readers))
        workstation = Workstation(
            service=keys,
            sources=sources,
            settings=config.presence,
            debounce_ms=config.readers.debounce_ms,
            clock=clock,
            trust=TrustStore(config.trust),
        )
        lifecycle.on_leave("workstation", workstation.stop, limit_s=WORKSTATION_STOP_S)
        await workstation.start()
        backing = Backing(
            workstation=workstation,
            keys=keys,
            issuer=config.site.issuer,
            device=config.site.device,
            version=__version__,
            development=config.development,
        )
        inherited = Inherited(agents=sockets.get("cardd"), admin=sockets.get("cardd-admin"))
        await lifecycle.enter("sockets", serve(backing, config.access, config.sockets, inherited))
        notifier.ready()
        _log.info("daemon.ready", socket=str(config.sockets.path), version=__version__)
        await _until_stopped(stop, notifier, sources)
        notifier.stopping()
        _log.info("daemon.stopping")


@contextmanager
def _sources(settings: ReaderSettings) -> Iterator[tuple[ReaderSource, ...]]:
    """Make the configured sources of readers; the addresses of virtual ones are taken at once."""
    virtual = [
        VirtualSource(
            reader.name,
            reader.listen,
            answer_timeout_s=settings.answer_timeout_s,
            has_pinpad=reader.pinpad,
        )
        for reader in settings.virtual
    ]
    with ExitStack() as stack:
        for source in virtual:
            source.open()
            stack.callback(source.stop)
        yield (*_pcsc(settings), *virtual)


def _pcsc(settings: ReaderSettings) -> tuple[ReaderSource, ...]:
    if not settings.pcsc:
        return ()
    # Here, so that cardd runs without pyscard where no reader needs it.
    from cardd.readers.pcsc import open_resource_manager  # noqa: PLC0415
    from cardd.readers.watcher import PcscSource  # noqa: PLC0415

    return (PcscSource(open_resource_manager()),)


async def _until_stopped(
    stop: StopRequest, notifier: Notifier, sources: tuple[ReaderSource, ...]
) -> None:
    """Wait for a signal; meanwhile feed the watchdog, as long as every reader's thread turns."""
    interval_s = watchdog_interval_s()
    while True:
        try:
            await asyncio.wait_for(stop.wait(), interval_s)
        except TimeoutError:
            oldest = min((source.heartbeat() for source in sources), default=time.monotonic())
            if time.monotonic() - oldest < HEARTBEAT_LIMIT_S:
                notifier.watchdog()
        else:
            return
