"""The CPS3 as its IAS-ECC application speaks, through its contacts and without them.

Sources: the Cryptolib CPS's and OpenSC's drivers and traces of real cards that OpenSC's issues
show. Selections, PIN tries, VERIFY and the authentication are in such traces; CHANGE, RESET RETRY
COUNTER, the contactless face, and that a PIN is not padded, no card has confirmed here.
"""

from contextlib import suppress

from cardd.cps.contents import parse_number
from cardd.cps.family import Family
from cardd.cps.files import CardFiles, ask, file_size, select
from cardd.cps.objects import KeyReference
from cardd.cps.pin import PinAttributes
from cardd.cps.pkcs15 import MASTER_FILE, Application, FilePath
from cardd.cps.pkcs15_card import DIGEST_INFO_SHA256, Pkcs15Card
from cardd.errors import CardProtocolError
from cardd.iso7816 import status
from cardd.iso7816.apdu import CommandApdu
from cardd.iso7816.exchange import Exchange
from cardd.iso7816.tlv import descend, find, parse_tlvs
from cardd.iso7816.transport import transceive

AIDS = {
    Family.CPS3_CONTACT: bytes.fromhex("E828BD080F8025000001FF0010"),
    Family.CPS3_CONTACTLESS: bytes.fromhex("E828BD080F8025000001FF0020"),
}

_PATH, _NAME, _CHILD = 0x09, 0x04, 0x02
_WITH_ANSWER, _WITHOUT = 0x04, 0x0C
_UNBLOCKING_REFERENCE = 0x02
_EF_SN_SHORT = 0x80 | 0x1C


class IasEccFiles(CardFiles):
    """Selections of the CPS3: a path keeps its leading 3F00, and P2 is 04 or 0C, never 00."""

    cla = 0x00
    chunk_bytes = 0xE7

    def __init__(self, aid: bytes) -> None:
        self.aid = aid

    def select_application(self, application: Application) -> Exchange[None]:
        """Select the application by its AID, as EF.DIR may name no path."""
        yield from select(self.cla, _NAME, _WITHOUT, application.aid)

    def select_directory(self, path: bytes) -> Exchange[None]:
        """Select a DF by its absolute path."""
        yield from select(self.cla, _PATH, _WITHOUT, path)

    def select_file(self, path: FilePath, application: Application) -> Exchange[int | None]:
        """Select an EF and return its size.

        A path that is relative because EF.DIR names none is taken inside the application; beyond
        one file that is not confirmed.
        """
        p1 = _PATH
        if not path.absolute:
            yield from self.select_application(application)
            p1 = _CHILD if len(path.ids) == 2 else _PATH
        return file_size((yield from select(self.cla, p1, _WITH_ANSWER, path.ids, answers=True)))


class IasEccCard(Pkcs15Card):
    """A CPS3 (`cardd.cps.card.CpsCard`)."""

    def __init__(self, family: Family) -> None:
        super().__init__(family, IasEccFiles(AIDS[family]))
        self._master_selected = False  # by the command before, of this object and transaction

    def recognise(self) -> Exchange[None]:
        """Select the IAS-ECC application of the face; CardStatusError where there is none."""
        yield from self._files.select_application(Application(AIDS[self.family]))

    def still_is(self, number: str) -> Exchange[bool]:
        """Tell whether this is still the card of a number; one command where the MF is selected.

        That is how a reset and `pin` leave it. EF.SN then answers to its short identifier, as its
        file control parameters have it on a real card and OpenSC reads it. Where another program
        left another DF selected, the identifier means another file: EF.SN is then read by its path.
        """
        self._master_selected = False
        response = yield from transceive(CommandApdu(0x00, 0xB0, _EF_SN_SHORT, 0x00, le=12))
        if response.status == status.OK:
            with suppress(CardProtocolError):
                self._master_selected = parse_number(response.data) == number
        if self._master_selected:
            return True
        return (yield from super().still_is(number))

    def _prepare_pin(self, pin: PinAttributes) -> Exchange[int | None]:
        """Read the tries with GET DATA of the PIN's SDO, from the MF as the card wants."""
        selected, self._master_selected = self._master_selected, False
        if not selected:
            yield from self._files.select_directory(MASTER_FILE)
        tries = yield from self._read_tries(pin.reference)
        if pin.path not in {b"", MASTER_FILE}:
            yield from self._files.select_directory(pin.path)
        return tries

    def _read_tries(self, reference: int) -> Exchange[int]:
        number = reference & 0x7F
        wanted = bytes((0x4D, 0x08, 0x70, 0x06, 0xBF, 0x81, number, 0x02, 0xA0, 0x80))
        answer = yield from ask("GET DATA", CommandApdu(0x00, 0xCB, 0x3F, 0xFF, wanted, 256))
        return _tries(answer, number)

    def _change(self, pin: PinAttributes, old: bytes, new: bytes) -> Exchange[None]:
        """CHANGE REFERENCE DATA with the old PIN and the new one in one command."""
        command = CommandApdu(0x00, 0x24, 0x00, pin.reference, old + new)
        yield from self._present(pin, command, "CHANGE REFERENCE DATA")

    def _replace(self, pin: PinAttributes, new: bytes) -> Exchange[None]:
        """RESET RETRY COUNTER with the new PIN, after VERIFY of the unblocking code."""
        yield from ask("RESET RETRY COUNTER", CommandApdu(0x00, 0x2C, 0x02, pin.reference, new))

    def _unblocking_pin_unlisted(self) -> PinAttributes:
        """Return the unblocking code of a card whose AODF leaves it out.

        Its reference is from OpenSC's traces; its 8 digits are what people are told.
        """
        return PinAttributes(
            "", _UNBLOCKING_REFERENCE, minimum=8, maximum=8, stored_length=8, unblocks=True
        )

    def _sign(self, key: KeyReference, application: Application, digest: bytes) -> Exchange[bytes]:
        """MSE SET and INTERNAL AUTHENTICATE: the card pads the DigestInfo (PKCS#1 v1.5)."""
        if key.path:
            yield from self._files.select_directory(key.path)
        else:
            yield from self._files.select_application(application)
        environment = bytes((0x80, 0x01, 0x02, 0x84, 0x01, key.reference))
        yield from ask(
            "MANAGE SECURITY ENVIRONMENT", CommandApdu(0x00, 0x22, 0x41, 0xA4, environment)
        )
        data = DIGEST_INFO_SHA256 + digest
        return (yield from ask("INTERNAL AUTHENTICATE", CommandApdu(0x00, 0x88, data=data, le=256)))


def _tries(answer: bytes, number: int) -> int:
    """Read 9B, tries left, of a PIN's SDO; none either where 9D, usages left, is 0."""
    attributes = descend(answer, 0x70, 0xBF8100 | number, 0xA0)
    parts = parse_tlvs(attributes or b"")
    left, usages = find(parts, 0x9B), find(parts, 0x9D)
    if left is None or len(left.value) != 1 or (usages and not 1 <= len(usages.value) <= 2):
        raise CardProtocolError("the card does not say how many tries of the PIN are left")
    if usages is not None and not any(usages.value):
        return 0
    return left.value[0]
