"""How systems read a feed, as lines to copy that work as they stand."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext

from indicators.feeds.filters import Filter
from indicators.models import Feed

_AGENT = """\
url = "{base}"
key_file = "key"
state = "state"

{feed}[[output]]
type = "file"
path = "blocklist.txt"

[policy]
mode = "shadow"
"""
_FEED = """\
[[feed]]
id = "{key}"
name = "feed"

"""
_NGINX = """\
  -o /etc/nginx/exchange.new \\
  && sed -n '/\\//s/$/ 1;/p' /etc/nginx/exchange.new > /etc/nginx/exchange.nets \\
  && nginx -t -q && nginx -s reload"""


@dataclass(frozen=True, slots=True)
class Use:
    """One way to read a feed: its name, what it is for, and lines that work as they stand, each with its word."""

    name: str
    says: str
    lines: tuple[tuple[str, str], ...]


def uses(one: Feed | None, wanted: Filter) -> list[Use]:
    """How to read a feed, from the least to the most that it asks of a machine."""
    key = str(one.pk) if one else "all"
    base = settings.BASE_URL
    listed = f"{base}/api/v1/blocklists/{key}"
    bearer = '-H "Authorization: Bearer $EXCHANGE_API_KEY"'
    found = [
        Use(
            gettext("Agent"),
            gettext("Keeps a list provably equal to the feed, by your own policy."),
            (
                (gettext("Install it from a checkout, and write agent.toml"), "pip install ."),
                (
                    gettext("agent.toml: in shadow it blocks nothing and counts what it would"),
                    _AGENT.format(base=base, feed=_FEED.format(key=key) if one else ""),
                ),
                (gettext("Rehearse for a day; it shows under Agents below"), "exchange-agent run --config agent.toml"),
                (gettext("Then enforce"), gettext('sed -i \'s/"shadow"/"enforce"/\' agent.toml')),
            ),
        ),
        Use(
            "curl",
            gettext("The list as it is now, a value a line; with its ETag a repeated pull costs nothing."),
            (
                (
                    gettext("All values"),
                    f"curl -sS {bearer} \\\n  --etag-compare etag --etag-save etag -o list.txt \\\n  '{listed}'",
                ),
                (gettext("With who says it and how sure"), f"curl -sS {bearer} '{listed}?format=csv'"),
            ),
        ),
        Use(
            "nginx",
            gettext("Networks of the feed as a variable that your configuration decides by."),
            (
                (
                    gettext("Fetch, check, reload (every minute, by cron)"),
                    f"curl -sSf {bearer} '{listed}?subkind=net' \\\n{_NGINX}",
                ),
                (
                    gettext("In the block http"),
                    "geo $exchange_listed {\n    default 0;\n    include /etc/nginx/exchange.nets;\n}",
                ),
            ),
        ),
        Use(
            gettext("Delta"),
            gettext("What changed since, removals first, with a hash that proves the set."),
            ((gettext("The first page"), f"curl -sS {bearer} '{base}/api/v1/feeds/{key}/delta'"),),
        ),
    ]
    if one is not None:
        collection = f"{base}/taxii2/exchange/collections/{key}/"
        found.append(
            Use(
                "TAXII",
                gettext(
                    "For OpenCTI, MISP, Sentinel and Splunk. Plain TAXII has no word for a removal: it carries revoked."
                ),
                (
                    (gettext("The collection"), collection),
                    (gettext("Its objects"), f"curl -sS -u any:$EXCHANGE_API_KEY '{collection}objects/'"),
                ),
            )
        )
    return found
