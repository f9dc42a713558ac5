"""What a call can raise."""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """A call to the daemon failed."""


class CarddProblem(ClientError):
    """The daemon refused (RFC 9457).

    `code` is stable, `detail` is for engineers, `user_message` for a person. `facts` are the
    further members, such as `retry_after`. `status` is the HTTP status of the code.
    """

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        user_message: str,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = status
        self.detail = detail
        self.user_message = user_message
        self.facts = dict(facts or {})


class DaemonUnavailable(ClientError):
    """The daemon does not answer, or not in a way that can be understood."""
