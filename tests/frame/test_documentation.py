"""The documents say what the code does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from cardd import config

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(?P<key>[a-z_.]+)` \| (?P<default>[^|]+?) \|", re.MULTILINE)


def sections(annotation: object) -> list[type[config.Section]]:
    """Return the struct that a field holds, alone or in a tuple."""
    candidates = (annotation, *get_args(annotation))
    return [
        each for each in candidates if isinstance(each, type) and issubclass(each, config.Section)
    ]


def keys(
    struct: type[config.Section], prefix: str = ""
) -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    for field in msgspec.structs.fields(struct):
        name = prefix + field.name
        inner = sections(field.type)
        if not inner or get_args(field.type):
            yield name, field
        for section in inner:
            yield from keys(section, name + ".")


def documented() -> dict[str, str]:
    text = (ROOT / "docs" / "configuration.md").read_text()
    return {match["key"]: match["default"] for match in ROW.finditer(text)}


def test_every_key_of_the_configuration_is_documented_and_no_other() -> None:
    assert set(documented()) == {name for name, _ in keys(config.Config)}


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == ():
        return "none"
    if isinstance(value, str | Path):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    assert isinstance(value, int | float)
    return f"{value:g}" if value >= 1000 else str(value)


def test_the_documented_defaults_are_those_of_the_code() -> None:
    said = documented()
    for name, field in keys(config.Config):
        if field.required:
            expected = "required"
        elif field.default is msgspec.NODEFAULT:
            continue  # made when it is needed: the host name
        else:
            expected = toml(field.default)
        assert said[name].strip("`") == expected, name


@pytest.mark.parametrize("name", ["cardd.toml", "cardd-kms.toml"])
def test_an_example_is_a_configuration(name: str) -> None:
    config.load(ROOT / "examples" / name)


def test_every_file_that_a_document_links_to_is_there() -> None:
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    for document in documents:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md"])
def test_every_file_of_the_project_that_a_document_names_is_there(document: str) -> None:
    named = re.findall(r"`((?:cardd|docs|scripts|simulators|examples|tests)/[\w./-]*)`",
                       (ROOT / document).read_text())  # fmt: skip
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
