"""The page of paste search, and what its script asks."""

from __future__ import annotations

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from exchange import bodies
from exchange.errors import Malformed
from indicators.portal.paste import asking
from partners.log import reads
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_MOST_BYTES = 2 * 1024 * 1024


@require_safe
@page
def paste(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A list of values is pasted here; what is personal is tokenised in the browser."""
    return show(
        request,
        viewer,
        "indicators/paste.html",
        here="portal-paste",
        may_tokenise=Scope.TOKENISE in viewer.scopes,
        may_publish=Scope.PUBLISH in viewer.scopes,
    )


@require_POST
@page
def ask(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What is known of up to 1,000 values, as JSON."""
    try:
        document = orjson.loads(bodies.read(request, max_bytes=_MOST_BYTES))
    except orjson.JSONDecodeError:
        raise Malformed(gettext("Not JSON.")) from None
    found = asking.answers(viewer, asking.read_lines(document))
    reads.tally(viewer, surface="portal:paste", objects=sum(one["state"] == "known" for one in found))
    return HttpResponse(orjson.dumps({"answers": found}), content_type="application/json")
