"""KMIP 1.2 requests as bytes, and what their answers say: the one file that imports PyKMIP.

Version 1.2 is the first that has the operation MAC. PyKMIP's own client is not used: it checks no
host name.
"""

import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

with warnings.catch_warnings(action="ignore"):  # it stands on what its libraries deprecate
    from kmip.core import attributes, enums, misc, objects, primitives, secrets
    from kmip.core.factories.attributes import AttributeFactory
    from kmip.core.messages import contents, messages, payloads
    from kmip.core.utils import BytearrayStream

from cardd.errors import KmsUnavailable
from cardd.secret import Secret

_VERSION = enums.KMIPVersion.KMIP_1_2
_MASTER_BITS = 128
_NOT_SUPPORTED = frozenset(
    {
        enums.ResultReason.OPERATION_NOT_SUPPORTED,
        enums.ResultReason.FEATURE_NOT_SUPPORTED,
        enums.ResultReason.PERMISSION_DENIED,
    }
)
_GONE = frozenset({enums.State.DESTROYED, enums.State.DESTROYED_COMPROMISED})


class KmipFailure(Exception):
    """The server answered that it did not do it. `not_supported`: that it never will."""

    def __init__(self, message: str, *, not_supported: bool) -> None:
        super().__init__(message)
        self.not_supported = not_supported


@dataclass(frozen=True, slots=True)
class Request:
    """An operation with its payload. `safe` ones may be sent twice."""

    operation: Any
    payload: Any
    safe: bool = False

    def encode(self) -> bytes:
        """Return the request message (KMIP 1.2, 7.1): one item in its batch."""
        operation = primitives.Enumeration(
            enums.Operation, self.operation, tag=enums.Tags.OPERATION
        )
        header = messages.RequestHeader(
            protocol_version=contents.ProtocolVersion(1, 2), batch_count=contents.BatchCount(1)
        )
        item = messages.RequestBatchItem(operation=operation, request_payload=self.payload)
        stream = BytearrayStream()
        messages.RequestMessage(header, [item]).write(stream, _VERSION)
        return bytes(stream.buffer)

    def decode(self, answer: bytes) -> Any:
        """Return the payload of the answer; raise KmipFailure, or KmsUnavailable for nonsense."""
        response = messages.ResponseMessage()
        try:
            response.read(BytearrayStream(answer), _VERSION)
            (item,) = response.batch_items
            done = item.result_status.value is enums.ResultStatus.SUCCESS
        except Exception as error:  # noqa: BLE001 - it raises whatever its parsers come across
            raise _nonsense(type(error).__name__) from None
        if not done:
            raise _failure(item)
        if item.operation is None or item.operation.value is not self.operation:
            raise _nonsense("it is of another operation")
        return item.response_payload


def mac(uid: str, message: bytes) -> Request:
    """Ask for the AES-CMAC of a message. Servers take it from one parameter or the other."""
    parameters = attributes.CryptographicParameters(
        block_cipher_mode=enums.BlockCipherMode.CMAC,
        cryptographic_algorithm=enums.CryptographicAlgorithm.AES,
    )
    payload = payloads.MACRequestPayload(
        unique_identifier=attributes.UniqueIdentifier(uid),
        cryptographic_parameters=parameters,
        data=objects.Data(message),
    )
    return Request(enums.Operation.MAC, payload, safe=True)


def mac_value(payload: Any) -> bytes:
    """Return the MAC, 16 bytes."""
    value = getattr(getattr(payload, "mac_data", None), "value", None)
    if not isinstance(value, bytes) or len(value) != _MASTER_BITS // 8:
        raise _nonsense("it has no MAC of 16 bytes")
    return value


def locate(group: str) -> Request:
    """Ask for the keys of an object group."""
    wanted = [_attribute(enums.AttributeType.OBJECT_GROUP, group)]
    return Request(
        enums.Operation.LOCATE, payloads.LocateRequestPayload(attributes=wanted), safe=True
    )


def locate_name(name: str) -> Request:
    """Ask for the keys of a name, of which there should be one."""
    wanted = [_attribute(enums.AttributeType.NAME, _name_value(name))]
    return Request(
        enums.Operation.LOCATE, payloads.LocateRequestPayload(attributes=wanted), safe=True
    )


def located(payload: Any) -> list[str]:
    """Return the unique identifiers of what was found."""
    return [str(uid) for uid in payload.unique_identifiers]


def describe(uid: str) -> Request:
    """Ask for a key's names, state, algorithm and length."""
    names = ["Name", "State", "Cryptographic Algorithm", "Cryptographic Length"]
    payload = payloads.GetAttributesRequestPayload(uid, names)
    return Request(enums.Operation.GET_ATTRIBUTES, payload, safe=True)


@dataclass(frozen=True, slots=True)
class Described:
    """A key on the server. `usable`: it is active, and AES-128."""

    name: str
    active: bool
    gone: bool
    aes128: bool


