"""Texts for people, marked where they stand and translated where they are shown (gettext).

Templates say `{% translate %}` and `{% blocktranslate %}`, functions `gettext`, what is read with a module `later`, and
scripts the same names, which `words` gives them. `make messages` gathers all of it into a catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import cast

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.translation import (
    get_language,
    get_language_from_request,
    get_language_info,
    gettext_lazy,
    override,
)
from django.views.decorators.cache import cache_control
from django.views.i18n import JavaScriptCatalog


def later(text: str) -> str:
    """Mark a text that is read with its module; it is translated each time that it becomes a string."""
    return cast("str", gettext_lazy(text))


#: `gettext`, `ngettext` and `interpolate` for scripts, with the texts of the reader's language: a file, nothing inline.
words = cache_control(public=True, max_age=3_600)(JavaScriptCatalog.as_view())


#: What depends on the language: pages, and the words of their scripts. Machines are answered in English.
_FOR_PEOPLE = ("text/html", "text/javascript")


class LanguageMiddleware:
    """Answers people in the language that they chose, or else their browser asks for, of those there are (`LANGUAGES`).

    Only for as long as it answers: whoever the thread answers next, a machine or a person, hears nothing of it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not settings.USE_I18N:
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Hand the request on, in its language."""
        language = get_language_from_request(request)
        with override(language):
            response = self._get_response(request)
        if response.headers.get("Content-Type", "").startswith(_FOR_PEOPLE):
            response.headers.setdefault("Content-Language", language)
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response


def choices() -> list[tuple[str, str]]:
    """The languages that one may choose from, each by its code and its own name; none where there is one."""
    return [(code, _own_name(code)) for code, _ in settings.LANGUAGES] if settings.USE_I18N else []


def _own_name(code: str) -> str:
    try:
        name: str = get_language_info(code)["name_local"]
    except KeyError:
        return code
    return name[:1].upper() + name[1:]


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
