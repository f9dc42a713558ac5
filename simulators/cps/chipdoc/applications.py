"""Which application has the card: ChipDoc, the CPS2ter face, the security domain, or none.

Known (facts, Cryptolib's source): ChipDoc answers on logical channel 1 at once; after another
application was selected a program sees 69 85, 68 81 or 6E xx, and comes back by selecting ChipDoc,
or, where that itself gets 69 85, by selecting the security domain, CPS2ter and then ChipDoc. Not
confirmed by a real card, and so a model: which of the three comes when. Here, with no application
or the security domain in hand, channel 1 answers 68 81; with CPS2ter, 6E 00; with CPS2ter once it
has been used, 69 85, also to the selection of ChipDoc.
"""

from simulators.cps.chipdoc.command import Command
from simulators.cps.chipdoc.session import Application, Session
from simulators.cps.chipdoc.status import Refusal, Status
from simulators.der import tlv

CHIPDOC_CHANNEL = 1
CLA_CPS2TER = 0xA0
SELECT = 0xA4
BY_NAME = 0x04
NO_DATA = 0x0C

CPS2TER_MF = bytes.fromhex("3F00")
CPS2TER_MF_ENTRY = bytes.fromhex("8505 0000 3F00 01")
CPS2TER_NO_FILE = 0x9404
CPS2TER_MORE = 0x9F00


def application_of(command: Command) -> Application | None:
    """Return the application that a command selects by its name, None if it does something else."""
    if command.ins != SELECT or command.p1 != BY_NAME:
        return None
    return next((entry for entry in Application if entry.value == command.data), None)


def select(session: Session, application: Application, command: Command) -> bytes:
    """Put an application in hand and return its FCI; whatever was selected or verified is lost."""
    if application is Application.CHIPDOC and command.channel != CHIPDOC_CHANNEL:
        raise Refusal(Status.NOT_FOUND)
    if application is Application.CHIPDOC and session.taken:
        raise Refusal(Status.CONDITIONS_NOT_SATISFIED)
    if application is Application.CPS2TER and session.application is Application.SECURITY_DOMAIN:
        session.taken = False
    session.leave()
    session.application = application
    if command.p2 == NO_DATA:
        return b""
    return tlv(0x6F, tlv(0x84, application.value))


def require_chipdoc(session: Session, command: Command) -> None:
    """Refuse a command that ChipDoc does not get, with the status of what stands in its way."""
    if command.channel != CHIPDOC_CHANNEL:
        raise Refusal(Status.CLASS_NOT_SUPPORTED)
    if session.application is Application.CPS2TER:
        raise Refusal(
            Status.CONDITIONS_NOT_SATISFIED if session.taken else Status.CLASS_NOT_SUPPORTED
        )
    if session.application is not Application.CHIPDOC:
        raise Refusal(
            Status.CONDITIONS_NOT_SATISFIED if session.taken else Status.CHANNEL_NOT_SUPPORTED
        )


def cps2ter(session: Session, command: Command) -> tuple[bytes, int]:
    """Answer the CPS2ter face: its MF alone, which is what a program needs to take the card.

    Returns data that GET RESPONSE fetches, and the status word 9F xx or an error.
    """
    if session.application is not Application.CPS2TER:
        raise Refusal(Status.CLASS_NOT_SUPPORTED)
    session.taken = True
    if command.ins != SELECT:
        raise Refusal(Status.INSTRUCTION_NOT_SUPPORTED)
    if command.data != CPS2TER_MF:
        return b"", CPS2TER_NO_FILE
    return CPS2TER_MF_ENTRY, CPS2TER_MORE | len(CPS2TER_MF_ENTRY)
