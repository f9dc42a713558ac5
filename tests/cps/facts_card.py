"""Cards that answer as the facts say: files from a table, everything else from a script."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cardd.iso7816.exchange import Exchange

NOT_FOUND = bytes.fromhex("6A82")
OK = bytes.fromhex("9000")


def play(exchange: Exchange[Any], card: Any) -> Any:
    try:
        commands = next(exchange)
        while True:
            commands = exchange.send(tuple(card.transmit(command) for command in commands))
    except StopIteration as stop:
        return stop.value


@dataclass
class FactsCard:
    """Selects and reads as a family does; `script` answers any other command, by its hex.

    An answer of several statuses separated by spaces is given one at a time, the last for ever.
    """

    files: Mapping[str, bytes]
    script: Mapping[str, str]
    cla: int = 0x00
    t0: bool = True
    short_reads: int | None = None
    log: list[str] = field(default_factory=list)
    waiting: bytes = b""
    content: bytes = b""
    current: str = "3F00"
    _given: dict[str, int] = field(default_factory=dict)

    def transmit(self, command: bytes) -> bytes:
        self.log.append(command.hex().upper())
        if command[1] == 0xC0 and self.waiting:
            answer, self.waiting = self.waiting, b""
            return answer + OK
        known = self._scripted(command.hex().upper())
        if known is not None:
            return self._deliver(command, known)
        if command[1] == 0xA4:
            return self._select(command)
        if command[1] == 0xB0:
            return self._read(command)
        return bytes.fromhex("6D00")

    def sent(self) -> list[str]:
        """Return the commands of the driver itself, GET RESPONSE apart."""
        return [each for each in self.log if each[2:4] != "C0"]

    def _scripted(self, command: str) -> bytes | None:
        if command not in self.script:
            return None
        answers = self.script[command].split()
        index = self._given.get(command, 0)
        self._given[command] = index + 1
        return bytes.fromhex(answers[min(index, len(answers) - 1)])

    def _deliver(self, command: bytes, answer: bytes) -> bytes:
        data = answer[:-2]
        if self.t0 and data and len(command) > 5:
            self.waiting = data
            return bytes((0x61, len(data) & 0xFF))
        return answer

    def _select(self, command: bytes) -> bytes:
        ids = command[5 : 5 + command[4]].hex().upper()
        path = self._path(command[2], ids)
        wants_answer = len(command) > 5 + command[4]
        if path in self.files:
            self.content = self.files[path]
            size = len(self.content).to_bytes(2).hex()
            tag = "6F" if self.cla else "62"
            template = f"{tag}078002{size}82010100"[: 2 * 9]
            return self._deliver(command, bytes.fromhex(template) + OK if wants_answer else OK)
        if any(name.startswith(path) for name in self.files):
            self.current = path
            return OK
        return NOT_FOUND

    def _path(self, p1: int, ids: str) -> str:
        if p1 == 0x09 and ids.startswith("3F00") and not self.cla:
            return ids
        if p1 == 0x08 and not ids.startswith("3F00") and self.cla:
            return "3F00" + ids
        if p1 == 0x00 and ids == "3F00":
            return ids
        if p1 in {0x00, 0x02}:
            return self.current + ids
        return {"E828BD080F8025000001FF0010": "3F000001", "8025000001FF0100": "3F00"}.get(ids, "-")

    def _read(self, command: bytes) -> bytes:
        offset = command[2] << 8 | command[3]
        length = min(command[4] or 256, self.short_reads or 256)
        if offset > len(self.content):
            return bytes.fromhex("6B00")
        return self.content[offset : offset + length] + OK
