"""Tables for people, JSON for programs."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cardd.cli.cardctl.text import plain


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value of the client's, or what JSON knows."""
    click.echo(json.dumps(value, indent=indent, default=_builtin, ensure_ascii=False))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print rows under heads, or a sentence where there is none."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    if table.row_count:
        _print(table)
    else:
        click.echo(empty)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print names and values, one a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(plain(value)))
    _print(table)


def console(*, stderr: bool = False) -> Console:
    """Return a console; where the output is no terminal, long lines are not broken at 80."""
    out = Console(highlight=False, stderr=stderr)
    return out if out.is_terminal else Console(highlight=False, stderr=stderr, width=200)


def print_tree(tree: Tree) -> None:
    """Print a tree."""
    _print(tree)


def _print(shown: Table | Tree) -> None:
    """Print a table or a tree without the blanks that fill its last column."""
    out = console()
    with out.capture() as captured:
        out.print(shown)
    lines = captured.get().splitlines()
    click.echo("\n".join(line.rstrip() for line in lines), color=out.is_terminal)


def _builtin(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
            if field.name != "raw"
        }
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
