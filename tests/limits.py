"""Limits of time that tests set. They are no measure of speed: machines are shared and noisy."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SOON_S = 20.0
"""Long for anything that works, and short for what waits for something that never comes."""

DELAYED_ACKNOWLEDGEMENT_S = 0.035
"""Linux may keep an acknowledgement back for 40 ms; a peer that waits for it has that each time."""


@contextmanager
def ends_soon() -> Iterator[None]:
    """Fail where the block waits for what never comes, although it ends at last."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_S


def fastest_s(exchange: Callable[[], object]) -> float:
    """Return the seconds of the fastest of the last 30 runs of 50: noise makes none shorter.

    Linux begins a connection with some 16 acknowledgements at once, whatever it does later.
    """
    spent = []
    for _ in range(50):
        began = time.perf_counter()
        exchange()
        spent.append(time.perf_counter() - began)
    return min(spent[20:])
