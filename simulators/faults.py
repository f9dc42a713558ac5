"""Faults on the way to a card: it is torn away, falls silent, or its answers arrive wrong."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

TearMoment = Literal["before", "after"]
STATUS_WORD_BYTES = 2
DELAY_SECONDS = 1.0
ONE_IN = 4


class Torn(Exception):
    """The card has left the field in the middle of a command."""


class Mute(Exception):
    """The card does not answer any more."""


class Fault(StrEnum):
    """What becomes of an answer; the card itself has carried the command out."""

    CORRUPT = "corrupt"
    """One of its bits is flipped."""
    TRUNCATE = "truncate"
    """It loses the end of its data; one without data loses half its status word."""
    REPEAT = "repeat"
    """The answer before it comes once more in its place."""
    REORDER = "reorder"
    """The answer before it comes in its place, and it itself in place of the next one."""
    DELAY = "delay"
    """It comes a second late."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A fault, and the command whose answer has it, counted from 1.

    Without a number, one answer in four has it, as chance decides.
    """

    fault: Fault
    at: int | None = None

    def __post_init__(self) -> None:
        if self.at is not None and self.at < 1:
            raise ValueError("commands are counted from 1")

    @classmethod
    def parse(cls, text: str) -> "Disturbance":
        """Read `FAULT` or `FAULT:N`; raise ValueError that says what one looks like."""
        name, separator, at = text.partition(":")
        known = ", ".join(fault.value for fault in Fault)
        if name not in set(Fault):
            raise ValueError(f"{name!r} is no fault: write one of {known}")
        if not separator:
            return cls(Fault(name))
        if not (at.isascii() and at.isdigit()) or len(at) > 6 or not int(at):
            raise ValueError(f"{at!r} is no command: they are counted from 1")
        return cls(Fault(name), int(at))


@dataclass(slots=True)
class Faults:
    """What goes wrong, and when; commands are counted from 1.

    `tear_after=N`: the link dies at the Nth command. With `tear="before"` the card never sees it;
    with `"after"` the card has carried it out and its answer is lost.
    `mute_after=N`: N commands are answered, the next one is neither carried out nor answered.
    `disturbances`: answers that arrive wrong; `seed` decides whatever is left to chance, so that
    the same commands meet the same faults.
    """

    tear_after: int | None = None
    tear: TearMoment = "before"
    mute_after: int | None = None
    disturbances: tuple[Disturbance, ...] = ()
    seed: int = 0
    pause_seconds: float = field(default=0.0, init=False)
    """How late the last answer is."""
    _seen: int = 0
    _chance: random.Random = field(init=False)
    _before: bytes | None = field(default=None, init=False)
    _kept: bytes | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.tear_after is not None and self.tear_after < 1:
            raise ValueError("tear_after counts commands from 1")
        if self.mute_after is not None and self.mute_after < 0:
            raise ValueError("mute_after is a number of commands, 0 or more")
        self._chance = random.Random(self.seed)  # noqa: S311 - repeatable on purpose

    def transmit(self, transmit: Callable[[bytes], bytes], command: bytes) -> bytes:
        """Pass a command to the card; raise Torn or Mute where the fault lies."""
        self._seen += 1
        if self.mute_after is not None and self._seen > self.mute_after:
            raise Mute
        if self._seen == self.tear_after:
            if self.tear == "after":
                transmit(command)
            raise Torn
        return self._disturbed(transmit(command))

    def _disturbed(self, answer: bytes) -> bytes:
        self.pause_seconds = 0.0
        kept, self._kept = self._kept, None
        given = answer if kept is None else kept
        for disturbance in self.disturbances:
            if self._strikes(disturbance):
                given = self._apply(disturbance.fault, given)
        self._before = answer
        return given

    def _strikes(self, disturbance: Disturbance) -> bool:
        if disturbance.at is not None:
            return disturbance.at == self._seen
        return self._chance.randrange(ONE_IN) == 0

    def _apply(self, fault: Fault, answer: bytes) -> bytes:
        if fault is Fault.CORRUPT:
            return self._corrupted(answer)
        if fault is Fault.TRUNCATE:
            return self._truncated(answer)
        if fault is Fault.DELAY:
            self.pause_seconds = DELAY_SECONDS
            return answer
        if self._before is None:
            return answer
        if fault is Fault.REORDER:
            self._kept = answer
        return self._before

    def _corrupted(self, answer: bytes) -> bytes:
        damaged = bytearray(answer)
        place = self._chance.randrange(8 * len(damaged))
        damaged[place // 8] ^= 1 << place % 8
        return bytes(damaged)

    def _truncated(self, answer: bytes) -> bytes:
        data, status_word = answer[:-STATUS_WORD_BYTES], answer[-STATUS_WORD_BYTES:]
        if not data:
            return answer[:-1]
        return data[: self._chance.randrange(len(data))] + status_word
