"""Problems on the wire: `application/problem+json` (RFC 9457) with a stable code."""

from typing import Any

import msgspec
import structlog
from aiohttp import web

from cardd.api import catalogue
from cardd.api.models import ProblemBody
from cardd.errors import CarddError, Code
from cardd.presence.model import Problem

CONTENT_TYPE = "application/problem+json"
_TYPE = "urn:cardd:problem:"

_STATUS: dict[Code, int] = {
    Code.CARD_NOT_SUPPORTED: 422,
    Code.PIN_MALFORMED: 422,
    Code.BADGE_UNKNOWN: 404,
    Code.HOLDER_ENDED: 403,
    Code.HOLDER_UNKNOWN: 404,
    Code.PROOF_INVALID: 403,
    Code.WRONG_PERSON: 403,
    Code.SECOND_FACTOR_REQUIRED: 403,
    Code.KMS_UNAVAILABLE: 503,
    Code.PCSC_UNAVAILABLE: 503,
    Code.TRUST_UNAVAILABLE: 503,
    Code.REVOCATION_UNAVAILABLE: 503,
    Code.CRL_EXPIRED: 503,
    Code.RATE_LIMITED: 429,
    Code.TIMEOUT: 504,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.INVALID_REQUEST: 400,
    Code.UID_UNUSABLE: 422,
    Code.REGISTRY_INTEGRITY: 500,
    Code.INTERNAL_ERROR: 500,
}

_log = structlog.get_logger(__name__)


class Unacceptable(Exception):
    """A request that is refused before anything is done: the HTTP status, and a sentence why.

    `headers` go with the answer, such as Allow.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: Code = Code.INVALID_REQUEST,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}


def status_of(code: Code) -> int:
    """Return the HTTP status of a code; 409 where the card or the badge is not in the state."""
    return _STATUS.get(code, 409)


def body_of(problem: Problem, language: str, status: int | None = None) -> ProblemBody:
    """Return a problem with its texts, without its facts (`members` has them)."""
    code = _code(problem.code)
    text = catalogue.text(code, language)
    return ProblemBody(
        type=_TYPE + code,
        title=text.title,
        status=status or status_of(code),
        detail=problem.detail,
        code=code,
        user_message=text.message,
    )


def members(problem: Problem, language: str, status: int | None = None) -> dict[str, Any]:
    """Return all members of a problem; a fact never replaces a standard member."""
    facts = msgspec.to_builtins(problem.facts, str_keys=True, enc_hook=str)
    return {**facts, **msgspec.to_builtins(body_of(problem, language, status))}


def response(
    request: web.BaseRequest,
    problem: Problem,
    *,
    status: int | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Answer a request with a problem, in the language that it prefers."""
    language = catalogue.language_of(request.headers.get("Accept-Language"))
    content = members(problem, language, status)
    answer = web.Response(
        body=msgspec.json.encode(content),
        status=content["status"],
        content_type=CONTENT_TYPE,
        headers={"Content-Language": language, **(headers or {})},
    )
    retry_after = content.get("retry_after")
    if isinstance(retry_after, int | float) and retry_after >= 0:
        answer.headers["Retry-After"] = str(max(1, round(retry_after)))
    return answer


def of_exception(request: web.BaseRequest, error: Exception) -> web.Response:
    """Answer with the problem that an exception is; an unexpected one is logged, never shown."""
    if isinstance(error, Unacceptable):
        problem = Problem(error.code, str(error))
        return response(request, problem, status=error.status, headers=error.headers)
    if isinstance(error, CarddError) and isinstance(error.code, Code):
        if status_of(error.code) >= 500:
            _log.warning("api.failed", path=request.path, code=error.code, reason=str(error))
        return response(request, Problem(error.code, str(error), error.facts))
    if isinstance(error, web.HTTPException) and error.status < 500:
        return _of_http(request, error)
    _log.error("api.unexpected", method=request.method, path=request.path, exc_info=error)
    return response(
        request,
        Problem(Code.INTERNAL_ERROR, "an unexpected error; the daemon's log has it at this time"),
    )


def _of_http(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """Answer with what aiohttp itself refuses."""
    if error.status == 404:
        problem = Problem(Code.NOT_FOUND, "there is no such path; /openapi.json lists them")
        return response(request, problem)
    details = {
        405: "this path does not take this method; Allow names those that it takes",
        413: "the body is larger than 64 KiB",
        417: "of Expect, only 100-continue is understood",
    }
    detail = details.get(error.status, "the request is not acceptable HTTP")
    kept = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    problem = Problem(Code.INVALID_REQUEST, detail)
    return response(request, problem, status=error.status, headers=kept)


def _code(code: str) -> Code:
    try:
        return Code(code)
    except ValueError:
        return Code.INTERNAL_ERROR
