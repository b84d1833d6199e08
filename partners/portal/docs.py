"""The documentation in the product: a page for each chapter, and a search in them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from exchange import handbook
from exchange.errors import NotFound
from exchange.parameters import Parameters
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer


@require_safe
@page
def contents(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All chapters, or those that hold the words (`q`) in their title, a heading or one section."""
    words = Parameters(request, known=("q",)).text("q")[:100]
    return show(
        request,
        viewer,
        "partners/docs.html",
        here="docs",
        parts=handbook.contents(),
        words=words,
        found=handbook.search(words) if words.strip() else None,
    )


@require_safe
@page
def trying(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A form for each operation of the OpenAPI document, which the browser sends with a key that one gives it."""
    return show(request, viewer, "partners/try.html", here="docs", may_issue=Scope.ADMIN in viewer.scopes)


@require_safe
@page
def chapter(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    """One chapter. Raises NotFound."""
    found = handbook.find(name)
    if found is None:
        raise NotFound
    return show(request, viewer, "partners/chapter.html", here="docs", chapter=found, parts=handbook.contents())
