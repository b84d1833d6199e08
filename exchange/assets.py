"""Whether the files that every page of the portal names are there to be served: style, icon, scripts."""

from typing import Any

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, staticfiles_storage

#: As templates name them; a test compares.
NAMED = (
    "django_htmx/htmx-2.min.js",
    "exchange/colours.css",
    "exchange/frame.css",
    "exchange/icon.svg",
    "exchange/icons.svg",
    "exchange/keys.js",
    "exchange/lists.js",
    "exchange/parts.css",
    "exchange/site.js",
    "exchange/trusted.js",
    "partners/passkeys.js",
)


def absent() -> list[str]:
    """The names of those that cannot be served; `manage.py prepare` collects them."""
    return [name for name in NAMED if not _is_there(name)]


def _is_there(name: str) -> bool:
    storage: Any = staticfiles_storage
    if not isinstance(storage, ManifestStaticFilesStorage):  # tests
        return finders.find(name) is not None
    try:
        return storage.exists(storage.stored_name(name))
    except ValueError:  # the manifest does not know it
        return False
