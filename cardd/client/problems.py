"""A refusal as a part of an answer (RFC 9457)."""

from dataclasses import dataclass

from cardd.client.errors import CarddProblem
from cardd.client.models import Json


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an operation failed, or was interrupted."""

    code: str
    status: int
    detail: str
    user_message: str
    facts: Json

    @classmethod
    def parse(cls, raw: Json) -> "Problem":
        """Read a problem (RFC 9457); what is no standard member is a fact."""
        standard = {"type", "title", "status", "detail", "code", "user_message", "instance"}
        return cls(
            raw["code"],
            raw["status"],
            raw.get("detail", ""),
            raw.get("user_message", ""),
            {name: value for name, value in raw.items() if name not in standard},
        )

    @classmethod
    def of(cls, error: CarddProblem) -> "Problem":
        """Return a problem that was raised."""
        return cls(error.code, error.status, error.detail, error.user_message, error.facts)
