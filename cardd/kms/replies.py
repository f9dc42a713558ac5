"""What an answer of a remote key service means: a result, or the error that it is there."""

from typing import Any

import msgspec

from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.links import Answer
from cardd.kms.wire import PROBLEM_MEMBERS

PROBLEM_TYPE = "application/problem+json"


class _Problem(msgspec.Struct, frozen=True):
    code: Code
    detail: str


def result_of(answer: Answer, kind: Any) -> Any:
    """Return the result of a type, or None where the type is; raise Refused and KmsUnavailable.

    What is no answer of a key service of this version is KmsUnavailable too.
    """
    if answer.content_type == PROBLEM_TYPE:
        raise _error(answer)
    if kind is type(None):
        if answer.status == 204:
            return None
    elif answer.status in {200, 201} and answer.content_type == "application/json":
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise _nonsense() from error
    raise _nonsense()


def is_unavailable(answer: Answer) -> bool:
    """Tell whether a key service says that it cannot judge anything now."""
    return answer.status == 503 and answer.content_type == PROBLEM_TYPE


def _error(answer: Answer) -> Refused | KmsUnavailable:
    try:
        problem = msgspec.json.decode(answer.body, type=_Problem)
        members = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError):
        return _nonsense()
    facts = {name: value for name, value in members.items() if name not in PROBLEM_MEMBERS}
    facts.pop("message", None)  # the name of an error's own parameter
    if problem.code is Code.KMS_UNAVAILABLE:
        return KmsUnavailable(problem.detail, **facts)
    return Refused(problem.code, problem.detail, **facts)


def _nonsense() -> KmsUnavailable:
    return KmsUnavailable(
        "what answers at kms.urls is no key service of this version; check the address, and "
        "install the same version on both ends"
    )
