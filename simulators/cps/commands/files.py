"""SELECT, READ BINARY, UPDATE BINARY (ISO/IEC 7816-4, 11.2 and 11.3; facts of real traces)."""

from simulators import der
from simulators.cps import layout
from simulators.cps.activation import Activation
from simulators.cps.apdu import Command
from simulators.cps.chip import ElementaryFile, Face
from simulators.cps.status import Refusal, Status

BY_FID_OF_MF, BY_FID, BY_NAME, BY_PATH = 0x00, 0x02, 0x04, 0x09
WITH_FCP, WITHOUT = 0x04, 0x0C
SHORT_IDENTIFIER = 0x80
RULES_MODE = 0x7B
FOLDER_RULES = bytes((layout.NEVER,) * 5 + (layout.ALWAYS,))


def select(activation: Activation, command: Command) -> bytes:
    """Select a folder or a file; return its FCP where P2 asks for it."""
    if command.p2 not in {WITH_FCP, WITHOUT}:
        raise Refusal(Status.WRONG_P1_P2)
    path = _target(activation, command)
    if path in layout.FOLDERS:
        activation.select_folder(path)
        answer = _folder_parameters(path)
    elif path in activation.chip.files:
        activation.select_file(path)
        answer = _file_parameters(path, activation.chip.files[path])
    else:
        raise Refusal(Status.FILE_NOT_FOUND)
    return answer if command.p2 == WITH_FCP else b""


def _target(activation: Activation, command: Command) -> bytes:
    data = command.data
    if command.p1 == BY_NAME:
        names = {name: path for path, name in layout.FOLDERS.items()}
        return names.get(data, data)
    if command.p1 == BY_PATH:
        # Real cards want the MF in front: without it they find nothing.
        return data if data[:2] == layout.MF else b""
    if command.p1 not in {BY_FID, BY_FID_OF_MF} or len(data) != 2:
        raise Refusal(Status.WRONG_P1_P2)
    if data == layout.MF:
        return layout.MF
    inside = activation.folder + data
    known = inside in activation.chip.files or inside in layout.FOLDERS
    return inside if known else layout.MF + data


def read_binary(activation: Activation, command: Command) -> bytes:
    """Return bytes of the current file, or of one named by its short identifier."""
    offset = _locate(activation, command)
    file = activation.current
    activation.require(file.read_rule(activation.face))
    if offset > len(file.content) or (offset and offset == len(file.content)):
        raise Refusal(Status.WRONG_OFFSET)
    if command.data or command.length is None:
        raise Refusal(Status.WRONG_LENGTH)
    return file.content[offset : offset + command.length]


def update_binary(activation: Activation, command: Command) -> bytes:
    """Write bytes within the current file."""
    offset = _locate(activation, command)
    file = activation.current
    activation.require(file.update_rule(activation.face))
    end = offset + len(command.data)
    if not command.data:
        raise Refusal(Status.WRONG_LENGTH)
    if end > len(file.content):
        raise Refusal(Status.NO_SPACE)
    assert activation.file is not None
    content = file.content[:offset] + command.data + file.content[end:]
    activation.chip = activation.chip.with_content(activation.file, content)
    return b""


def _locate(activation: Activation, command: Command) -> int:
    """Return the offset, after selecting the file that a short identifier names."""
    if not command.p1 & SHORT_IDENTIFIER:
        return command.p1 << 8 | command.p2
    identifiers = {identifier: fid for fid, identifier in layout.SFI.items()}
    fid = identifiers.get(command.p1 & 0x1F)
    path = activation.folder + (fid or b"")
    if fid is None or path not in activation.chip.files:
        raise Refusal(Status.FILE_NOT_FOUND)
    activation.select_file(path)
    return command.p2


def _file_parameters(path: bytes, file: ElementaryFile) -> bytes:
    fid = path[-2:]
    identifier = bytes((layout.SFI[fid] << 3,)) if fid in layout.SFI else b""
    return der.tlv(
        0x62,
        der.tlv(0x80, len(file.content).to_bytes(2)),
        der.tlv(0x82, b"\x01"),
        der.tlv(0x83, fid),
        der.tlv(0x88, identifier),
        _rules(file.rules[Face.CONTACT], file.rules[Face.CONTACTLESS]),
        der.tlv(0x8A, b"\x05"),
    )


def _folder_parameters(path: bytes) -> bytes:
    return der.tlv(
        0x62,
        der.tlv(0x82, b"\x38"),
        der.tlv(0x83, path[-2:]),
        der.tlv(0x84, layout.FOLDERS[path]),
        _rules(FOLDER_RULES, FOLDER_RULES),
        der.tlv(0x8A, b"\x05"),
    )


def _rules(contact: bytes, contactless: bytes) -> bytes:
    mode = bytes((RULES_MODE,))
    return der.tlv(0xA1, der.tlv(0x8C, mode + contact), der.tlv(0x9C, mode + contactless))
