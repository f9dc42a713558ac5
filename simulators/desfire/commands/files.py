"""Commands about files as such: list them, tell and change their settings, delete them."""

from dataclasses import replace

from simulators.desfire.activation import (
    KEY_SETTING_FREE_CREATION,
    KEY_SETTING_FREE_LISTING,
    Activation,
)
from simulators.desfire.commands.access import FREE, NEVER, Right, find, holder
from simulators.desfire.commands.creation import require_access
from simulators.desfire.commands.picc import require_empty
from simulators.desfire.commands.table import Command, Table
from simulators.desfire.messaging import Mode, Protection
from simulators.desfire.status import Refusal, Status

NUMBER_BYTES = 1
SETTINGS_BYTES = 3


def list_files(activation: Activation, parameters: bytes) -> bytes:
    """Return the file numbers of the selected application, one byte each, in order."""
    require_empty(parameters)
    files = activation.application.files
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    return bytes(sorted(files))


def list_iso_files(activation: Activation, parameters: bytes) -> bytes:
    """Return the ISO file identifiers of the selected application, 2 bytes each, little-endian.

    That an application without them refuses is not confirmed on a card.
    """
    require_empty(parameters)
    application = activation.application
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    if not application.iso_file_ids:
        raise Refusal(Status.PERMISSION)
    files = [application.files[number] for number in sorted(application.files)]
    return b"".join(file.iso_id.to_bytes(2, "little") for file in files if file.iso_id is not None)


def file_settings(activation: Activation, parameters: bytes) -> bytes:
    """Return type, communication mode, access rights, and what the type adds to them."""
    if len(parameters) != NUMBER_BYTES:
        raise Refusal(Status.LENGTH)
    file = find(activation, parameters[0])
    activation.require_master_unless(KEY_SETTING_FREE_LISTING)
    return bytes((file.type, file.communication)) + file.rights + file.details


def change_settings(activation: Activation, parameters: bytes) -> bytes:
    """Replace communication mode and access rights of a file, at once.

    An open transaction goes on. Further bytes (more access rights of EV2, secure dynamic messaging
    of EV3) are not simulated.
    """
    number, communication, rights = parameters[0], parameters[1], parameters[2:]
    file = find(activation, number)
    application = activation.application
    require_access(application, communication, rights)
    files = {**application.files, number: replace(file, communication=communication, rights=rights)}
    activation.chip = activation.chip.with_application(replace(application, files=files))
    return b""


def _change_plan(activation: Activation, parameters: bytes) -> Protection:
    """Protect ChangeFileSettings: in plain where the right to change is free, else enciphered."""
    if not parameters:
        raise Refusal(Status.LENGTH)
    who = holder(find(activation, parameters[0]).rights, Right.CHANGE)
    if who == NEVER:
        raise Refusal(Status.PERMISSION)
    if who == FREE:
        return Protection(Mode.PLAIN, Mode.PLAIN, header=NUMBER_BYTES, length=SETTINGS_BYTES)
    if activation.authenticated != who:
        raise Refusal(Status.AUTHENTICATION)
    return Protection(Mode.FULL, Mode.MAC, header=NUMBER_BYTES, length=SETTINGS_BYTES)


def delete(activation: Activation, parameters: bytes) -> bytes:
    """Delete a file and what waits for it; its memory comes back with Format only."""
    if len(parameters) != NUMBER_BYTES:
        raise Refusal(Status.LENGTH)
    number = parameters[0]
    find(activation, number)
    activation.require_master_unless(KEY_SETTING_FREE_CREATION)
    application, waiting = activation.application, activation.transaction
    files = {other: file for other, file in application.files.items() if other != number}
    activation.chip = activation.chip.with_application(replace(application, files=files))
    activation.transaction = {other: entry for other, entry in waiting.items() if other != number}
    return b""


COMMANDS: Table = {
    0x5F: Command(change_settings, _change_plan),
    0x61: Command(list_iso_files),
    0x6F: Command(list_files),
    0xDF: Command(delete),
    0xF5: Command(file_settings),
}
