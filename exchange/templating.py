"""Templates as Django has them, with numbers written alike in every language: half of them place marks in drawings."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.backends.django import DjangoTemplates, Template
from django.template.context import make_context
from django.utils.safestring import SafeString


class _Rendered(Template):
    def render(self, context: dict[str, Any] | None = None, request: HttpRequest | None = None) -> SafeString:
        made = make_context(context, request, autoescape=self.backend.engine.autoescape)
        made.use_l10n = False  # "12,5" is no place of a mark; a text that wants commas asks for them (`floatformat`)
        return self.template.render(made)


class Templates(DjangoTemplates):
    """Of each template what it says does not depend on how a language writes numbers."""

    def from_string(self, template_code: str) -> Template:
        """A template that is no file."""
        return _Rendered(self.engine.from_string(template_code), self)

    def get_template(self, template_name: str) -> Template:
        """One by its name."""
        return _Rendered(super().get_template(template_name).template, self)
