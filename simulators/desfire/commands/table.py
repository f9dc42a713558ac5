"""The command table: instruction byte to protection and handler."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulators.desfire.activation import Activation
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.product import Product

Plan = Callable[[Activation, bytes], Protection]
"""Says how a command is protected, from its first frame; raises Refusal to refuse it early."""

Handler = Callable[[Activation, bytes], bytes]
"""Carries a command out on bare parameters and returns the bare answer, or raises Refusal."""

ALL = frozenset(Product)
EV2_AND_LATER = ALL - {Product.EV1}

Frames = Callable[[Activation], tuple[int, ...]]
"""Gives the lengths of an answer's frames that are cut short; the rest is cut as the chip can."""

PLAIN = Protection(Mode.PLAIN, Mode.PLAIN)
MACED = Protection()


def always(protection: Protection) -> Plan:
    """Return the plan of a command that is protected in one way."""
    return lambda _activation, _parameters: protection


def no_short_frames(_activation: Activation) -> tuple[int, ...]:
    """Cut an answer as the chip can."""
    return ()


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the table.

    `first_frames` are the frames of its answer that the chip cuts short (GetVersion).
    `long_frames` marks the commands that use ISO 14443-4 chaining instead of AF frames.
    `products` are those that know the command. `sealed_end` marks a command whose answer is under
    the session that it ends.
    """

    handler: Handler
    plan: Plan = field(default=always(MACED))
    first_frames: Frames = no_short_frames
    long_frames: bool = False
    products: frozenset[Product] = ALL
    sealed_end: bool = False


Table = Mapping[int, Command]
