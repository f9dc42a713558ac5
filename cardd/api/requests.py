"""Reading a request: headers, query and body, each refused where it is not what is documented."""

import asyncio
import math
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from cardd.api.problems import Unacceptable

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0

Model = TypeVar("Model", bound=msgspec.Struct)


def refuse_browsers(request: web.BaseRequest) -> None:
    """Raise Unacceptable for an Origin header: no web page is a client of this socket."""
    if "Origin" in request.headers:
        raise Unacceptable(403, "a request with an Origin header comes from a web page; refused")


def query(request: web.BaseRequest, model: type[Model]) -> Model:
    """Read the query string; raise Unacceptable for an unknown or repeated parameter."""
    if len(request.query) != len(set(request.query.keys())):
        raise Unacceptable(400, "a query parameter is given twice")
    try:
        parsed = msgspec.convert(dict(request.query), model, strict=False)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise Unacceptable(400, f"query: {error}") from None
    _refuse_not_a_number(parsed)
    return parsed


async def body(request: web.BaseRequest, model: Any) -> Any:
    """Read a JSON body of a struct, or of one of a union; Unacceptable (400, 408, 413, 415)."""
    if "Content-Encoding" in request.headers:
        raise Unacceptable(415, "a compressed body is not taken; send it as it is")
    if request.content_type.lower() != "application/json":
        raise Unacceptable(415, "the body must be application/json")
    raw = await _read(request)
    try:
        return msgspec.json.decode(raw, type=model)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Unacceptable(400, f"body: {error}") from None


def no_body(request: web.BaseRequest) -> None:
    """Raise Unacceptable where a method that takes no body has one."""
    if request.body_exists:
        raise Unacceptable(400, "this method takes no body")


async def _read(request: web.BaseRequest) -> bytes:
    """Read the whole body, up to its limits in size and time."""
    too_large = Unacceptable(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_large
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.content.iter_any():
                raw += chunk
                if len(raw) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise Unacceptable(408, "the body did not arrive in time") from None
    except web.RequestPayloadError:
        raise Unacceptable(400, "the body ended before its announced length") from None
    return bytes(raw)


def _refuse_not_a_number(parsed: msgspec.Struct) -> None:
    """Raise Unacceptable for `nan`, which every comparison with a bound lets pass."""
    for name in parsed.__struct_fields__:
        value = getattr(parsed, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise Unacceptable(400, f"query: `{name}` is not a number")
