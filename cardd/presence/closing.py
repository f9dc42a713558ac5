"""Stopping threads without waiting for those that do not end."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from cardd.readers.ports import ReaderSource
from cardd.worker import Worker

SOURCES_S = 2.5  # a source's `stop` promises 2 s
WORKERS_S = 1.0


async def stop_sources(sources: Sequence[ReaderSource]) -> None:
    """Stop all sources at the same time, and wait at most 2.5 s for them."""
    stoppers = [Worker(f"stop {source.name}") for source in sources]
    stopping = []
    for source, stopper in zip(sources, stoppers, strict=True):
        stopper.start()
        stopping.append(asyncio.ensure_future(stopper.call(source.stop)))
    await _settle(stopping, SOURCES_S)
    for stopper in stoppers:
        stopper.stop(0.0)


async def stop_workers(*groups: Iterable[Worker]) -> None:
    """Ask workers to end after what they have queued, and wait at most 1 s for all of them."""
    workers = [worker for group in groups for worker in group]
    for worker in workers:
        worker.stop(0.0)
    latest = time.monotonic() + WORKERS_S

    def wait() -> None:
        for worker in workers:
            worker.stop(max(latest - time.monotonic(), 0.0))

    waiter = Worker("stop workers")
    waiter.start()
    await _settle([asyncio.ensure_future(waiter.call(wait))], WORKERS_S + 0.2)
    waiter.stop(0.0)


async def _settle(tasks: Sequence[asyncio.Future[None]], timeout_s: float) -> None:
    """Wait for tasks, and leave those that are not done."""
    if not tasks:
        return
    done, late = await asyncio.wait(tasks, timeout=timeout_s)
    for task in late:
        task.cancel()
    for task in done:
        task.exception()
