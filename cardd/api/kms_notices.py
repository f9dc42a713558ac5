"""GET /v1/notices: what the key service ends, to the client that it concerns, until it goes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from cardd.api.kms_calls import KmsCall
from cardd.api.kms_clients import Stranger
from cardd.api.models import Request
from cardd.kms import wire
from cardd.kms.notices import Told

# A client that takes nothing for this long is gone, or might as well be.
STALLED_S = 15.0
# One that is further behind comes again, and is told what it missed.
MOST_WAITING = 1024


class Since(Request, frozen=True):
    """After which notice to begin; without one, with a resync."""

    since: Annotated[str, Meta(max_length=64)] | None = None


class _Inbox:
    """What waits to be sent to one client; filled from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Told] = asyncio.Queue(MOST_WAITING)
        self.overflowed = False

    def hear(self, told: Told) -> None:
        """Take a notice, in the thread that tells it."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the client is gone
            self._loop.call_soon_threadsafe(self._put, told)

    async def next(self) -> Told:
        """Wait for a notice."""
        return await self._queue.get()

    def _put(self, told: Told) -> None:
        try:
            self._queue.put_nowait(told)
        except asyncio.QueueFull:
            self.overflowed = True


async def get_notices(call: KmsCall) -> web.StreamResponse:
    """Send notices until the client goes, is revoked or lags behind, or the service stops."""
    inbox = _Inbox()
    stop = call.backing.kms.follow(call.client, inbox.hear, call.query.since)
    try:
        response = web.StreamResponse(headers={"Content-Type": wire.NOTICES_TYPE})
        await response.prepare(call.request)
        await _send(call, inbox, response)
    finally:
        stop()
    return response


async def _send(call: KmsCall, inbox: _Inbox, response: web.StreamResponse) -> None:
    try:
        async for told in _until_over(call, inbox):
            line = b""
            if told is not None:
                line = msgspec.json.encode(wire.NoticeLine(told.id, told.notice))
            async with asyncio.timeout(STALLED_S):
                await response.write(line + b"\n")
    except TimeoutError:
        if call.request.transport is not None:
            call.request.transport.abort()


async def _until_over(call: KmsCall, inbox: _Inbox) -> AsyncIterator[Told | None]:
    """Yield notices, and None where there was none for a heartbeat's time."""
    upcoming: asyncio.Task[Told] | None = None
    try:
        yield None  # the client knows at once that it is heard
        while not call.backing.stopping.is_set() and not inbox.overflowed and _still_client(call):
            upcoming = upcoming or asyncio.create_task(inbox.next())
            await _first_of(
                upcoming, call.backing.stopping.wait(), call.backing.clients_changed.wait()
            )
            if upcoming.done():
                told, upcoming = upcoming.result(), None
                yield told
            elif not call.backing.stopping.is_set():
                yield None
    finally:
        if upcoming is not None:
            upcoming.cancel()


async def _first_of(upcoming: asyncio.Task[Told], *others: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them is done, at the latest at the next heartbeat."""
    tasks = {asyncio.ensure_future(other) for other in others}
    try:
        await asyncio.wait(
            {upcoming, *tasks}, timeout=wire.HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for task in tasks:
            task.cancel()


def _still_client(call: KmsCall) -> bool:
    try:
        return call.backing.clients.find(call.caller).name == call.client.name
    except Stranger:
        return False
