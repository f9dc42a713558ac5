"""The CPS4 as its ChipDoc application speaks, through its contacts.

The only source is the code of the Cryptolib CPS: no trace of a card, and nothing here is confirmed
by one. Every command goes on logical channel 1 (CLA 01), which nobody opens; the contactless face
of a CPS4 is a DESFire and not driven here.

Another program that selects another application on the card makes it answer 69 85, 68 81, 6E xx or
6A 86: the application is selected anew and the work done once more. A PIN verified before counts
as lost.
"""

from collections.abc import Callable
from typing import TypeVar

from cardd.cps.family import Family
from cardd.cps.files import CardFiles, ask, file_size, select
from cardd.cps.objects import KeyReference
from cardd.cps.pin import PinAttributes
from cardd.cps.pkcs15 import MASTER_FILE, Application, FilePath
from cardd.cps.pkcs15_card import DIGEST_INFO_SHA256, SIGNATURE_BYTES, Pkcs15Card
from cardd.errors import CardBusy, CardError, CardStatusError
from cardd.iso7816 import status
from cardd.iso7816.apdu import CommandApdu
from cardd.iso7816.exchange import Exchange
from cardd.iso7816.status import status_error, tries_left
from cardd.iso7816.transport import chain, transceive

CHIPDOC_AID = bytes.fromhex("8025000001FF0100")
PKCS15_AID = bytes.fromhex("E828BD080F8025000001FF0010")
_ISSUER_DOMAIN_AID = bytes.fromhex("A0000001510000")
_CPS2TER_AID = bytes.fromhex("8025000001FF0002")

_CHANNEL = 0x01
_FILE, _NAME, _PATH = 0x00, 0x04, 0x08
_DISTURBED = frozenset({status.CONDITIONS, status.WRONG_CHANNEL, status.WRONG_P1_P2})
_LOCAL = 0x80

Result = TypeVar("Result")


class ChipDocFiles(CardFiles):
    """Selections of the CPS4: a path goes without its leading 3F00, and P2 is 00."""

    aid = PKCS15_AID
    cla = _CHANNEL
    chunk_bytes = 256

    def select_application(self, application: Application) -> Exchange[None]:
        """Select the PKCS#15 application by its path where EF.DIR names one, else by its AID."""
        if application.path:
            yield from self.select_directory(application.path)
        else:
            yield from select(self.cla, _NAME, 0x00, application.aid)

    def select_directory(self, path: bytes) -> Exchange[None]:
        """Select a DF by its absolute path."""
        yield from self._select(path, answers=False)

    def select_file(self, path: FilePath, application: Application) -> Exchange[int | None]:
        """Select an EF and return its size; a relative path goes one file at a time."""
        if path.absolute:
            return file_size((yield from self._select(path.ids, answers=True)))
        yield from self.select_application(application)
        for at in range(0, len(path.ids) - 2, 2):
            yield from select(self.cla, _FILE, 0x00, path.ids[at : at + 2])
        return file_size((yield from select(self.cla, _FILE, 0x00, path.ids[-2:], answers=True)))

    def _select(self, path: bytes, *, answers: bool) -> Exchange[bytes]:
        if path == MASTER_FILE:
            return (yield from select(self.cla, _FILE, 0x00, path, answers=answers))
        stripped = path.removeprefix(MASTER_FILE)
        return (yield from select(self.cla, _PATH, 0x00, stripped, answers=answers))


