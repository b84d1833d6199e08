"""What the demo says when it is ready: for people, or as one JSON line for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from exchange import env

_OF_GROUP = ("slug", "policy", "collection_id", "members")
_SHOWN = ("name", "id", "identity_id", "api_key", "collection_id", "siem_collection_id", "username", "password")


def as_json(base_url: str, *, data_dir: Path, cast: dict[str, Any]) -> str:
    """One line."""
    return json.dumps(
        {
            "base_url": base_url,
            "taxii_discovery_url": f"{base_url}/taxii2/",
            "taxii_url": f"{base_url}/taxii2/exchange/",
            "data_dir": str(data_dir),
            "partners": [_shown(partner) for partner in cast["partners"]],
            "operator": _shown(cast["operator"]),
            "groups": [{name: group[name] for name in _OF_GROUP} for group in cast.get("groups", ())],
        }
    )


def as_text(base_url: str, *, data_dir: Path, cast: dict[str, Any]) -> str:
    """A screen: addresses, sign-ins, keys, and six lines to try."""
    everyone = [*cast["partners"], cast["operator"]]
    aster, borealis = cast["partners"][0], cast["partners"][1]
    people = "\n".join(f"  {p['name']:<18} {p['username']:<10} {p['password']:<22} {p['api_key']}" for p in everyone)
    groups = "\n".join(
        f"  {group['slug']:<18} {group['policy']:<13} {', '.join(group['members'])}" for group in cast.get("groups", ())
    )
    labs = (
        f"Each of the five labs runs `exchange-lab` on accounts of its own ({data_dir}/labs); within a minute there are"
        " campaigns."
        if env.flag("DEMO_LABS", default=True)
        else "No lab runs `exchange-lab` (DEMO_LABS=0)."
    )
    return f"""
The Exchange is up.

  Portal   {base_url}/
  REST     {base_url}/api/v1/     (description: {base_url}/api/v1/schema)
  TAXII    {base_url}/taxii2/     (any user name, an API key as the password; for a SIEM: the feed `siem`)
  Data     {data_dir}

  {"Partner":<18} {"User":<10} {"Password":<22} API key
{people}

  {"Group":<18} {"Policy":<13} Members
{groups}

{labs}
Six lines to try, in another terminal:

  export EXCHANGE_URL={base_url} EXCHANGE_API_KEY={aster["api_key"]}
  .venv/bin/exchange whoami
  .venv/bin/exchange campaigns
  .venv/bin/exchange simulate --data-dir {data_dir}
  curl -s -H "Authorization: Bearer {borealis["api_key"]}" "{base_url}/api/v1/matches?limit=3"
  .venv/bin/exchange-agent sync --once --output blocklist.txt

Ctrl-C stops everything; what was stored stays in {data_dir}.
"""


def _shown(partner: dict[str, Any]) -> dict[str, Any]:
    return {name: partner[name] for name in _SHOWN if name in partner}
