"""A procedure on a card: a generator that yields command APDUs and receives the answers.

It does no I/O. The same generator is driven over a local connection (`run`) or, in the KMS, over
whatever relays its commands to the card.
"""

from collections.abc import Generator
from typing import TypeVar

from cardd.iso7816.connection import CardConnection

Result = TypeVar("Result")

Commands = tuple[bytes, ...]
Answers = tuple[bytes, ...]

Exchange = Generator[Commands, Answers, Result]
"""Yields a tuple of encoded command APDUs; is sent as many answers, in order; returns a Result."""


def run(connection: CardConnection, exchange: Exchange[Result]) -> Result:
    """Drive an exchange over a connection to its end; raises whatever either raises."""
    try:
        commands = next(exchange)
        while True:
            commands = exchange.send(tuple(connection.transmit(command) for command in commands))
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        exchange.close()
