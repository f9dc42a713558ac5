"""MANAGE SECURITY ENVIRONMENT and PERFORM SECURITY OPERATION (facts, section 1, RSA-2048).

The signature form takes a hash and pads it on the card; the decipher form is RSA without any
padding, with which a program authenticates. Not confirmed by a real card: the reference of the
signature key, that its PIN stays good for more than one signature, and that a key is found only
with its application's DF selected.
"""

from simulators.cps.chipdoc import rsa
from simulators.cps.chipdoc.chip import (
    APPLICATION_DF,
    AUTHENTICATION_KEY,
    MODULUS_BYTES,
    SIGNATURE_KEY,
    Access,
)
from simulators.cps.chipdoc.command import Command
from simulators.cps.chipdoc.session import Environment, Session
from simulators.cps.chipdoc.status import Refusal, Status

SET_SIGNATURE = 0x81B6
SET_DECIPHER = 0x41B8
COMPUTE_SIGNATURE = 0x9E9A
DECIPHER = 0x8086
SPECIFIC = 0x80
SIGNATURE_HEADER = bytes.fromhex("9102")
DECIPHER_HEADER = bytes.fromhex("8301")


def manage(session: Session, command: Command) -> bytes:
    """Set the operation to come; a refused template leaves none."""
    session.environment = None
    if command.parameters == SET_SIGNATURE:
        environment = _signature_template(command.data)
    elif command.parameters == SET_DECIPHER:
        environment = _decipher_template(command.data)
    else:
        raise Refusal(Status.WRONG_PARAMETERS)
    if environment.key not in session.chip.keys or session.directory != APPLICATION_DF:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    session.environment = environment
    return b""


def _signature_template(data: bytes) -> Environment:
    """Read `91 02 algorithm key|80`."""
    if len(data) != 4 or data[:2] != SIGNATURE_HEADER or data[2] not in rsa.ALGORITHMS:
        raise Refusal(Status.WRONG_DATA)
    if not data[3] & SPECIFIC:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    key = data[3] & ~SPECIFIC
    # The authentication key signs so with PSS alone; PKCS#1 goes through the decipher form.
    if key == AUTHENTICATION_KEY and data[2] not in rsa.PSS_ALGORITHMS:
        raise Refusal(Status.WRONG_DATA)
    return Environment(SET_SIGNATURE, data[2], key)


def _decipher_template(data: bytes) -> Environment:
    """Read `83 01 key`."""
    if len(data) != 3 or data[:2] != DECIPHER_HEADER:
        raise Refusal(Status.WRONG_DATA)
    if data[2] == SIGNATURE_KEY:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    return Environment(SET_DECIPHER, 0, data[2])


def perform(session: Session, command: Command) -> bytes:
    """Compute a signature over a hash, or raise a whole block to the private exponent."""
    if command.parameters == COMPUTE_SIGNATURE:
        environment = _environment(session, SET_SIGNATURE)
        key = session.chip.keys[environment.key]
        answer = rsa.sign(key, environment.algorithm, command.data)
    elif command.parameters == DECIPHER:
        environment = _environment(session, SET_DECIPHER)
        if len(command.data) != MODULUS_BYTES:
            raise Refusal(Status.WRONG_LENGTH)
        answer = rsa.raw(session.chip.keys[environment.key], command.data)
    else:
        raise Refusal(Status.WRONG_PARAMETERS)
    if answer is None:
        raise Refusal(Status.WRONG_DATA)
    return answer


def _environment(session: Session, template: int) -> Environment:
    environment = session.environment
    if environment is None or environment.template != template:
        raise Refusal(Status.CONDITIONS_NOT_SATISFIED)
    session.require(Access.PIN)
    return environment
