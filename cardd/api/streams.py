"""GET /v1/events: server-sent events (WHATWG HTML, 9.2), or one JSON object a line."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from cardd.api.encoding import EventEncoder, Form
from cardd.api.negotiation import preferred
from cardd.api.problems import Unacceptable
from cardd.api.routes import Call
from cardd.presence.events import Subscription
from cardd.presence.model import Event

CONTENT_TYPES = ("text/event-stream", "application/x-ndjson")
HEARTBEAT_S = 15.0
# A client that takes nothing for this long is gone, or might as well be.
STALLED_S = 30.0
_MAX_EVENT_ID = 128

ENCODER = web.AppKey("encoder", EventEncoder)


async def stream(call: Call) -> web.StreamResponse:
    """Send events until the client goes, lags behind, or the daemon stops."""
    form = _form(call.request)
    last_event_id = call.request.headers.get("Last-Event-ID")
    if last_event_id is not None and len(last_event_id) > _MAX_EVENT_ID:
        raise Unacceptable(400, "Last-Event-ID is no id of an event")
    subscription = call.backing.workstation.events.subscribe(last_event_id)
    try:
        response = web.StreamResponse(
            headers={
                "Content-Type": CONTENT_TYPES[0 if form == "sse" else 1],
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(call.request)
        await _send(call, subscription, response, form)
    finally:
        subscription.close()
    return response


async def _send(
    call: Call, subscription: Subscription, response: web.StreamResponse, form: Form
) -> None:
    encoder = call.request.app[ENCODER]
    identity = call.standing.of_seat
    try:
        async for event in _until_stopping(call, subscription):
            if event is None:
                line = b":\n\n" if form == "sse" else b"\n"
            else:
                line = encoder.encode(event, identity=identity, form=form)
            async with asyncio.timeout(STALLED_S):
                await response.write(line)
            # A backlog must not keep the loop from card events and other clients.
            await asyncio.sleep(0)
    except TimeoutError:
        if call.request.transport is not None:
            call.request.transport.abort()


async def _until_stopping(call: Call, subscription: Subscription) -> AsyncIterator[Event | None]:
    """Yield events, and None where there was none for a heartbeat's time."""
    stopping = asyncio.ensure_future(call.backing.stopping.wait())
    upcoming: asyncio.Task[Event | None] | None = None
    try:
        while not stopping.done():
            if upcoming is None:
                upcoming = asyncio.create_task(_next(subscription))
            await asyncio.wait(
                {upcoming, stopping}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not upcoming.done():
                yield None
                continue
            event, upcoming = upcoming.result(), None
            if event is None:
                return
            yield event
    finally:
        stopping.cancel()
        if upcoming is not None:
            upcoming.cancel()


async def _next(subscription: Subscription) -> Event | None:
    return await anext(subscription, None)


def _form(request: web.Request) -> Form:
    chosen = preferred(request.headers.get("Accept"), CONTENT_TYPES)
    if chosen is None:
        raise Unacceptable(406, f"events are {' or '.join(CONTENT_TYPES)}")
    return "sse" if chosen == CONTENT_TYPES[0] else "ndjson"
