"""The workstation's daemon: it wires the rooms together, and does nothing else."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

import structlog

from cardd import __version__, logs
from cardd.api.backing import Backing
from cardd.api.server import Inherited, serve
from cardd.assembly import open_key_service
from cardd.badges.inspection.case import Policy
from cardd.badges.model import Scheme
from cardd.clock import SystemClock
from cardd.config import Config
from cardd.config import Readers as ReaderSettings
from cardd.cps.trust import TrustStore
from cardd.desfire import originality
from cardd.errors import StartCode, StartError
from cardd.kms.ports import KeyService
from cardd.lifecycle import (
    Lifecycle,
    Notifier,
    StopRequest,
    inherited_sockets,
    stop_on_signals,
    watchdog_interval_s,
)
from cardd.memory import protect_memory
from cardd.presence.inspecting import Inspector
from cardd.presence.workstation import Workstation
from cardd.readers.ports import ReaderSource
from cardd.readers.trace import TracedSource
from cardd.readers.virtual import VirtualSource

AGENTS_SOCKET = "cardd"
ADMIN_SOCKET = "cardd-admin"

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
    _log.info("memory.protection", **asdict(protect_memory()))
    asyncio.run(_run(config))


async def _run(config: Config) -> None:
    notifier = Notifier.from_environment()
    sockets = _inherited()
    clock = SystemClock()
    stop = stop_on_signals(asyncio.get_running_loop())
    async with Lifecycle() as lifecycle:
        keys = lifecycle.enter_blocking("key service", open_key_service(config, clock))
        sources = lifecycle.enter_blocking("readers", _sources(config))
        workstation = Workstation(
            service=keys,
            sources=sources,
            settings=config.presence,
            debounce_ms=config.readers.debounce_ms,
            clock=clock,
            trust=TrustStore(config.trust),
            inspector=_inspector(config, keys),
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
        await lifecycle.enter("sockets", serve(backing, config.access, config.sockets, sockets))
        notifier.ready()
        _log.info("daemon.ready", socket=str(config.sockets.path), version=__version__)
        await _until_stopped(stop, notifier, sources)
        notifier.stopping()
        _log.info("daemon.stopping")


def _inspector(config: Config, keys: KeyService) -> Inspector:
    """Make what inspects cards; StartError for a test key that is none."""
    badge = config.badge
    try:
        test_keys = tuple(map(originality.virtual_key, badge.originality_test_keys))
    except ValueError:
        raise StartError(
            StartCode.CONFIG_INVALID,
            "badge.originality_test_keys holds a key that is no point of secp224r1; take the one "
            "that cardd-sim show prints",
        ) from None
    policy = Policy(badge.aid.upper(), Scheme(badge.minimum_scheme))
    return Inspector(keys, policy, test_keys)


def _inherited() -> Inherited:
    """Take the sockets that the service manager opened; refuse one of another name."""
    sockets = inherited_sockets()
    unknown = sockets.keys() - {AGENTS_SOCKET, ADMIN_SOCKET}
    if unknown:
        raise StartError(
            StartCode.SOCKET_UNAVAILABLE,
            f"the service manager passed the socket {', '.join(sorted(unknown))}; the units need "
            f"FileDescriptorName={AGENTS_SOCKET} and FileDescriptorName={ADMIN_SOCKET}",
        )
    return Inherited(agents=sockets.get(AGENTS_SOCKET), admin=sockets.get(ADMIN_SOCKET))


@contextmanager
def _sources(config: Config) -> Iterator[tuple[ReaderSource, ...]]:
    """Make the configured sources of readers; the addresses of virtual ones are taken at once.

    At debug level each exchange with a card is logged, without its data.
    """
    settings = config.readers
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
        sources = (*_pcsc(settings), *virtual)
        traced = config.logs.level == "debug"
        yield tuple(TracedSource(source) for source in sources) if traced else sources


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
