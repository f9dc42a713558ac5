"""One line of a benchmark's outcome."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """`value` in `unit`; `ratio` is to what `peer` took in the same run; `target` bounds it."""

    name: str
    value: float
    unit: str
    peer: str
    ratio: float
    target: float | None = None
    met: bool | None = None
