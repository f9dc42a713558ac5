"""One daemon thread with a queue: where blocking work goes.

Not an executor: those are joined at exit, and a thread that waits for a stuck card would keep the
process alive.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

Result = TypeVar("Result")
Job = Callable[[], None]

_log = structlog.get_logger(__name__)


class Worker:
    """Runs jobs one after another in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job. What it raises is logged, and the next job runs."""
        self._jobs.put(job)

    async def call(self, function: Callable[[], Result]) -> Result:
        """Run a function in the thread and return, or raise, what it does, on this event loop."""
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
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
                loop.call_soon_threadsafe(settle, None, error)
            else:
                loop.call_soon_threadsafe(settle, result, None)

        self.submit(job)
        return await future

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end after the jobs queued so far; tell whether it did in time."""
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # noqa: BLE001 - the thread must live on
                _log.exception("worker.job_failed", worker=self.name)
