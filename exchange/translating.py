"""Texts for people, marked where they stand and translated where they are shown (gettext).

Templates say `{% translate %}` and `{% blocktranslate %}`, functions `gettext`, what is read with a module `later`, and
scripts the same names, which `words` gives them. `make messages` gathers all of it into a catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import cast

from django.utils.translation import get_language, gettext_lazy
from django.views.decorators.cache import cache_control
from django.views.i18n import JavaScriptCatalog


def later(text: str) -> str:
    """Mark a text that is read with its module; it is translated each time that it becomes a string."""
    return cast("str", gettext_lazy(text))


#: `gettext`, `ngettext` and `interpolate` for scripts, with the texts of the reader's language: a file, nothing inline.
words = cache_control(public=True, max_age=3_600)(JavaScriptCatalog.as_view())


def per_language[Made](make: Callable[[], Made]) -> Callable[[], Made]:
    """Remembers what a function makes with text for people, once for each language that they read."""
    kept: dict[str, Made] = {}

    @wraps(make)
    def made() -> Made:
        language = get_language() or ""
        if language not in kept:
            kept[language] = make()
        return kept[language]

    return made
