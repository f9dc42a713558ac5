"""What a person reads about one code."""

from typing import NamedTuple


class Text(NamedTuple):
    """A title for lists and a message for a person: what happened, and what to do."""

    title: str
    message: str


class FindingText(NamedTuple):
    """What was found of a card, in a sentence, and what to do about it."""

    sentence: str
    advice: str
