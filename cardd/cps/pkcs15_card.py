"""A CPS whose content PKCS#15 describes: what the families do alike, whatever their commands."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from cardd.cps import contents as found
from cardd.cps.contents import CardKey, CardMemory, Contents, Directory, Purpose
from cardd.cps.family import Family
from cardd.cps.files import CardFiles
from cardd.cps.objects import (
    CardCertificate,
    CardCertificates,
    DataObject,
    KeyReference,
    PinRequest,
    PinState,
)
from cardd.cps.pin import PinAttributes, PinType, guard, judge, of_unblocking_code
from cardd.cps.pkcs15 import Application
from cardd.errors import CardError, CardProtocolError, PinBlocked, PinIncorrect, PinLastTry
from cardd.iso7816 import status
from cardd.iso7816.apdu import CommandApdu
from cardd.iso7816.exchange import Exchange
from cardd.iso7816.transport import transceive
from cardd.secret import Secret

DIGEST_INFO_SHA256 = bytes.fromhex("3031300D060960864801650304020105000420")
"""What PKCS#1 v1.5 puts before a SHA-256 digest (RFC 8017, 9.2, note 1)."""

SIGNATURE_BYTES = 256
_DIGEST_BYTES = 32
_VERIFY = 0x20
_MOST_DATA_OBJECTS = 40

Result = TypeVar("Result")


