"""Choosing by the q-values of an Accept or Accept-Language header (RFC 9110, 12.4.2)."""

_MAX_HEADER = 1024
_MAX_ENTRIES = 32


def preferred(header: str | None, offered: tuple[str, ...]) -> str | None:
    """Return the offer that a header likes best; the first of equals, None where it likes none.

    A range matches itself, what it begins (`en` for `en-GB` and the reverse), `*`, `*/*` and
    `text/*`. A header that is malformed or too long counts as absent: the first offer.
    """
    if header is None or len(header) > _MAX_HEADER:
        return offered[0]
    try:
        ranges = [_parse(entry) for entry in header.split(",")[:_MAX_ENTRIES] if entry.strip()]
    except ValueError:
        return offered[0]
    if not ranges:
        return offered[0]
    weighed = [(_weight(offer, ranges), -index) for index, offer in enumerate(offered)]
    best, index = max(weighed)
    return offered[-index] if best > 0 else None


def _parse(entry: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            quality = float(value)
    if not 0.0 <= quality <= 1.0:
        raise ValueError(entry)
    return name, quality


def _weight(offer: str, ranges: list[tuple[str, float]]) -> float:
    """Return the quality that the most specific matching range gives to an offer."""
    matching = [(_specificity(offer, name), quality) for name, quality in ranges]
    return max((match for match in matching if match[0] > 0), default=(0, 0.0))[1]


def _specificity(offer: str, name: str) -> int:
    if name == offer or name.split("-", maxsplit=1)[0] == offer:
        return 3
    if name.endswith("/*") and offer.startswith(name[:-1]):
        return 2
    return 1 if name in {"*", "*/*"} else 0
