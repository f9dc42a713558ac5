"""Daemon threads with a queue: where blocking work goes.

Not an executor: those are joined at exit, and a thread that waits for a stuck card would keep the
process alive.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog

Result = TypeVar("Result")
Job = Callable[[], None]

_log = structlog.get_logger(__name__)


class Workers:
    """Runs jobs in so many threads, each in the next that is free."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=name, daemon=True) for _ in range(count)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job. What it raises is logged, and the next job runs."""
        self._jobs.put(job)

    async def call(self, function: Callable[[], Result]) -> Result:
        """Run a function in a thread and return, or raise, what it does, on this event loop.

        Where the call is cancelled before a thread has come to it, the function does not run.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(result: Result | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def job() -> None:
            if future.cancelled():
                return
            result, failure = None, None
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
                failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody awaits it any more
                loop.call_soon_threadsafe(settle, result, failure)

        self.submit(job)
        return await future

    def stop(self, timeout_s: float) -> bool:
        """Ask the threads to end after the jobs queued so far; tell whether they did in time."""
        for _ in self._threads:
            self._jobs.put(None)
        latest = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(latest - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # noqa: BLE001 - the thread must live on
                _log.exception("worker.job_failed", worker=self.name)


class Worker(Workers):
    """Runs jobs one after another in a thread of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(name, 1)