class ChipDocCard(Pkcs15Card):
    """A CPS4 (`cardd.cps.card.CpsCard`)."""

    def __init__(self) -> None:
        super().__init__(Family.CPS4, ChipDocFiles())

    def recognise(self) -> Exchange[None]:
        """Select the ChipDoc application, if need be with the detour that brings it back."""
        try:
            yield from _select_chipdoc()
        except CardStatusError:
            yield from _recover()

    def _attempt(self, work: Callable[[], Exchange[Result]]) -> Exchange[Result]:
        try:
            return (yield from work())
        except CardStatusError as error:
            if not _disturbed(error.status):
                raise
        yield from self.recognise()
        return (yield from work())

    def _prepare_pin(self, pin: PinAttributes) -> Exchange[int | None]:
        """Ask for the tries with a VERIFY without a PIN, which uses none.

        The application is selected first, so that no other one is ever given the PIN.
        """
        yield from _select_chipdoc()
        if pin.path:
            yield from self._files.select_directory(pin.path)
        command = CommandApdu(_CHANNEL, 0x20, 0x00, pin.reference)
        response = yield from transceive(command)
        if response.status == status.OK:
            return None
        left = 0 if response.status == status.BLOCKED else tries_left(response.status)
        if left is None:
            raise status_error("VERIFY without a PIN", response.status)
        return left

    def _change(self, pin: PinAttributes, old: bytes, new: bytes) -> Exchange[None]:
        """VERIFY the old PIN, then CHANGE REFERENCE DATA with the new one alone."""
        verify = CommandApdu(_CHANNEL, 0x20, 0x00, pin.reference, old)
        yield from self._present(pin, verify, "VERIFY")
        yield from self._set(pin, new)

    def _replace(self, pin: PinAttributes, new: bytes) -> Exchange[None]:
        """RESET RETRY COUNTER without data, then set the new PIN; the code being verified."""
        reset = CommandApdu(_CHANNEL, 0x2C, 0x03, pin.reference | _LOCAL)
        yield from ask("RESET RETRY COUNTER", reset)
        yield from self._set(pin, new)

    def _set(self, pin: PinAttributes, new: bytes) -> Exchange[None]:
        change = CommandApdu(_CHANNEL, 0x24, 0x01, pin.reference, new)
        yield from ask("CHANGE REFERENCE DATA", change)

    def _unblocking_pin_unlisted(self) -> PinAttributes:
        raise CardError("the card describes no unblocking code")

    def _sign(self, key: KeyReference, application: Application, digest: bytes) -> Exchange[bytes]:
        try:
            return (yield from self._decipher(key, application, digest))
        except CardStatusError as error:
            if not _disturbed(error.status):
                raise
        yield from self.recognise()
        raise CardBusy("another program used the card after the PIN: type the PIN again")

    def _decipher(
        self, key: KeyReference, application: Application, digest: bytes
    ) -> Exchange[bytes]:
        """Apply the private key to the padded DigestInfo: ChipDoc has no INTERNAL AUTHENTICATE.

        MSE SET and a chained PSO DECIPHER without padding indicator (RFC 8017, 9.2, for the form).
        """
        if key.path:
            yield from self._files.select_directory(key.path)
        else:
            yield from self._files.select_application(application)
        environment = bytes((0x83, 0x01, key.reference))
        yield from ask(
            "MANAGE SECURITY ENVIRONMENT", CommandApdu(_CHANNEL, 0x22, 0x41, 0xB8, environment)
        )
        operation = CommandApdu(_CHANNEL, 0x2A, 0x80, 0x86, le=256)
        response = yield from chain(operation, _padded(DIGEST_INFO_SHA256 + digest))
        if response.status != status.OK:
            raise status_error("PERFORM SECURITY OPERATION", response.status)
        return response.data


def _padded(digest_info: bytes) -> bytes:
    fill = b"\xff" * (SIGNATURE_BYTES - len(digest_info) - 3)
    return b"\x00\x01" + fill + b"\x00" + digest_info


def _disturbed(word: int) -> bool:
    return word in _DISTURBED or word >> 8 == status.SW1_WRONG_CLASS


def _select_chipdoc() -> Exchange[None]:
    yield from select(_CHANNEL, _NAME, 0x0C, CHIPDOC_AID)


def _recover() -> Exchange[None]:
    """Select two other applications, then ChipDoc again; only the last must succeed."""
    for cla, aid in ((_CHANNEL, _ISSUER_DOMAIN_AID), (0x00, _CPS2TER_AID)):
        yield from transceive(CommandApdu(cla, 0xA4, _NAME, 0x0C, aid))
    yield from _select_chipdoc()
