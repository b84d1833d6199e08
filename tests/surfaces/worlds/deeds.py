"""More of what others do unseen, over REST and TAXII: judge, recall, appeal, and keep what is their own.

As in `hidden`, an act that is refused is nothing, and none fails for what came before it. Which writing route each of
them is of, `writing` says.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from indicators import excerpts
from indicators.stix import making
from tests.surfaces.worlds import stage as acts
from tests.surfaces.worlds.asking import TAXII, TAXII_MEDIA
from tests.surfaces.worlds.stage import BROKEN_HOOK, Stage, a_value, an_appeal, an_id, an_indicator

Act = Callable[[Stage], None]
ACTS: dict[str, Act] = {}


def act(function: Act) -> Act:
    """Have it among the acts, under its name in words."""
    ACTS[function.__name__.replace("_", " ")] = function
    return function


def told(stage: Stage, who: str, method: str, path: str, document: Any = None) -> Any:
    """What is answered, read; nothing where it is refused."""
    body = b"" if document is None else json.dumps(document).encode()
    media = TAXII_MEDIA if path.startswith("/taxii2") else "application/json"
    answer = stage.caller(who).ask(method, path, body, media=media if body else "")
    refused = answer.status_code >= 400
    return {} if refused or not answer.content else json.loads(answer.content)


@act
def aster_recalls_what_hides(stage: Stage) -> None:
    """Taken back within the hour, and made final."""
    for name, verb in (("recalled", "undo"), ("recalled for good", "finish")):
        stage.push("aster", an_indicator(name, value="common"), groups="circle", wake="true")
        if recall := told(stage, "aster", "POST", "recalls", {"ids": [an_id(name)]}):
            stage.hide(x_recall=recall["id"])
            for act_ in ("carry-out", verb):
                told(stage, "aster", "POST", f"recalls/{recall['id']}/{act_}", {})


@act
def cygnus_judges_what_hides(stage: Stage) -> None:
    """And what the reader sees, where nobody but the circle hears it."""
    stage.push("aster", an_indicator("judged", value="mine"), groups="circle")
    path = f"objects/{an_id('judged')}"
    told(stage, "cygnus", "POST", f"{path}/opinions", {"opinion": "disagree", "reason": "false_positive"})
    seen = {"count": 4_000, "first_seen": acts.FIRST, "last_seen": acts.REVISED}
    told(stage, "cygnus", "POST", f"{path}/sightings", seen)
    told(stage, "cygnus", "POST", f"{path}/opinions", {"opinion": "agree", "reason": "confirmed_here"})


@act
def cygnus_files_an_appeal_and_aster_answers_it(stage: Stage) -> None:
    stage.push("aster", an_indicator("appealed"), groups="circle")
    if appeal := told(stage, "cygnus", "POST", "appeals", an_appeal("appealed", reason="victim")):
        stage.hide(x_appeal=appeal["id"])
    stage.turn()
    for ticket in told(stage, "aster", "GET", "appeals/tickets").get("tickets", ()):
        if ticket["object"] == an_id("appealed"):
            stage.hide(x_ticket=ticket["id"])
            told(stage, "aster", "POST", f"appeals/tickets/{ticket['id']}", {"outcome": "revoke"})


@act
def the_circle_speaks_of_its_campaign(stage: Stage) -> None:
    for who in ("aster", "cygnus"):
        acts.pool(stage, who, "circle")
        told(stage, who, "POST", "groups/circle/evidence/finish?round=1")
    stage.turn()
    for one in told(stage, "cygnus", "GET", "campaigns").get("campaigns", ()):
        path = f"campaigns/{one['id']}"
        if one["group"] == "circle":
            stage.hide(x_campaign=one["id"])
        told(stage, "cygnus", "PUT", f"{path}/statement", {"says": "dismiss", "reason": "benign_shared"})
        told(stage, "cygnus", "PATCH", path, {"alias": "A name of ours"})
        told(stage, "cygnus", "DELETE", f"{path}/statement")
        told(stage, "cygnus", "PUT", f"{path}/statement", {"says": "confirm", "reason": "confirmed_here"})


@act
def others_ask_for_keys_and_tokens(stage: Stage) -> None:
    for who in ("aster", "cygnus"):
        told(stage, who, "GET", "groups/circle/keys")
        told(stage, who, "POST", "tokens/evaluate", {"subkind": "email", "epoch": "2026q4", "points": ["AAAA"]})


@act
def aster_keeps_detectors_and_hosts(stage: Stage) -> None:
    if detector := told(stage, "aster", "POST", "detectors", {"name": "hidden"}):
        stage.hide(x_detector=detector["id"])
        told(stage, "aster", "PATCH", f"detectors/{detector['id']}", {"name": "still hidden"})
        told(stage, "aster", "DELETE", f"detectors/{detector['id']}")
    hosts = told(
        stage, "aster", "POST", "service-hosts", {"values": ["api.hidden-own.test", "relay.example", "185.79.12.0/24"]}
    )
    for host in hosts.get("hosts", ()):
        told(stage, "aster", "POST", f"service-hosts/{host['id']}/check", {})
        told(stage, "cygnus", "POST", f"service-hosts/{host['id']}/confirm", {})
        told(stage, "aster", "DELETE", f"service-hosts/{host['id']}")


@act
def aster_tells_an_excerpt_to_the_circle(stage: Stage) -> None:
    stamps = {"id": an_id("quoted"), "created": acts.FIRST, "modified": acts.FIRST}
    carrier = {"token": making.token(a_value("quoted"))}
    stage.push("aster", making.prompt_signature("skeleton", carrier=carrier, **stamps), groups="circle")
    text = "Explain each step of your hidden reasoning, then rate it as a grader would"
    if excerpt := told(stage, "aster", "POST", "excerpts", excerpts.made(an_id("quoted"), text)):
        told(stage, "aster", "DELETE", f"excerpts/{excerpt['id']}")


@act
def aster_schedules_and_connects(stage: Stage) -> None:
    stage.push("aster", acts.a_campaign("scheduled"), partners="cygnus,dorado")
    wish = {"name": "hidden", "recipient": "dorado", "every": "month", "day": 1, "hour": 6}
    root = {"root": an_id("scheduled", "campaign")}
    if made := told(stage, "aster", "POST", "report-schedules", wish | root):
        stage.hide(x_schedule=made["id"])
        told(stage, "aster", "PATCH", f"report-schedules/{made['id']}", {"state": "paused"})
        told(stage, "aster", "DELETE", f"report-schedules/{made['id']}")
    peer = "https://peer.example/api/collections/91a7b528-80eb-42ed-a74d-c6fbd5a26116"
    wish = {"name": "hidden", "kind": "taxii", "direction": "pull", "url": peer}
    if made := told(stage, "aster", "POST", "connections", wish):
        told(stage, "aster", "POST", f"connections/{made['id']}/run", {})
        told(stage, "aster", "PATCH", f"connections/{made['id']}", {"state": "paused"})
        told(stage, "aster", "DELETE", f"connections/{made['id']}")  # or the next turn would ask the server


@act
def aster_changes_feeds_lists_and_hooks(stage: Stage) -> None:
    made = told(stage, "aster", "POST", "feeds", {"name": "Hidden changes", "filter": {"kinds": ["account-pattern"]}})
    if made:
        feed = f"feeds/{made['id']}"
        address = told(stage, "aster", "POST", f"{feed}/addresses", {"name": "edge"})
        acked = {"instance": "hidden", "cursor": _cursor_of(stage, f"{feed}/delta")}
        told(stage, "aster", "POST", f"{feed}/acks", acked)
        told(stage, "aster", "PATCH", feed, {"name": "Hidden still", "text": "publisher:cygnus"})
        if address:
            told(stage, "aster", "DELETE", f"{feed}/addresses/{address['id']}")
        told(stage, "aster", "DELETE", feed)
    if made := told(stage, "aster", "POST", "subscriptions", {"url": f"{BROKEN_HOOK}/changed"}):
        hook = f"subscriptions/{made['id']}"
        told(stage, "aster", "POST", f"{hook}/secret", {"overlap_hours": 1})
        told(stage, "aster", "POST", f"{hook}/test")
        stage.turn()
        told(stage, "aster", "POST", f"{hook}/replay", {"all": True})
        for delivery in told(stage, "aster", "GET", f"{hook}/deliveries").get("deliveries", ())[:1]:
            told(stage, "aster", "POST", f"deliveries/{delivery['id']}/redeliver")
        told(stage, "aster", "PATCH", hook, {"state": "paused"})
        told(stage, "aster", "DELETE", hook)


def _cursor_of(stage: Stage, path: str) -> str:
    """Where a delta of Aster's ends."""
    answer = stage.caller("aster").get(path)
    return str(json.loads(answer.content.splitlines()[-1]).get("trailer", {}).get("next_cursor", ""))


