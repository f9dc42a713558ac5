"""SELECT, READ BINARY and UPDATE BINARY of the ChipDoc application (facts, section 1, SELECT)."""

from simulators.cps.chipdoc.chip import MF, ElementaryFile
from simulators.cps.chipdoc.command import LONGEST_ANSWER, Command
from simulators.cps.chipdoc.session import Session
from simulators.cps.chipdoc.status import Refusal, Status
from simulators.der import tlv

MF_IDENTIFIER = bytes.fromhex("3F00")
BY_IDENTIFIER, BY_NAME, BY_PATH = 0x00, 0x04, 0x08
FCI, FCP, NO_DATA = 0x00, 0x04, 0x0C
TEMPLATES = {FCI: 0x6F, FCP: 0x62}
DF_DESCRIPTOR, EF_DESCRIPTOR = b"\x38", b"\x01"
SHORT_EF = 0x80


def select(session: Session, command: Command) -> bytes:
    """Select a file and return its FCI (6F), FCP (62) or nothing, as P2 asks."""
    if command.p2 not in {FCI, FCP, NO_DATA}:
        raise Refusal(Status.WRONG_PARAMETERS)
    path = _find(session, command)
    is_directory = path in session.chip.directories
    if is_directory:
        session.directory, session.file = path, None
    else:
        session.directory, session.file = path[:-2], path
    if command.p2 == NO_DATA:
        return b""
    return tlv(TEMPLATES[command.p2], _describe(session, path))


def read(session: Session, command: Command) -> bytes:
    """Return a part of the current EF; on T=0 exactly as much as was asked for."""
    file = _current(session)
    session.require(file.read)
    offset = _offset(command, file)
    asked = command.le or LONGEST_ANSWER
    part = file.content[offset : offset + asked]
    if len(part) < asked and not session.chip.product.offers_t1:
        raise Refusal(Status.WRONG_LE, len(part))
    return part


def update(session: Session, command: Command) -> bytes:
    """Write into the current EF, within its size. Its access condition is not confirmed."""
    file = _current(session)
    session.require(file.update)
    offset = _offset(command, file)
    end = offset + len(command.data)
    if not command.data or end > len(file.content):
        raise Refusal(Status.WRONG_LENGTH)
    assert session.file is not None
    content = file.content[:offset] + command.data + file.content[end:]
    session.chip = session.chip.with_content(session.file, content)
    return b""


def _find(session: Session, command: Command) -> bytes:
    chip, data = session.chip, command.data
    if command.p1 == BY_NAME:
        candidates = [path for path, name in chip.directories.items() if name and name == data]
    elif command.p1 == BY_PATH:
        candidates = [data]
    elif command.p1 == BY_IDENTIFIER and len(data) == 2:
        candidates = _by_identifier(session, data)
    else:
        raise Refusal(Status.WRONG_PARAMETERS)
    for path in candidates:
        if path in chip.files or (path in chip.directories and path != MF) or not path:
            return path
    raise Refusal(Status.NOT_FOUND)


def _by_identifier(session: Session, identifier: bytes) -> list[bytes]:
    """Return where a file identifier may lead: a child, the directory itself, the MF."""
    if identifier == MF_IDENTIFIER:
        return [MF]
    itself = [session.directory] if session.directory[-2:] == identifier else []
    return [session.directory + identifier, *itself]


def _describe(session: Session, path: bytes) -> bytes:
    name = session.chip.directories.get(path)
    identifier = tlv(0x83, path[-2:] or MF_IDENTIFIER)
    if name is not None:
        return tlv(0x82, DF_DESCRIPTOR) + identifier + (tlv(0x84, name) if name else b"")
    size = len(session.chip.files[path].content).to_bytes(2)
    return tlv(0x80, size) + tlv(0x82, EF_DESCRIPTOR) + identifier


def _current(session: Session) -> ElementaryFile:
    if session.file is None:
        raise Refusal(Status.NO_CURRENT_EF)
    return session.chip.files[session.file]


def _offset(command: Command, file: ElementaryFile) -> int:
    # No short EF identifier is known of this card.
    if command.p1 & SHORT_EF:
        raise Refusal(Status.NOT_FOUND)
    if command.parameters >= max(1, len(file.content)):
        raise Refusal(Status.WRONG_OFFSET)
    return command.parameters
