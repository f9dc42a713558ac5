"""A small check of JSON values against JSON Schema 2020-12: the keywords that the document uses.

An unknown keyword raises, so that nothing is passed over in silence.
"""

import re
from typing import Any

_IGNORED = {"title", "description", "default", "examples", "discriminator"}
_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}


class Mismatch(AssertionError):
    """A value that the schema does not allow."""


def check(value: Any, schema: Any, document: Any, where: str = "$") -> None:
    """Raise Mismatch where a value does not fit; `document` resolves `#/` references."""
    for keyword, wanted in schema.items():
        if keyword in _IGNORED:
            continue
        test = _KEYWORDS.get(keyword)
        if test is None:
            raise NotImplementedError(f"{where}: keyword {keyword}")
        test(value, wanted, schema, document, where)


def _need(fits: bool, where: str, value: Any, why: str) -> None:
    if not fits:
        raise Mismatch(f"{where}: {value!r} {why}")


def _ref(value: Any, wanted: str, _schema: Any, document: Any, where: str) -> None:
    target = document
    for part in wanted.removeprefix("#/").split("/"):
        target = target[part]
    check(value, target, document, where)


def _type(value: Any, wanted: Any, _schema: Any, _document: Any, where: str) -> None:
    names = wanted if isinstance(wanted, list) else [wanted]
    _need(any(_is(value, name) for name in names), where, value, f"is no {wanted}")


def _is(value: Any, name: str) -> bool:
    if name in {"number", "integer"}:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole or (name == "number" and isinstance(value, float))
    return isinstance(value, _TYPES[name])


def _properties(value: Any, wanted: Any, schema: Any, document: Any, where: str) -> None:
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        if name in wanted:
            check(item, wanted[name], document, f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            raise Mismatch(f"{where}: unknown member {name}")


def _additional(value: Any, wanted: Any, schema: Any, document: Any, where: str) -> None:
    if isinstance(value, dict) and isinstance(wanted, dict):
        for name in value.keys() - schema.get("properties", {}).keys():
            check(value[name], wanted, document, f"{where}.{name}")


def _required(value: Any, wanted: Any, _schema: Any, _document: Any, where: str) -> None:
    if isinstance(value, dict):
        _need(set(wanted) <= value.keys(), where, value, f"lacks one of {wanted}")


def _any_of(value: Any, wanted: Any, _schema: Any, document: Any, where: str) -> None:
    for each in wanted:
        try:
            check(value, each, document, where)
        except Mismatch:
            continue
        return
    raise Mismatch(f"{where}: {value!r} fits none of the alternatives")


def _items(value: Any, wanted: Any, schema: Any, document: Any, where: str) -> None:
    if not isinstance(value, list):
        return
    first = len(schema.get("prefixItems", []))
    if wanted is False:
        _need(len(value) <= first, where, value, "has too many items")
        return
    for index, item in enumerate(value[first:], first):
        check(item, wanted, document, f"{where}[{index}]")


def _prefix_items(value: Any, wanted: Any, _schema: Any, document: Any, where: str) -> None:
    for index, (item, each) in enumerate(zip(value, wanted, strict=False)):
        check(item, each, document, f"{where}[{index}]")


_KEYWORDS: dict[str, Any] = {
    "$ref": _ref,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "required": _required,
    "anyOf": _any_of,
    "items": _items,
    "prefixItems": _prefix_items,
    "enum": lambda v, w, _s, _d, at: _need(v in w, at, v, f"is none of {w}"),
    "const": lambda v, w, _s, _d, at: _need(v == w, at, v, f"is not {w}"),
    "pattern": lambda v, w, _s, _d, at: _need(re.search(w, v) is not None, at, v, f"not {w}"),
    "minLength": lambda v, w, _s, _d, at: _need(len(v) >= w, at, v, "is too short"),
    "maxLength": lambda v, w, _s, _d, at: _need(len(v) <= w, at, v, "is too long"),
    "minItems": lambda v, w, _s, _d, at: _need(len(v) >= w, at, v, "has too few items"),
    "maxItems": lambda v, w, _s, _d, at: _need(len(v) <= w, at, v, "has too many items"),
    "minimum": lambda v, w, _s, _d, at: _need(v >= w, at, v, "is too small"),
    "maximum": lambda v, w, _s, _d, at: _need(v <= w, at, v, "is too large"),
    "exclusiveMinimum": lambda v, w, _s, _d, at: _need(v > w, at, v, "is too small"),
}
