"""Faults on the way to a card: it is torn away at a command, or falls silent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

TearMoment = Literal["before", "after"]


class Torn(Exception):
    """The card has left the field in the middle of a command."""


class Mute(Exception):
    """The card does not answer any more."""


@dataclass(slots=True)
class Faults:
    """What goes wrong, and when; commands are counted from 1.

    `tear_after=N`: the link dies at the Nth command. With `tear="before"` the card never sees it;
    with `"after"` the card has carried it out and its answer is lost.
    `mute_after=N`: N commands are answered, the next one is neither carried out nor answered.
    """

    tear_after: int | None = None
    tear: TearMoment = "before"
    mute_after: int | None = None
    _seen: int = 0

    def __post_init__(self) -> None:
        if self.tear_after is not None and self.tear_after < 1:
            raise ValueError("tear_after counts commands from 1")
        if self.mute_after is not None and self.mute_after < 0:
            raise ValueError("mute_after is a number of commands, 0 or more")

    def transmit(self, transmit: Callable[[bytes], bytes], command: bytes) -> bytes:
        """Pass a command to the card; raise Torn or Mute where the fault lies."""
        self._seen += 1
        if self.mute_after is not None and self._seen > self.mute_after:
            raise Mute
        if self._seen == self.tear_after:
            if self.tear == "after":
                transmit(command)
            raise Torn
        return transmit(command)
