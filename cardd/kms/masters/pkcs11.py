"""Master keys in a PKCS #11 token: AES-128, not extractable, for MACs and nothing else."""

from collections.abc import Callable
from typing import Any, TypeVar

from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, Session
from pkcs11.exceptions import (
    AttributeReadOnly,
    AttributeSensitive,
    AttributeTypeInvalid,
    AttributeValueInvalid,
    FunctionNotSupported,
    MechanismInvalid,
    PKCS11Error,
    TemplateIncomplete,
    TemplateInconsistent,
    UserNotLoggedIn,
)
from pkcs11.types import SecretKey

from cardd.errors import Code, KmsUnavailable, Refused
from cardd.kms.masters.names import MasterName, Names
from cardd.kms.masters.pkcs11_cmac import BLOCK, ZERO_BLOCK, Subkeys
from cardd.kms.masters.pkcs11_token import OpenToken, mechanisms, search
from cardd.secret import Secret

Result = TypeVar("Result")
Mac = Callable[[bytes], bytes]

_MASTER_BITS = 128
_CANNOT = (
    AttributeReadOnly,
    AttributeTypeInvalid,
    AttributeValueInvalid,
    FunctionNotSupported,
    MechanismInvalid,
    TemplateIncomplete,
    TemplateInconsistent,
)


class Pkcs11Keys:
    """Implements `KeyHolder` with one token. Thread-safe.

    Where the module lacks CKM_AES_CMAC, a key has the right ENCRYPT instead of SIGN.
    """

    def __init__(self, token: OpenToken, names: Names) -> None:
        self._token = token
        self._names = names
        self._session: Session | None = None
        self._macs: dict[MasterName, Mac] = {}

    def find(self) -> dict[MasterName, bool]:
        """Return the masters that there are, and whether each is promoted."""

        def work(session: Session) -> dict[MasterName, bool]:
            had_some = bool(self._macs)
            found = self._load(session)
            if had_some and not found:  # a session that lost its login sees no key, and no error
                raise UserNotLoggedIn
            return {name: promoted for name, (_, promoted) in found.items()}

        return self._token.call(work)

    def mac(self, name: MasterName, message: bytes) -> bytes:
        """Return the AES-CMAC of a message under a master."""

        def work(session: Session) -> bytes:
            if session is not self._session:
                self._load(session)
            compute = self._macs.get(name)
            if compute is None:
                raise KmsUnavailable(f"{self._token} has no master {self._names.identifier(name)}")
            return compute(message)

        return self._token.call(work)

    def generate(self, name: MasterName) -> None:
        """Make a random master, not promoted."""

        def work(session: Session) -> None:
            key = session.generate_key(
                KeyType.AES,
                _MASTER_BITS,
                store=True,
                capabilities=mac_right(session),
                template=self._template(name),
            )
            self._require_only(session, name, key)

        self._change(work, "make such a key")

    def import_key(self, name: MasterName, key: Secret) -> None:
        """Bring a master in, not promoted."""

        def work(session: Session) -> None:
            right = mac_right(session)
            created = session.create_object(
                {
                    Attribute.CLASS: ObjectClass.SECRET_KEY,
                    Attribute.KEY_TYPE: KeyType.AES,
                    Attribute.TOKEN: True,
                    Attribute.PRIVATE: True,
                    Attribute.SENSITIVE: True,
                    **{each: flag & right for each, flag in _RIGHTS.items()},
                    **self._template(name),
                    Attribute.VALUE: key.reveal(),
                }
            )
            self._require_only(session, name, created)

        self._change(work, "take a key in the clear; generate masters in it instead")

    def promote(self, name: MasterName) -> None:
        """Take `/next` from the master's label."""

        def work(session: Session) -> None:
            key = self._only(session, name)
            key[Attribute.LABEL] = self._names.master(name, promoted=True)

        self._change(work, "change the label of a key")

    def destroy(self, name: MasterName) -> None:
        """Destroy a master."""

        def work(session: Session) -> None:
            self._only(session, name).destroy()

        self._change(work, "destroy a key")

    def _change(self, work: Callable[[Session], None], what: str) -> None:
        try:
            self._token.call_once(work)
        except _CANNOT as error:
            raise Refused(
                Code.NOT_SUPPORTED, f"{self._token} does not {what} ({type(error).__name__})"
            ) from error
        except PKCS11Error as error:
            raise KmsUnavailable(f"{self._token}: {type(error).__name__}") from error

    def _template(self, name: MasterName) -> dict[Attribute, Any]:
        return {
            Attribute.ID: self._names.identifier(name).encode(),
            Attribute.LABEL: self._names.master(name, promoted=False),
            Attribute.EXTRACTABLE: False,
            Attribute.MODIFIABLE: True,  # the label, which carries the state
        }

    def _load(self, session: Session) -> dict[MasterName, tuple[SecretKey, bool]]:
        found = self._search(session)
        self._macs = {name: mac_under(session, key) for name, (key, _) in found.items()}
        self._session = session
        return found

    def _search(self, session: Session) -> dict[MasterName, tuple[SecretKey, bool]]:
        """Return the masters in the token. One that could leave it, or is there twice, is none."""
        found: dict[MasterName, tuple[SecretKey, bool]] = {}
        template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.TOKEN: True}
        for key in search(session, template):
            parsed = self._names.parse(_label(key))
            if parsed is None or not isinstance(key, SecretKey):
                continue
            name, promoted = parsed
            if name in found:
                raise KmsUnavailable(
                    f"{self._token} has two masters {self._names.identifier(name)}; destroy the "
                    "one that no badge has keys from"
                )
            if key[Attribute.EXTRACTABLE] or key[Attribute.VALUE_LEN] * 8 != _MASTER_BITS:
                raise KmsUnavailable(
                    f"the key {self._names.identifier(name)} of {self._token} can be taken out of "
                    "it, or is not AES-128: it is no master"
                )
            found[name] = key, promoted
        return found

    def _only(self, session: Session, name: MasterName) -> SecretKey:
        found = self._search(session).get(name)
        if found is None:
            raise KmsUnavailable(f"{self._token} has no master {self._names.identifier(name)}")
        return found[0]

    def _require_only(self, session: Session, name: MasterName, made: Any) -> None:
        """Destroy what was made and raise Refused where somebody else made the same meanwhile."""
        try:
            self._search(session)
        except KmsUnavailable as error:
            made.destroy()
            identifier = self._names.identifier(name)
            raise Refused(
                Code.CONFLICT, f"{identifier} was not made, because of what is there: {error}"
            ) from error


