"""MISP events (draft-dulaunoy-misp-core-format) to and from indicators: the JSON that MISP exports and imports.

What MISP has a type or an object for is said in it, so that MISP correlates it with what others have; tokens, which it
has none for, are STIX patterns (`stix2-pattern`). What indicators say besides are tags of our namespace, `exchange:`.
"""

from exchange.formats.misp.reading import NoEvent, is_deleted, read
from exchange.formats.misp.writing import write

MEDIA_TYPE = "application/json"

__all__ = ["MEDIA_TYPE", "NoEvent", "is_deleted", "read", "write"]
