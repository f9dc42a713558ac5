"""A PKCS #11 token: logged in to once, and again after it went and came back."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from pkcs11 import Attribute, Mechanism, Session, Token, TokenFlag
from pkcs11._pkcs11 import lib as Library  # noqa: N812 - a class, for its type
from pkcs11.exceptions import (
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PinTooWeak,
    PKCS11Error,
    TokenNotPresent,
    UserAlreadyLoggedIn,
    UserPinNotInitialized,
)

from cardd.errors import CarddError, KmsUnavailable, StartCode, StartError
from cardd.kms.masters.outage import Outage
from cardd.kms.masters.pkcs11_module import Module, module_at
from cardd.kms.masters.pkcs11_uri import TokenUri
from cardd.secret import Secret

Result = TypeVar("Result")

_PIN_REFUSED = (
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PinTooWeak,
    UserPinNotInitialized,
)


class OpenToken:
    """A token that one key service uses. Thread-safe.

    The PIN is tried once. Where the token counts wrong PINs it is not tried at all after one that
    was wrong: a service that is started again and again would lock the token. Raises StartError
    (`masters_unavailable`, `masters_not_found`, `masters_credentials`) when it is made.
    """

    def __init__(
        self,
        uri: TokenUri,
        pin: Secret,
        *,
        writable: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = uri
        self._pin = pin
        self._writable = writable
        self._outage = Outage(monotonic)
        self._module: Module = module_at(uri.module)
        self._epoch = -1
        self._session: Session | None = None
        self._pin_proven = False
        self._pin_refused = False
        self._module.take_turn()
        try:
            self._enter()
        except PKCS11Error as error:
            raise StartError(
                StartCode.MASTERS_UNAVAILABLE, f"{self}: {_name(error)}; check kms.masters"
            ) from error
        finally:
            self._module.end_turn()

    def __str__(self) -> str:
        return f"the PKCS #11 token with {self._uri}"

    def call(self, work: Callable[[Session], Result]) -> Result:
        """Do something that may be done twice; raise KmsUnavailable where the token is gone.

        A session that is lost is opened once more, and only then does `work` run again.
        """
        self._module.take_turn()
        try:
            session = self._session
            if session is not None and self._epoch == self._module.epoch:
                try:
                    return work(session)
                except PKCS11Error:
                    self._session = None
            return self._after_reopening(work)
        finally:
            self._module.end_turn()

    def call_once(self, work: Callable[[Session], Result]) -> Result:
        """Do something that must not be done twice, in a session that lives; else PKCS11Error."""
        self.call(_is_alive)
        self._module.take_turn()
        try:
            if self._session is None:
                raise KmsUnavailable(f"{self} went away")
            return work(self._session)
        finally:
            self._module.end_turn()

    def close(self) -> None:
        """Log out. The module is finalised where nobody else in this process uses it."""
        self._module.take_turn()
        try:
            if self._session is not None and self._epoch == self._module.epoch:
                self._close(self._session)
            self._session = None
            self._module.leave()
        finally:
            self._module.end_turn()

    def _enter(self) -> None:
        try:
            self._module.enter()
            self._log_in()
        except BaseException:
            self._module.leave()
            raise

    def _after_reopening(self, work: Callable[[Session], Result]) -> Result:
        self._outage.require_over()
        if self._pin_refused:
            raise KmsUnavailable(f"{self} refused the PIN: it is not tried again before a restart")
        try:
            if self._epoch == self._module.epoch:  # nobody else here has done so meanwhile
                self._module.begin_again()
            self._epoch = self._module.epoch
            session = self._log_in()
            result = work(session)
        except (PKCS11Error, StartError) as error:
            self._session = None
            why = str(error) if isinstance(error, CarddError) else f"{self}: {_name(error)}"
            raise self._outage.begin(why) from error
        self._outage.end()
        return result

    def _log_in(self) -> Session:
        token = self._find(self._module.library())
        self._require_harmless(token)
        try:
            session = token.open(rw=self._writable, user_pin=self._pin.reveal().decode())
        except UserAlreadyLoggedIn:  # somebody in this process; the login is the process's
            session = token.open(rw=self._writable)
        except _PIN_REFUSED as error:
            self._pin_refused = True
            raise StartError(
                StartCode.MASTERS_CREDENTIALS,
                f"{self} refused the PIN ({_name(error)}); it was tried once. Correct it, and log "
                "in once by the token's own tools where it counts wrong PINs",
            ) from None
        self._pin_proven = True
        self._session, self._epoch = session, self._module.epoch
        return session

    def _require_harmless(self, token: Token) -> None:
        """Raise StartError where a PIN that is not known to be right could lock the token."""
        flags = token.flags
        doubtful = TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_FINAL_TRY
        if not self._pin_proven:
            doubtful |= TokenFlag.USER_PIN_COUNT_LOW
        if flags & doubtful:
            raise StartError(
                StartCode.MASTERS_CREDENTIALS,
                f"{self} counts wrong PINs since its last login, so the configured one was not "
                "tried; log in once with the right PIN by the token's own tools, then start again",
            )

    def _find(self, library: Library) -> Token:
        found = []
        for slot in library.get_slots(token_present=True):
            try:
                token = slot.get_token()
            except TokenNotPresent:
                continue
            if self._matches(token):
                found.append(token)
        if len(found) != 1:
            how_many = "is not there" if not found else f"is there {len(found)} times"
            raise StartError(
                StartCode.MASTERS_UNAVAILABLE, f"{self} {how_many}; check kms.masters and the token"
            )
        return found[0]

    def _matches(self, token: Token) -> bool:
        has = {
            "token": token.label,
            "serial": token.serial.decode("utf-8", "replace").rstrip("\0 "),
            "model": token.model,
            "manufacturer": token.manufacturer_id,
        }
        return all(has[name] == value for name, value in self._uri.identity.items())

    def _close(self, session: Session) -> None:
        try:
            session.close()
        except PKCS11Error:
            return  # it is gone already


def mechanisms(session: Session) -> set[Mechanism]:
    """Return what a session's token can do, as far as it has a name."""
    return {each for each in session.token.slot.get_mechanisms() if isinstance(each, Mechanism)}


def search(session: Session, template: dict[Attribute, Any]) -> list[Any]:
    """Return the objects that a template describes; PKCS11Error in a session that is lost.

    That is found out before: where C_FindObjectsInit fails, python-pkcs11 leaves an object whose
    finaliser calls the module, in whatever thread collects it.
    """
    _is_alive(session)
    return list(session.get_objects(template))


def _is_alive(session: Session) -> None:
    """Raise PKCS11Error in a session that is lost."""
    session.generate_random(8)


def _name(error: PKCS11Error) -> str:
    return " ".join(filter(None, (type(error).__name__, str(error))))
