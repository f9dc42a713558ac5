"""Published exchanges as data, and the card that plays one back."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cardd.desfire.applications import ApplicationSettings, KeySettings
from cardd.desfire.card import DesfireCard
from cardd.desfire.channel import Session
from cardd.desfire.command import Command, CommunicationMode, Ins
from cardd.desfire.fields import encode_file_number, encode_length
from cardd.desfire.files import (
    AccessRights,
    DataFileSettings,
    FileSettings,
    RecordFileSettings,
    ValueFileSettings,
)
from cardd.desfire.keys import DesfireKey, Ev2SessionKeys, KeyType
from cardd.desfire.messaging import SecureMessaging
from cardd.desfire.messaging.d40 import D40Messaging
from cardd.desfire.messaging.ev1 import Ev1Messaging
from cardd.desfire.messaging.ev2 import Ev2Messaging
from cardd.desfire.messaging.lrp import LrpMessaging
from cardd.desfire.sdm import SecureDynamicMessaging
from cardd.desfire.version import Version
from cardd.iso7816.exchange import Exchange
from cardd.secret import Secret

VECTORS = Path(__file__).parent.parent / "vectors"
REFUSED = bytes.fromhex("91AE")


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def recordings() -> list[dict[str, Any]]:
    return [
        recording
        for mechanism in ("d40", "tdea", "ev1", "ev2", "lrp", "files")
        for recording in load(f"desfire_reader_{mechanism}.json")
    ]


def recording_name(recording: dict[str, Any]) -> str:
    return f"{recording['source']}: {recording['name']}"


@dataclass
class Playback:
    """Answers the recorded commands in order; refuses any other, as a card would its MAC."""

    frames: list[tuple[bytes | None, bytes]]
    position: int = 0

    def transmit(self, apdu: bytes) -> bytes:
        if self.position >= len(self.frames):
            return REFUSED
        command, answer = self.frames[self.position]
        self.position += 1
        return answer if command in {None, apdu} else REFUSED


def play(exchange: Exchange[Any], transmit: Callable[[bytes], bytes]) -> Any:
    """Drive an exchange to its end."""
    try:
        commands = next(exchange)
        while True:
            commands = exchange.send(tuple(transmit(command) for command in commands))
    except StopIteration as stop:
        return stop.value


def wrapped(native: str) -> bytes:
    """Return a native command, code first, as the APDU of ISO 7816-4 wrapping."""
    code, *body = bytes.fromhex(native)
    length = bytes((len(body),)) if body else b""
    return bytes((0x90, code, 0, 0)) + length + bytes(body) + b"\x00"


def unwrapped(native: str) -> bytes:
    """Return a native answer, status first, as the answer in ISO 7816-4 wrapping."""
    status, *data = bytes.fromhex(native)
    return bytes(data) + bytes((0x91, status))


def frames_of(exchange: dict[str, Any]) -> list[tuple[bytes | None, bytes]]:
    return [
        (wrapped(command) if command else None, unwrapped(answer))
        for command, answer in exchange["frames"]
    ]


def messaging_of(session: dict[str, Any]) -> SecureMessaging:
    if session["kind"] == "lrp":
        return LrpMessaging(
            Secret(bytes.fromhex(session["master"])),
            bytes.fromhex(session["transaction"]),
            counter=session["counter"],
            blocks=session["blocks"],
        )
    if session["kind"] != "ev2":
        key = DesfireKey(KeyType[session["type"]], Secret(bytes.fromhex(session["key"])))
    if session["kind"] == "d40":
        return D40Messaging(key)
    if session["kind"] == "ev1":
        iv = bytes.fromhex(session["iv"]) if "iv" in session else None
        return Ev1Messaging(key, iv=iv)
    return Ev2Messaging(
        Ev2SessionKeys(
            Secret(bytes.fromhex(session["encryption"])), Secret(bytes.fromhex(session["mac"]))
        ),
        bytes.fromhex(session["transaction"]),
        counter=session["counter"],
    )


def card_of(recording: dict[str, Any]) -> DesfireCard:
    """Return the card as it was when the recording began."""
    card = DesfireCard(frame_bytes=recording.get("frame_bytes", 54))
    card.selected = recording.get("selected", 0)
    if "start" in recording:
        card.session = Session(0, messaging_of(recording["start"]))
    return card


def call(card: DesfireCard, exchange: dict[str, Any]) -> Exchange[Any]:
    """Return the exchange that a recording names, its arguments read from JSON."""
    arguments = {name: _READ[name](value) for name, value in exchange["arguments"].items()}
    name = exchange["call"]
    if name == "create_application":
        arguments["settings"] = _application_settings(exchange["arguments"]["settings"])
    if name == "change_key_settings":
        arguments["settings"] = KeySettings.parse(exchange["arguments"]["settings"]["byte"])
    if name == "write_data_iso":
        return card.perform(_write_iso(**arguments))
    if name == "read_data_iso":
        return card.perform(_read_iso(**arguments))
    return getattr(card, name)(**arguments)


def shown(result: Any) -> Any:
    """Return a result as the vectors write it."""
    if isinstance(result, bytes):
        return result.hex().upper() or None
    if isinstance(result, FileSettings):
        return _shown_settings(result)
    if isinstance(result, Version):
        return {"product": result.product and result.product.name, "uid": result.uid.hex().upper()}
    if isinstance(result, ApplicationSettings):
        return {
            "byte": result.key_settings.encode(),
            "key_count": result.key_count,
            "key_type": result.key_type.name,
        }
    return [shown(each) for each in result] if isinstance(result, tuple) else result


def _key(value: dict[str, Any]) -> DesfireKey:
    secret = Secret(bytes.fromhex(value["value"]))
    return DesfireKey(KeyType[value["type"]], secret, value.get("version", 0))


_FILES = {
    "size_bytes": DataFileSettings,
    "lower_limit": ValueFileSettings,
    "record_bytes": RecordFileSettings,
}
_RIGHTS = ("read", "write", "read_write", "change")


def _file_settings(value: dict[str, Any]) -> FileSettings | None:
    for name, kind in _FILES.items():
        if name in value:
            rest = {key: each for key, each in value.items() if key not in {"mode", *_RIGHTS}}
            return kind(CommunicationMode[value["mode"]], _access(value), **rest)
    return None


def _access(value: dict[str, Any]) -> AccessRights:
    return AccessRights(**{right: value[right] for right in _RIGHTS})


def _shown_settings(settings: FileSettings) -> dict[str, Any]:
    """Return what a file's settings say beyond what a new one has."""
    told = {
        each.name: getattr(settings, each.name)
        for each in fields(settings)
        if each.name not in {"mode", "access"} and getattr(settings, each.name) != each.default
    }
    if "sdm" in told:
        told["sdm"] = {key: each for key, each in asdict(told["sdm"]).items() if each is not None}
    named = {"type": settings.type.name, "mode": settings.mode.name}
    return {**named, **asdict(settings.access), **told}