class Pkcs15Card(ABC):
    """A card in a reader (`cardd.cps.card.CpsCard`), less what a family does its own way."""

    def __init__(self, family: Family, files: CardFiles) -> None:
        self._family = family
        self._files = files
        self._contents = Contents()
        self._memory: tuple[CardMemory, CardKey] | None = None
        self._recalled = False

    @property
    def family(self) -> Family:
        """The generation and the face."""
        return self._family

    # What is on the card

    def number(self) -> Exchange[str]:
        """Return the card's number; see `CpsCard`."""
        return self._attempt(lambda: found.read_number(self._files))

    def still_is(self, number: str) -> Exchange[bool]:
        """Tell whether this is still the card of a number; see `CpsCard`."""
        return (yield from self.number()) == number

    def update_stamp(self) -> Exchange[bytes | None]:
        """Return EF_ACTUA, of a CPS3 with contacts alone: nothing else shows it."""
        if self._family is not Family.CPS3_CONTACT:
            return None
        return (yield from self._attempt(lambda: found.read_stamp(self._files)))

    def remember(self, memory: CardMemory) -> Exchange[str]:
        """Return the card's number, and take over what is remembered of it; see `CpsCard`."""
        number = yield from self.number()
        stamp = yield from self.update_stamp()
        key = CardKey(self._family, number, stamp)
        known = memory.recall(key)
        self._memory, self._recalled = (memory, key), known is not None
        self._contents = known or Contents()
        return number

    def keep(self) -> None:
        """Have the memory of `remember` keep what was read; see `CpsCard`."""
        if self._memory is not None:
            memory, key = self._memory
            memory.keep(key, self._contents)

    def forget(self) -> bool:
        """Drop what was remembered, here and in the memory; see `CpsCard`."""
        recalled, self._recalled = self._recalled, False
        if recalled and self._memory is not None:
            memory, key = self._memory
            memory.forget(key.number)
            self._contents = Contents()
        return recalled

    def certificates(self) -> Exchange[CardCertificates]:
        """Return all certificates; see `CpsCard`."""
        return CardCertificates(
            authentication=(yield from self._certificate(Purpose.AUTHENTICATION)),
            signature=(yield from self._certificate(Purpose.SIGNATURE)),
            technical=(yield from self._certificate(Purpose.TECHNICAL)),
        )

    def login_certificate(self) -> Exchange[CardCertificate]:
        """Return the certificate of the key of `sign`; see `CpsCard`."""
        purpose = Purpose.AUTHENTICATION if self._family.has_pin else Purpose.TECHNICAL
        certificate = yield from self._certificate(purpose)
        if certificate is None:
            raise CardError(f"the card has no certificate for {purpose}")
        return certificate

    def data_objects(self, *, protected: bool = False) -> Exchange[tuple[DataObject, ...]]:
        """Return the data objects that can be read; see `CpsCard`."""
        return self._attempt(lambda: self._data_objects(protected=protected))

    def _data_objects(self, *, protected: bool) -> Exchange[tuple[DataObject, ...]]:
        directory = yield from self._directory()
        listed = yield from found.read_data_objects(self._files, directory)
        objects = []
        for item in listed[:_MOST_DATA_OBJECTS]:
            if item.protected and not protected:
                continue
            content = yield from found.read_content(self._files, item, directory.application)
            if content is not None:
                objects.append(DataObject(item.label, content))
        return tuple(objects)

    def _certificate(self, purpose: Purpose) -> Exchange[CardCertificate | None]:
        contents = self._contents
        if purpose not in contents.certificates:
            directory = yield from self._attempt(self._directory)
            contents.certificates[purpose] = yield from self._attempt(
                lambda: found.read_certificate(self._files, directory, purpose)
            )
        return contents.certificates[purpose]

    def _directory(self) -> Exchange[Directory]:
        contents = self._contents
        if contents.directory is None:
            contents.directory = yield from found.read_directory(
                self._files, trust_ddo=self._family is not Family.CPS3_CONTACTLESS
            )
        return contents.directory

    # The PIN

    def pin(self) -> Exchange[PinState | None]:
        """Return the PIN's state without using a try; see `CpsCard`."""
        if not self._family.has_pin:
            return None
        pin = yield from self._user_pin()
        return pin.state((yield from self._attempt(lambda: self._prepare_pin(pin))))

    def verify_pin(self, pin: Secret, *, use_last_try: bool = False) -> Exchange[None]:
        """Verify the PIN; see `CpsCard`."""
        attributes = yield from self._user_pin()
        yield from self._verify(attributes, attributes.encode(pin), use_last_try=use_last_try)

    def pin_request(self, *, use_last_try: bool = False) -> Exchange[PinRequest]:
        """Do all of `verify_pin` but the VERIFY; see `CpsCard`."""
        pin = yield from self._user_pin()
        if pin.type is PinType.BCD:
            raise CardError("a PIN in packed digits cannot be typed at the reader's keypad")
        yield from self._guard(pin, use_last_try=use_last_try)
        header = bytes((self._files.cla, _VERIFY, 0x00, pin.reference))
        return PinRequest(header, pin.minimum, pin.maximum, pin.block_length, pin.pad)

    def change_pin(self, old: Secret, new: Secret, *, use_last_try: bool = False) -> Exchange[None]:
        """Change the PIN; see `CpsCard`."""
        pin = yield from self._user_pin()
        before, after = pin.encode(old), pin.encode(new)
        yield from self._guard(pin, use_last_try=use_last_try)
        yield from self._change(pin, before, after)

    def unblock_pin(
        self, puk: Secret, new: Secret, *, use_last_try: bool = False
    ) -> Exchange[None]:
        """Give a new PIN with the unblocking code; see `CpsCard`."""
        pin = yield from self._user_pin()
        directory = yield from self._attempt(self._directory)
        unblocking = found.choose_unblocking_pin(directory) or self._unblocking_pin_unlisted()
        code, after = unblocking.encode(puk), pin.encode(new)
        try:
            yield from self._verify(unblocking, code, use_last_try=use_last_try)
        except (PinIncorrect, PinLastTry, PinBlocked) as error:
            raise of_unblocking_code(error) from error
        yield from self._replace(pin, after)

    def _user_pin(self) -> Exchange[PinAttributes]:
        if not self._family.has_pin:
            raise CardError("this face of the card has no PIN")
        directory = yield from self._attempt(self._directory)
        return found.choose_pin(directory)

    def _verify(self, pin: PinAttributes, block: bytes, *, use_last_try: bool) -> Exchange[None]:
        yield from self._guard(pin, use_last_try=use_last_try)
        command = CommandApdu(self._files.cla, _VERIFY, 0x00, pin.reference, block)
        yield from self._present(pin, command, "VERIFY")

    def _guard(self, pin: PinAttributes, *, use_last_try: bool) -> Exchange[None]:
        tries = yield from self._attempt(lambda: self._prepare_pin(pin))
        guard(tries, use_last_try=use_last_try)

    def _present(self, pin: PinAttributes, command: CommandApdu, name: str) -> Exchange[None]:
        """Send a command that carries a PIN, once; raise what its status says."""
        response = yield from transceive(command)
        if response.status == status.SW1_WRONG_VERIFICATION << 8:
            # 6300 does not count (ISO 7816-4, table 6): ask how many tries that has left.
            tries = yield from self._prepare_pin(pin)
            if tries:
                raise PinIncorrect(f"the card refused the PIN: {tries} left", tries_left=tries)
            raise PinBlocked("the card refused the PIN, and no try is left")
        judge(response.status, name)

    # The signature

    def sign(self, digest: bytes) -> Exchange[bytes]:
        """Sign a SHA-256 digest; see `CpsCard`."""
        if len(digest) != _DIGEST_BYTES:
            raise ValueError("a SHA-256 digest has 32 bytes")
        key = (yield from self.login_certificate()).key
        directory = yield from self._attempt(self._directory)
        signature = yield from self._sign(key, directory.application, digest)
        if len(signature) != SIGNATURE_BYTES:
            raise CardProtocolError(
                f"a signature with RSA-2048 has {SIGNATURE_BYTES} bytes; {len(signature)} came"
            )
        return signature

    # What a family does its own way

    def _attempt(self, work: Callable[[], Exchange[Result]]) -> Exchange[Result]:
        """Run what needs no PIN verified before; a family may recover and run it once more."""
        return work()

    @abstractmethod
    def recognise(self) -> Exchange[None]:
        """Select the family's application; CardStatusError where the card has none."""

    @abstractmethod
    def _prepare_pin(self, pin: PinAttributes) -> Exchange[int | None]:
        """Select what the PIN needs, and return its tries left; None where it is verified."""

    @abstractmethod
    def _change(self, pin: PinAttributes, old: bytes, new: bytes) -> Exchange[None]:
        """Change a PIN that `_prepare_pin` prepared."""

    @abstractmethod
    def _replace(self, pin: PinAttributes, new: bytes) -> Exchange[None]:
        """Unblock the PIN and give it a new value, the unblocking code being verified."""

    @abstractmethod
    def _unblocking_pin_unlisted(self) -> PinAttributes:
        """Return the unblocking code that the AODF leaves out, or raise CardError."""

    @abstractmethod
    def _sign(self, key: KeyReference, application: Application, digest: bytes) -> Exchange[bytes]:
        """Select what the key needs, and sign."""
