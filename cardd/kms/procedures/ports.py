"""What a procedure yields: commands for the card, and points that must be on disk first."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from cardd.iso7816.exchange import Answers, Commands

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Commit:
    """Store that `step` is about to be done, before its command is sent. Answered with ()."""

    step: str


Driven = Generator[Commands | Commit, Answers, Result]
"""As an Exchange, with commit points in between."""