def described(payload: Any) -> Described:
    """Return what the server says of a key; of its names the first."""
    found: dict[str, Any] = {}
    for attribute in payload.attributes:
        found.setdefault(attribute.attribute_name.value, attribute.attribute_value)
    try:
        state = found["State"].value
        name = str(found["Name"].name_value.value) if "Name" in found else ""
        algorithm = found["Cryptographic Algorithm"].value
        length = found["Cryptographic Length"].value
    except (KeyError, AttributeError):
        raise _nonsense("a key lacks state, algorithm or length") from None
    aes128 = (algorithm, length) == (enums.CryptographicAlgorithm.AES, _MASTER_BITS)
    return Described(name, state is enums.State.ACTIVE, state in _GONE, aes128)


def create(name: str, group: str) -> Request:
    """Ask for a new random key that may compute MACs and nothing else."""
    template = objects.TemplateAttribute(attributes=list(_of_a_master(name, group)))
    payload = payloads.CreateRequestPayload(enums.ObjectType.SYMMETRIC_KEY, template)
    return Request(enums.Operation.CREATE, payload)


def register(name: str, group: str, key: Secret) -> Request:
    """Hand a key over, to be used as `create` makes them."""
    block = objects.KeyBlock(
        key_format_type=misc.KeyFormatType(enums.KeyFormatType.RAW),
        key_compression_type=None,
        key_value=objects.KeyValue(objects.KeyMaterial(key.reveal())),
        cryptographic_algorithm=attributes.CryptographicAlgorithm(enums.CryptographicAlgorithm.AES),
        cryptographic_length=attributes.CryptographicLength(_MASTER_BITS),
        key_wrapping_data=None,
    )
    template = objects.TemplateAttribute(attributes=list(_of_a_master(name, group)))
    payload = payloads.RegisterRequestPayload(
        enums.ObjectType.SYMMETRIC_KEY, template, secrets.SymmetricKey(block)
    )
    return Request(enums.Operation.REGISTER, payload)


def made(payload: Any) -> str:
    """Return the unique identifier of what was created or registered."""
    uid = getattr(payload, "unique_identifier", None)
    return str(getattr(uid, "value", uid))


def activate(uid: str) -> Request:
    """Ask that a key may be used."""
    identifier = attributes.UniqueIdentifier(uid)
    return Request(enums.Operation.ACTIVATE, payloads.ActivateRequestPayload(identifier))


def rename(uid: str, name: str) -> Request:
    """Ask for another value of a key's first name."""
    attribute = _attribute(enums.AttributeType.NAME, _name_value(name), index=0)
    payload = payloads.ModifyAttributeRequestPayload(uid, attribute=attribute)
    return Request(enums.Operation.MODIFY_ATTRIBUTE, payload)


def revoke(uid: str) -> Request:
    """Ask that a key is used no more, which must come before `destroy`."""
    reason = objects.RevocationReason(enums.RevocationReasonCode.CESSATION_OF_OPERATION)
    payload = payloads.RevokeRequestPayload(attributes.UniqueIdentifier(uid), reason)
    return Request(enums.Operation.REVOKE, payload)


def destroy(uid: str) -> Request:
    """Ask that a key is destroyed."""
    identifier = attributes.UniqueIdentifier(uid)
    return Request(enums.Operation.DESTROY, payloads.DestroyRequestPayload(identifier))


def _of_a_master(name: str, group: str) -> Iterable[Any]:
    kind = enums.AttributeType
    yield _attribute(kind.CRYPTOGRAPHIC_ALGORITHM, enums.CryptographicAlgorithm.AES)
    yield _attribute(kind.CRYPTOGRAPHIC_LENGTH, _MASTER_BITS)
    yield _attribute(kind.CRYPTOGRAPHIC_USAGE_MASK, [enums.CryptographicUsageMask.MAC_GENERATE])
    yield _attribute(kind.NAME, _name_value(name))
    yield _attribute(kind.OBJECT_GROUP, group)


def _attribute(kind: Any, value: Any, index: int | None = None) -> Any:
    return AttributeFactory().create_attribute(kind, value, index)


def _name_value(name: str) -> Any:
    return attributes.Name.create(name, enums.NameType.UNINTERPRETED_TEXT_STRING)


def _failure(item: Any) -> KmipFailure:
    reason = None if item.result_reason is None else item.result_reason.value
    text = "" if item.result_message is None else str(item.result_message.value)
    shown = f"{getattr(reason, 'name', 'no reason given')}: {text}".rstrip(": ")
    return KmipFailure(shown, not_supported=reason in _NOT_SUPPORTED)


def _nonsense(reason: str) -> KmsUnavailable:
    return KmsUnavailable(f"the KMIP server's answer is malformed: {reason}")


TTLV_HEADER_BYTES = 8
MAXIMUM_ANSWER_BYTES = 1 << 20


def remaining(header: bytes) -> int:
    """Return how many bytes follow the first 8 of an answer (KMIP 1.2, 9.1.1)."""
    (length,) = struct.unpack(">I", header[4:])
    if length > MAXIMUM_ANSWER_BYTES:
        raise _nonsense(f"it has over {MAXIMUM_ANSWER_BYTES} bytes")
    return int(length)
