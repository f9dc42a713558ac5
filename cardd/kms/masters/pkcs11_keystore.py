"""The key in a PKCS #11 token that opens a keystore: AES-256, not extractable, for MACs alone."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from pkcs11 import Attribute, KeyType, ObjectClass, Session
from pkcs11.exceptions import PKCS11Error

from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.masters.pkcs11 import mac_right, mac_under
from cardd.kms.masters.pkcs11_token import OpenToken
from cardd.kms.masters.pkcs11_uri import TokenUri
from cardd.secret import Secret

Result = TypeVar("Result")

_BITS = 256


def mac(uri: TokenUri, pin: Secret, name: str, message: bytes) -> bytes:
    """Return the AES-CMAC of a message under the key of a name.

    Raises KmsUnavailable where there is no such key, or no answer; StartError as OpenToken.
    """

    def work(session: Session) -> bytes:
        found = _find(session, name)
        if len(found) != 1:
            raise KmsUnavailable(
                f"the token has {len(found)} keys {name}, and the keystore's slot is under one"
            )
        return mac_under(session, found[0])(message)

    with closing(OpenToken(uri, pin)) as token:
        return token.call(work)


def make(uri: TokenUri, pin: Secret, name: str) -> None:
    """Make the key of a name where there is none yet.

    Raises Refused (`not_supported`) where the token cannot make it, and as `mac`.
    """

    def work(session: Session) -> None:
        if _find(session, name):
            return
        template: dict[Any, Any] = {
            Attribute.ID: name.encode(),
            Attribute.LABEL: name,
            Attribute.EXTRACTABLE: False,
        }
        right = mac_right(session)
        session.generate_key(KeyType.AES, _BITS, store=True, capabilities=right, template=template)

    _call_once(uri, pin, work)


def _call_once(uri: TokenUri, pin: Secret, work: Callable[[Session], Result]) -> Result:
    with closing(OpenToken(uri, pin, writable=True)) as token:
        try:
            return token.call_once(work)
        except PKCS11Error as error:
            raise Refused(
                Code.NOT_SUPPORTED, f"{token} does not make such a key ({type(error).__name__})"
            ) from error


def _find(session: Session, name: str) -> list[Any]:
    template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: name}
    return list(session.get_objects(template))