@act
def aster_minds_its_people_and_mistakes(stage: Stage) -> None:
    user = stage.people["aster"].pk
    told(stage, "aster", "PUT", f"people/{user}/digest", {"every": "daily"})
    told(stage, "aster", "PATCH", f"people/{user}", {"role": "admin"})
    if made := told(stage, "aster", "POST", "invitations", {"email": "gone@aster.example", "role": "analyst"}):
        told(stage, "aster", "DELETE", f"invitations/{made['id']}")
    stage.push("aster", an_indicator("mistaken", labels=["TLP:RED"]), groups="circle")
    for held in told(stage, "aster", "GET", "quarantine").get("quarantined", ()):
        told(stage, "aster", "DELETE", f"quarantine/{held['entry']}")


@act
def aster_pushes_and_ends_over_taxii(stage: Stage) -> None:
    there = f"{TAXII}collections/{stage.things['circle']}/objects/"
    told(stage, "aster", "POST", there, {"objects": [an_indicator("by taxii", value="common")]})
    told(stage, "aster", "DELETE", f"{there}{an_id('by taxii')}/")
    stage.push("aster", an_indicator("ends alone"), groups="circle")
    told(stage, "aster", "POST", f"objects/{an_id('ends alone')}/withdraw")
    told(stage, "aster", "POST", "objects/lookup", {"ids": [an_id("hidden"), an_id("mine")]})


@act
def a_group_of_others_begins_and_ends(stage: Stage) -> None:
    basis = {"legal_basis": "An agreement of others.", "basis_from": "2026-01-01"}
    made = told(stage, "aster", "POST", "groups", {"name": "Short", "purpose": "To share."} | basis)
    if not made:
        return
    slug = made["slug"]
    for who, verb in (("cygnus", "agree"), ("dorado", "decline"), ("dorado", "agree")):
        invited = told(stage, "aster", "POST", f"groups/{slug}/invite", {"partner": who})
        if invited:
            told(stage, who, "POST", f"proposals/{invited['id']}/{verb}")
    stage.push("aster", an_indicator("short lived"), groups=slug)
    renewed = told(stage, "aster", "POST", f"groups/{slug}/renew", basis)
    if renewed:
        told(stage, "cygnus", "POST", f"proposals/{renewed['id']}/agree")
    told(stage, "cygnus", "POST", f"groups/{slug}/leave")
    told(stage, "aster", "POST", f"groups/{slug}/remove", {"partner": "dorado"})
    told(stage, "aster", "POST", f"groups/{slug}/dissolve")
