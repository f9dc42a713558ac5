"""GET DATA of security data objects (IAS-ECC SDOs): codes, keys, security environments.

A request is `4D L 70 L BF cc rr L tag 80`: class (with bit 8) and reference of the object, and
which part of it. Answered in the folder where the object is, as real cards do: codes and
environments in the MF, keys in their application.
"""

from simulators import der
from simulators.cps import layout
from simulators.cps.activation import Activation
from simulators.cps.apdu import Command
from simulators.cps.chip import Code, Face, PrivateKey
from simulators.cps.status import Refusal, Status

CODE_CLASS, KEY_CLASS, ENVIRONMENT_CLASS = 0x81, 0x90, 0xFB
PARAMETERS, ENVIRONMENT = b"\xa0\x80", b"\x7b\x80"
CODE_MODE, KEY_MODE = 0xF3, 0x7B
USER_PASSWORD = 0x08


def get_data(activation: Activation, command: Command) -> bytes:
    """Return the control parameters of an object, or a security environment."""
    if (command.p1, command.p2) != (0x3F, 0xFF):
        raise Refusal(Status.WRONG_P1_P2)
    kind, reference, part = _request(command.data)
    if kind == ENVIRONMENT_CLASS:
        content = _environment(activation, reference, part)
    elif kind == CODE_CLASS:
        content = _parameters(part, _code(activation, reference))
    elif kind == KEY_CLASS:
        content = _parameters(part, _key(activation, reference))
    else:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    return der.tlv(0x70, bytes((0xBF, kind, reference)), der.tlv(0xBF, content)[1:])


def _request(data: bytes) -> tuple[int, int, bytes]:
    size = len(data)
    if size < 9 or data[:3] != bytes((0x4D, size - 2, 0x70)) or data[3] != size - 4:
        raise Refusal(Status.WRONG_DATA)
    if data[4] != 0xBF or data[7] != size - 8:
        raise Refusal(Status.WRONG_DATA)
    return data[5], data[6], data[8:]


def _parameters(part: bytes, parameters: bytes) -> bytes:
    if part != PARAMETERS:
        # 7F41 and 7F48 ask for public data, of which these objects have none [not confirmed].
        raise Refusal(Status.WRONG_DATA)
    return parameters


def _code(activation: Activation, reference: int) -> bytes:
    code = activation.chip.codes.get(reference)
    if code is None or activation.folder != layout.MF or activation.face is Face.CONTACTLESS:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    return der.tlv(
        0xA0,
        der.tlv(0x9A, bytes((code.tries,))),
        der.tlv(0x9B, bytes((code.tries_left,))),
        *_uses(code),
        der.tlv(0xA1, der.tlv(0x8C, bytes((CODE_MODE,)), code.rules)),
    )


def _uses(code: Code) -> list[bytes]:
    return [] if code.uses_left is None else [der.tlv(0x9D, code.uses_left.to_bytes(2))]


def _key(activation: Activation, reference: int) -> bytes:
    key: PrivateKey = activation.key(reference | layout.LOCAL)
    mode = bytes((KEY_MODE,))
    return der.tlv(
        0xA0,
        der.tlv(0x80, key.size_bytes.to_bytes(2)),
        der.tlv(
            0xA1,
            der.tlv(0x8C, mode, key.rules[Face.CONTACT]),
            der.tlv(0x9C, mode, key.rules[Face.CONTACTLESS]),
        ),
    )


def _environment(activation: Activation, reference: int, part: bytes) -> bytes:
    code = layout.SECURITY_ENVIRONMENTS.get(reference)
    if part != ENVIRONMENT or code is None or activation.folder != layout.MF:
        raise Refusal(Status.REFERENCE_NOT_FOUND)
    usage, named = der.tlv(0x95, bytes((USER_PASSWORD,))), der.tlv(0x83, bytes((code,)))
    return der.tlv(0x7B, der.tlv(0xA4, usage, named))
