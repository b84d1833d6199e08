"""Whether the files that every page of the portal names are there to be served: style, icon, scripts."""

from typing import Any

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, staticfiles_storage

#: As templates name them; a test compares.
NAMED = (
    "bundled/oprf.min.js",
    "bundled/phone.min.js",
    "bundled/words.min.js",
    "django_htmx/htmx-2.min.js",
    "exchange/asking.js",
    "exchange/colours.css",
    "exchange/frame.css",
    "exchange/icon.svg",
    "exchange/icons.svg",
    "exchange/keys.js",
    "exchange/lists.js",
    "exchange/normal-forms.js",
    "exchange/normal-tables.json",
    "exchange/parts.css",
    "exchange/site.js",
    "exchange/token-worker.js",
    "exchange/tokens.js",
    "exchange/trusted.js",
    "indicators/appeal.js",
    "indicators/campaign.css",
    "indicators/campaign.js",
    "indicators/connections.css",
    "indicators/draft.js",
    "indicators/feeds.css",
    "indicators/files.js",
    "indicators/paste.css",
    "indicators/paste.js",
    "indicators/publish.css",
    "indicators/publish.js",
    "indicators/reading.js",
    "partners/docs.css",
    "partners/passkeys.js",
    "partners/try.js",
)


def absent() -> list[str]:
    """The names of those that cannot be served; `exchange-manage prepare` collects them."""
    return [name for name in NAMED if not _is_there(name)]


def _is_there(name: str) -> bool:
    storage: Any = staticfiles_storage
    if not isinstance(storage, ManifestStaticFilesStorage):  # tests
        return finders.find(name) is not None
    try:
        return storage.exists(storage.stored_name(name))
    except ValueError:  # the manifest does not know it
        return False
