"""What a terminal shows and keeps: two screens, and the scrollback of the first."""

import re

_CONTROL = re.compile(r"\x1b\[(\?1049[hl]|H|2J|3J)|\r\n|\n|\r|\x1b.|[^\x1b\r\n]+", re.DOTALL)


class Screen:
    """As much of a terminal as a ceremony uses. It scrolls nothing off: its height has no limit.

    `lines` is what the main screen shows, `text` what the screen in front shows, `seen` all that
    was ever shown (`all_lines` by line), and `main_seen` all that was on the main screen, where
    scrollback keeps it.
    """

    def __init__(self) -> None:
        self._screens = {"main": [""], "other": [""]}
        self._front = "main"
        self._rest = ""
        self.seen = ""
        self.all_lines: list[str] = [""]
        self.main_seen = ""

    def feed(self, content: bytes) -> None:
        """Take what a program wrote."""
        text = self._rest + content.decode("utf-8", "replace")
        # A sequence may be cut between two reads.
        cut = text.rfind("\x1b")
        self._rest = ""
        if cut >= 0 and not re.match(r"\x1b\[[?0-9]*[A-Za-z]", text[cut:]):
            text, self._rest = text[:cut], text[cut:]
        for match in _CONTROL.finditer(text):
            self._take(match[0])

    @property
    def lines(self) -> list[str]:
        lines = self._screens["main"]
        return lines[:-1] if not lines[-1] else lines

    @property
    def text(self) -> str:
        return "\n".join(self._screens[self._front])

    @property
    def everywhere(self) -> str:
        return "\n".join(line for screen in self._screens.values() for line in screen)

    def _take(self, token: str) -> None:
        rows = self._screens[self._front]
        match token:
            case "\x1b[?1049h":
                self._front = "other"
                self.all_lines.append("")
            case "\x1b[?1049l":
                self._front = "main"
                self.all_lines.append("")
            case "\x1b[2J" | "\x1b[3J":
                rows[:] = [""]
            case "\r\n" | "\n":
                rows.append("")
                self.all_lines.append("")
            case "\r" | "\x1b[H":
                pass
            case _ if token.startswith("\x1b"):
                raise AssertionError(f"the program sent {token!r}, which nobody expects")
            case _:
                rows[-1] += token
                self.seen += token
                self.all_lines[-1] += token
                if self._front == "main":
                    self.main_seen += token
