"""Shows a world to somebody at a terminal: commands, their output, events as they come."""

import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

from scripts.world import EVENT_LIMIT_S, World, WorldError


class Show:
    """Runs commands in front of the reader, and prints events as they come."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.out = Console(highlight=False, soft_wrap=True)
        self._events: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.lines: list[str] = []
        self._step = 0
        self.watcher: subprocess.Popen[bytes] | None = None

    def heading(self, title: str, why: str) -> None:
        """Begin a step."""
        self._step += 1
        self.out.print(f"\n[bold]{self._step}. {title}[/bold]")
        self.out.print(Text(f"   {why}", style="dim"))

    def command(self, *words: str | Path) -> None:
        """Show a command as a person would type it."""
        self.out.print(Text("   $ " + " ".join(map(str, words)), style="cyan"))

    def output(self, text: str) -> None:
        """Show what a program printed."""
        for line in text.rstrip("\n").splitlines():
            self.out.print(Text(f"   {line.rstrip()}"))

    def run(self, *words: str | Path, stdin: str = "", expect: int = 0, note: str = "") -> str:
        """Run a command in front of the reader."""
        self.command(*words, *([note] if note else []))
        ran = self.world.run(*words, stdin=stdin, expect=expect)
        self.output(ran.output + ran.errors)
        return ran.output

    def follow(self) -> None:
        """Start `cardctl watch`, whose lines appear as they come from now on."""
        self.command("cardctl watch &")
        self.watcher = self.world.start(
            "cardctl", "watch", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.watcher.stdout is not None
        threading.Thread(target=self._print, args=(self.watcher.stdout,), daemon=True).start()
        self.await_event("snapshot")

    def _print(self, lines: IO[bytes]) -> None:
        try:
            for raw in lines:
                line = raw.decode().rstrip()
                self.out.print(Text(f"   | {line}", style="green"))
                self.lines.append(line)
                self._events.put(line)
        except ValueError:
            pass  # the watcher was stopped
        self._events.put(None)

    def await_event(self, *words: str) -> None:
        """Return once an event with these words was shown."""
        deadline = time.monotonic() + EVENT_LIMIT_S
        while True:
            try:
                line = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise WorldError(f"no event with {' '.join(words)!r} came")
            if all(word in line.split() for word in words):
                return
