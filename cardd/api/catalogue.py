"""What a person is told about each code, in French and in English: what happened, what to do."""

from cardd.api import texts_en, texts_fr
from cardd.api.negotiation import preferred
from cardd.api.text import Text
from cardd.errors import Code

LANGUAGES = ("fr", "en")
_TEXTS = {"fr": texts_fr.TEXTS, "en": texts_en.TEXTS}


def language_of(accept_language: str | None) -> str:
    """Choose `fr` or `en` by an Accept-Language header (RFC 9110, 12.5.4); French if in doubt."""
    return preferred(accept_language, LANGUAGES) or LANGUAGES[0]


def text(code: Code, language: str) -> Text:
    """Return what to tell a person about a code."""
    return _TEXTS[language][code]
