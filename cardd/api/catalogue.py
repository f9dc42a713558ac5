"""What a person is told about each code, in French and in English: what happened, what to do."""

from typing import NamedTuple

from cardd.api import texts_en, texts_fr
from cardd.api.negotiation import preferred
from cardd.errors import Code

LANGUAGES = ("fr", "en")
_TEXTS = {"fr": texts_fr.TEXTS, "en": texts_en.TEXTS}


class Text(NamedTuple):
    """A title for lists and a message for a person."""

    title: str
    message: str


def language_of(accept_language: str | None) -> str:
    """Choose `fr` or `en` by an Accept-Language header (RFC 9110, 12.5.4); French if in doubt."""
    return preferred(accept_language, LANGUAGES) or LANGUAGES[0]


def text(code: Code, language: str) -> Text:
    """Return what to tell a person about a code."""
    return Text(*_TEXTS[language][code])
