"""How `cardd-sim` says that something failed: one line, and an exit code for each kind."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from simulators.address import AddressError
from simulators.card import CardFileError
from simulators.link import LinkError
from simulators.pinpad import PinpadError
from simulators.pki import PkiError


class CardFileFailure(click.ClickException):
    """A card file cannot be used."""

    exit_code = 3


class PkiFailure(click.ClickException):
    """A PKI cannot be used."""

    exit_code = 6


class ReaderFailure(click.ClickException):
    """There is no reader at the address."""

    exit_code = 4


class NotNoticed(click.ClickException):
    """The reader did not power the card."""

    exit_code = 5


class PinpadFailure(click.ClickException):
    """No PIN could be typed."""

    exit_code = 7


@contextmanager
def reported() -> Iterator[None]:
    """Turn an error of a card file, a PKI, a reader or a pinpad into one line and an exit code."""
    try:
        yield
    except CardFileError as error:
        raise CardFileFailure(str(error)) from error
    except PkiError as error:
        raise PkiFailure(str(error)) from error
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="--reader") from error
    except PinpadError as error:
        raise PinpadFailure(str(error)) from error
    except LinkError as error:
        raise ReaderFailure(str(error)) from error


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Leave the reader in order on SIGTERM and SIGHUP too: a driver may hang on a killed card."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    former = {name: signal.signal(name, stop) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in former.items():
            signal.signal(name, handler)
