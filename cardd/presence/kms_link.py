"""The way to the key service for what is not a card: calls, ended presences, notices, health."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import structlog

from cardd.clock import Clock
from cardd.errors import CarddError, Code, KmsUnavailable, Refused
from cardd.kms.messages import Health, Notice, PresenceEnded
from cardd.kms.ports import KeyService
from cardd.presence.timers import Timers
from cardd.worker import Worker

CHECK_S = 30.0  # how often the health is asked for while it is good
RETRY_S = 2.0  # and while it is not
ANSWER_S = 5.0  # how long it may think about it
MOST_UNSENT = 1024
ENDED_AT_KMS = "ended_at_kms"  # it ended there while nobody here could hear why
NOT_ASKED = "the key service has not been asked yet"

Result = TypeVar("Result")

_log = structlog.get_logger(__name__)


class KmsLink:
    """Calls the key service in two workers: one for what somebody awaits, one for the rest.

    `noticed` hears, on the event loop's thread, what the KMS ends; `health_changed` hears a
    sentence where the KMS can no longer be used, and None where it can again.
    """

    def __init__(
        self,
        service: KeyService,
        clock: Clock,
        timers: Timers,
        *,
        noticed: Callable[[Notice], None],
        health_changed: Callable[[str | None], None],
    ) -> None:
        self._service = service
        self._clock = clock
        self._timers = timers
        self._noticed = noticed
        self._health_changed = health_changed
        self._calls = Worker("kms calls")
        self._errands = Worker("kms errands")
        self._checking = False
        self._unwatch: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._unsent: dict[str, str] = {}
        self._unconfirmed: dict[str, None] = {}
        self.why: str | None = NOT_ASKED

    async def start(self, timeout_s: float) -> None:
        """Start the workers, watch, and ask for the health; wait that long for the answer."""
        self._loop = asyncio.get_running_loop()
        self._calls.start()
        self._errands.start()
        await asyncio.wait({self._start_check()}, timeout=timeout_s)

    def workers(self) -> tuple[Worker, Worker]:
        """Return the workers that are to be stopped."""
        return self._calls, self._errands

    def close(self) -> None:
        """Ask no more, and hear no more notices; the workers are still to be stopped."""
        if self._task is not None:
            self._task.cancel()
        if self._unwatch is not None:
            self._errands.submit(self._unwatch)
            self._unwatch = None

    async def call(self, call: Callable[[], Result]) -> Result:
        """Run a blocking call in a worker; return or raise what it does."""
        try:
            return await self._calls.call(call)
        except KmsUnavailable as error:
            self.failed(str(error))
            raise

    def end_presence(self, sid: str, reason: str) -> None:
        """Tell the KMS that a presence ended: now, or when it can be reached again."""
        if len(self._unsent) < MOST_UNSENT:
            self._unsent[sid] = reason
        self._errands.submit(lambda: self._send_end(sid, reason))

    def confirm(self, sids: Iterable[str]) -> None:
        """Ask the KMS whether presences are still open there; what is not is noticed."""
        for sid in sids:
            self._unconfirmed[sid] = None
            self._errands.submit(partial(self._confirm, sid))

    def failed(self, why: str) -> None:
        """Take it that the KMS cannot be used, and ask it again soon."""
        self._healthy(Health(available=False, why=why))

    def answered(self) -> None:
        """Take it that the KMS can be used, since it just was."""
        if self.why is not None:
            self._healthy(Health(available=True))

    def _send_end(self, sid: str, reason: str) -> None:
        """Send one end; in the errands' worker."""
        try:
            self._service.end_presence(sid, reason)
        except KmsUnavailable as error:
            self._tell(self.failed, str(error))
            return
        except Refused as error:
            _log.info("presence.end_refused", reason=reason, code=str(error.code))
        self._tell(self._sent, sid)

    def _confirm(self, sid: str) -> None:
        """Ask for no assertion on a presence, which only a living one gives; in the worker."""
        try:
            self._service.assertions(sid, ())
        except KmsUnavailable as error:
            self._tell(self.failed, str(error))
            return
        except Refused as error:
            reason = ENDED_AT_KMS if error.code is Code.NOT_FOUND else str(error.code)
            self._tell(self._noticed, PresenceEnded(sid, reason))
        self._tell(self._confirmed, sid)

    def _confirmed(self, sid: str) -> None:
        self._unconfirmed.pop(sid, None)

    def _sent(self, sid: str) -> None:
        self._unsent.pop(sid, None)

    async def _check(self) -> None:
        """Ask for the health, and watch where that is not done yet."""
        self._checking = True
        self._timers.set("kms health", self._clock.now() + ANSWER_S, self._check_now)
        try:
            self._healthy(await self._errands.call(self._ask))
        except CarddError as error:
            self.failed(str(error))
        except Exception:  # noqa: BLE001 - a service that fails so cannot be used either
            _log.exception("kms.health_failed")
            self.failed("the key service failed; see the log")
        finally:
            self._checking = False
            self._check_later()

    def _ask(self) -> Health:
        if self._unwatch is None:
            self._unwatch = self._service.watch(lambda notice: self._tell(self._noticed, notice))
        return self._service.health()

    def _healthy(self, health: Health) -> None:
        why = None if health.available else health.why or "the key service gives no reason"
        before, self.why = self.why, why
        if why == before:
            return
        if why is not None or before is not NOT_ASKED:
            self._health_changed(why)
        if why is None:
            self._send_again()
        elif before is None and not self._checking:
            self._check_later()

    def _send_again(self) -> None:
        for sid, reason in self._unsent.items():
            self._errands.submit(partial(self._send_end, sid, reason))
        for sid in self._unconfirmed:
            self._errands.submit(partial(self._confirm, sid))

    def _check_later(self) -> None:
        wait = CHECK_S if self.why is None else RETRY_S
        self._timers.set("kms health", self._clock.now() + wait, self._check_now)

    def _check_now(self) -> None:
        if self._checking:
            self.failed(f"the key service has not answered for {ANSWER_S:.0f} s")
        else:
            self._start_check()

    def _start_check(self) -> asyncio.Task[None]:
        self._task = self._loop.create_task(self._check())
        return self._task

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
            self._loop.call_soon_threadsafe(function, *arguments)
