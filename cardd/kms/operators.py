"""The operators of key ceremonies: who they are, and how two of them approve what one may not do.

Each has a passphrase of their own, of which Argon2id's result is kept. The record is sealed by the
masters, so that nobody adds an operator with an editor; its counter is in the ceremonies' audit,
so that an old record put back is found, and a missing one. That an operator proves who they are by
their CPS is not built yet.
"""

import hmac
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from cardd.errors import CeremonyCode, CeremonyError, KmsUnavailable
from cardd.files import read_bounded, replace, sole_writer
from cardd.kms.masters.passphrases import DEFAULT_COST, Argon2idCost, derive
from cardd.kms.ports import Masters
from cardd.secret import Secret

REQUIRED = 2
PASSPHRASE_MINIMUM = 12
_MAXIMUM = 32
_MAXIMUM_BYTES = 65_536
_CONTEXT = b"cardd operators v1"
_NAME = r"[a-z0-9][a-z0-9.-]{0,31}"
_SALT_BYTES = 16
_VERIFIER_BYTES = 32


class Operator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One operator. `verifier` is Argon2id of the passphrase."""

    name: Annotated[str, Meta(pattern=f"^{_NAME}$")]
    salt: Annotated[bytes, Meta(min_length=_SALT_BYTES, max_length=_SALT_BYTES)]
    cost: Argon2idCost
    verifier: Annotated[bytes, Meta(min_length=_VERIFIER_BYTES, max_length=_VERIFIER_BYTES)]

    def __repr__(self) -> str:
        return f"Operator({self.name})"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All operators. `counter` grows by one with each change."""

    counter: Annotated[int, Meta(ge=1)]
    operators: Annotated[tuple[Operator, ...], Meta(min_length=REQUIRED, max_length=_MAXIMUM)]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of their appointment."""
        return tuple(operator.name for operator in self.operators)


def appointed(name: str, passphrase: Secret, cost: Argon2idCost = DEFAULT_COST) -> Operator:
    """Return a new operator; CeremonyError (`operator_refused`) for what is no name or too short.

    A name is 1 to 32 of a-z, 0-9, dot and hyphen; a passphrase has at least 12 characters.
    """
    if not re.fullmatch(_NAME, name):
        raise _refused(f"{name!r} is no name of an operator: up to 32 of a-z, 0-9, . and -")
    if len(passphrase) < PASSPHRASE_MINIMUM:
        raise _refused(f"a passphrase has at least {PASSPHRASE_MINIMUM} characters")
    salt = os.urandom(_SALT_BYTES)
    verifier = derive(passphrase, salt, cost, _VERIFIER_BYTES).reveal()
    return Operator(name=name, salt=salt, cost=cost, verifier=verifier)


def require_passphrase(record: Record, name: str, passphrase: Secret) -> None:
    """Raise CeremonyError (`operator_refused`) where this is not that operator's passphrase."""
    operator = next((each for each in record.operators if each.name == name), None)
    if operator is None:
        raise _refused(f"{name!r} is no operator; operators are {', '.join(record.names)}")
    given = derive(passphrase, operator.salt, operator.cost, _VERIFIER_BYTES)
    if not hmac.compare_digest(given.reveal(), operator.verifier):
        raise _refused(f"this is not the passphrase of {name}")


def require_two(names: Iterable[str]) -> None:
    """Raise CeremonyError (`operator_twice`) where one person would be two."""
    given = list(names)
    for name in given:
        if given.count(name) > 1:
            raise CeremonyError(
                CeremonyCode.OPERATOR_TWICE,
                f"{name} cannot approve twice: another operator must be here",
            )


def read(path: Path, masters: Masters, counter: int) -> Record | None:
    """Return the record; None where there never was one.

    `counter` is the last one in the audit, 0 for none. Raises CeremonyError: `operators_missing`
    where the audit knows of a record, `operators_damaged` for one that does not open or is older
    than the audit says.
    """
    try:
        sealed = read_bounded(path, _MAXIMUM_BYTES)
    except FileNotFoundError:
        if not counter:
            return None
        raise CeremonyError(
            CeremonyCode.OPERATORS_MISSING,
            f"the record of the operators is gone from {path}: put it back from the backup, or "
            "appoint operators anew with the recovery shares (`cardd-kms operator init`)",
        ) from None
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from error
    try:
        opened = masters.open(sealed, _CONTEXT).reveal()
        record = msgspec.json.decode(opened, type=Record)
    except (KmsUnavailable, msgspec.MsgspecError, ValueError):
        raise _damaged(path, "it was changed, or belongs to other masters") from None
    if record.counter < counter:
        raise _damaged(path, f"it is number {record.counter}, and the audit knows number {counter}")
    return record


def write(path: Path, masters: Masters, record: Record) -> None:
    """Put a record in the place of the former one, as a whole; KmsUnavailable where it cannot."""
    sealed = masters.seal(msgspec.json.encode(record), _CONTEXT)
    try:
        with sole_writer(path.parent):
            replace(path, sealed)
    except OSError as error:
        raise KmsUnavailable(
            f"the record of the operators cannot be written at {path}: {error.strerror}"
        ) from error


def _refused(reason: str) -> CeremonyError:
    return CeremonyError(CeremonyCode.OPERATOR_REFUSED, reason)


def _damaged(path: Path, reason: str) -> CeremonyError:
    return CeremonyError(
        CeremonyCode.OPERATORS_DAMAGED,
        f"the record of the operators {path} is not to be believed: {reason}; put it back from the "
        "backup, or appoint operators anew with the recovery shares (`cardd-kms operator init`)",
    )
