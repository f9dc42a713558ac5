"""Papers of custodians: shown to one alone, written down, read back, typed in again another day."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from cardd.cli.terminal import Terminal
from cardd.errors import CeremonyCode, CeremonyError

TRIES = 3


@dataclass(frozen=True, slots=True)
class Paper:
    """What one custodian writes down. `parse_group` reads a group, by its place, as typed."""

    heading: str
    groups: tuple[str, ...]
    notes: tuple[str, ...]
    parse_group: Callable[[int, str], str]

    def __repr__(self) -> str:
        return f"Paper({self.heading})"


def hand_out(terminal: Terminal, custodian: str, paper: Paper) -> None:
    """Show a paper to its custodian alone, once, and have it read back from what they wrote.

    Raises CeremonyError (`not_the_same`) where it was not written down as it was shown.
    """
    terminal.ask(f"{custodian}: be alone before the screen, with pen and form. Then press Enter. ")
    terminal.show(
        [
            paper.heading,
            "",
            *(f"  {number}:  {group}" for number, group in enumerate(paper.groups, 1)),
            "",
            *paper.notes,
            "",
            "Write all of it down. A key, or the time limit, wipes it; it is not shown again.",
        ]
    )
    with terminal.alone([f"{paper.heading}: type it from your paper, group by group.", ""]):
        for number, group in enumerate(paper.groups, 1):
            _read_back(terminal, number, group, paper.parse_group)
    terminal.say(f"{paper.heading}: written down and read back")


def take_in(
    terminal: Terminal,
    custodian: str,
    heading: str,
    count: int,
    parse_group: Callable[[int, str], str],
) -> tuple[str, ...] | None:
    """Return the groups that a custodian types from their paper, alone; None where nobody has one.

    A group with a typing error is asked for again; three in a row raise its CeremonyError.
    """
    terminal.say(f"{custodian}: be alone before the screen, with your paper.")
    if terminal.ask("Press Enter, or type none where nobody else has one: ").lower() == "none":
        return None
    with terminal.alone([heading, ""]):
        return tuple(
            retried(terminal, f"group {number}: ", partial(parse_group, number))
            for number in range(1, count + 1)
        )


def retried(terminal: Terminal, prompt: str, parse: Callable[[str], str]) -> str:
    """Ask until what is typed can be read, three times at most; then raise why not."""
    for left in reversed(range(TRIES)):
        typed = terminal.ask(prompt)
        try:
            return parse(typed)
        except CeremonyError as error:
            if not left:
                raise
            terminal.say(f"  {error}")
    raise AssertionError("the last try returns or raises")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _read_back(
    terminal: Terminal, number: int, group: str, parse_group: Callable[[int, str], str]
) -> None:
    for _ in range(TRIES):
        typed = terminal.ask(f"group {number}: ")
        try:
            if parse_group(number, typed) == group:
                return
        except CeremonyError as error:
            terminal.say(f"  {error}")
        else:
            terminal.say(f"  group {number} is not what was shown: look at your paper again")
    raise CeremonyError(
        CeremonyCode.NOT_THE_SAME,
        f"group {number} was not written down as it was shown; tear the papers up, and begin the "
        "ceremony again: nothing was changed",
    )