_RIGHTS = {
    Attribute.ENCRYPT: MechanismFlag.ENCRYPT,
    Attribute.DECRYPT: MechanismFlag.DECRYPT,
    Attribute.SIGN: MechanismFlag.SIGN,
    Attribute.VERIFY: MechanismFlag.VERIFY,
    Attribute.WRAP: MechanismFlag.WRAP,
    Attribute.UNWRAP: MechanismFlag.UNWRAP,
    Attribute.DERIVE: MechanismFlag.DERIVE,
}


def mac_right(session: Session) -> MechanismFlag:
    """Return the one right that a key needs for MACs in a session's token."""
    by_cmac = Mechanism.AES_CMAC in mechanisms(session)
    return MechanismFlag.SIGN if by_cmac else MechanismFlag.ENCRYPT


def mac_under(session: Session, key: Any) -> Mac:
    """Return what computes the AES-CMAC of a message under a key of a session."""
    return _cmac(key) if Mechanism.AES_CMAC in mechanisms(session) else _cbc_mac(key)


def _label(key: Any) -> str:
    try:
        return str(key[Attribute.LABEL])
    except (AttributeTypeInvalid, AttributeSensitive, UnicodeDecodeError):
        return ""


def _cmac(key: Any) -> Mac:
    def compute(message: bytes) -> bytes:
        return bytes(key.sign(message, mechanism=Mechanism.AES_CMAC))

    return compute


def _cbc_mac(key: Any) -> Mac:
    def encrypt(data: bytes) -> bytes:
        return bytes(key.encrypt(data, mechanism=Mechanism.AES_CBC, mechanism_param=ZERO_BLOCK))

    subkeys = Subkeys.derive(encrypt(ZERO_BLOCK))

    def compute(message: bytes) -> bytes:
        return encrypt(subkeys.cbc_input(message))[-BLOCK:]

    return compute