def _application_settings(value: dict[str, Any]) -> ApplicationSettings:
    return ApplicationSettings(
        KeySettings.parse(value["byte"]), value["key_count"], KeyType[value["key_type"]]
    )


def _write_iso(number: int, offset: int, data: bytes, mode: CommunicationMode) -> Command:
    header = encode_file_number(number) + encode_length(offset) + encode_length(len(data))
    return Command(Ins.WRITE_DATA_ISO, header, data, mode)


def _read_iso(number: int, offset: int, length: int, mode: CommunicationMode) -> Command:
    header = encode_file_number(number) + encode_length(offset) + encode_length(length)
    return Command(Ins.READ_DATA_ISO, header, mode=mode, answer_bytes=(length, length))


_READ: dict[str, Callable[[Any], Any]] = {
    "key_number": int,
    "number": int,
    "offset": int,
    "length": int,
    "amount": int,
    "first": int,
    "count": int,
    "record_bytes": int,
    "change_is_free": bool,
    "random_uid_for_ever": bool,
    "aid": int,
    "key": _key,
    "new_key": _key,
    "old_key": _key,
    "rnd_a": bytes.fromhex,
    "data": bytes.fromhex,
    "mode": CommunicationMode.__getitem__,
    "settings": _file_settings,
    "access": _access,
    "sdm": lambda value: SecureDynamicMessaging(**value),
}
