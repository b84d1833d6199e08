"""Everything that the reader looks at, route by route, and in what order they look and do (`doing`).

Which routes have a reading is found by resolving what was asked, not by a list: `test_unseen` compares it with the
URLconf.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.indicators.api.caller import API, STIX
from tests.surfaces.worlds.asking import TAXII, Ask, Tour
from tests.surfaces.worlds.doing import do, nothing, publish, push
from tests.surfaces.worlds.stage import OWN, SHARED, a_value, an_id

#: Ids that only others may hold, and that the reader guesses.
GUESSED = (an_id("hidden"), an_id("within"), an_id("hidden-campaign", "campaign"), an_id("later"))


def look() -> Iterator[Ask]:
    """All that is read, of what is the reader's own, of what they see, and of what they guess."""
    yield from _rest()
    yield from _rest_of_who()
    yield from _taxii()
    yield from _pages()
    yield from _narrow()
    yield from _strangers()


def _rest() -> Iterator[Ask]:
    ids = [stix["id"] for stix in (*SHARED.values(), *OWN.values())]
    for path in ("", "schema", "waiting", "feeds", "service-hosts", "subscriptions", "reports", "quarantine"):
        yield Ask(API + path)
    for form in ("text", "csv", "jsonl"):
        yield Ask(f"{API}blocklists/all?format={form}")
    yield Ask(f"{API}blocklists/all?format=csv&min_confidence=50")
    yield Ask(f"{API}blocklists/{{feed}}")
    yield Ask(f"{API}blocklists/{{moving}}")
    yield Ask(f"{API}blocklists/{{x_feed}}")
    yield Ask(f"{API}bundle")
    yield Ask(f"{API}bundle?versions=all&referenced=true")
    yield Ask(f"{API}bundle?feed={{feed}}")
    yield Ask(f"{API}bundle?id={','.join(GUESSED)}")
    yield Ask(f"{API}changes")
    yield Ask(f"{API}changes?limit=4", walk=True)
    yield Ask(f"{API}changes?cursor={{cursor}}")
    yield Ask(f"{API}changes?cursor={{feed_cursor}}&feed={{feed}}")
    yield Ask(f"{API}changes?feed={{x_feed}}")
    yield Ask(f"{API}events?cursor={{cursor}}")
    yield Ask(f"{API}events")
    for query in ("", "?filter=kind:account-pattern", "?publishers=%3E%3D2", "?feed={feed}", "?feed={x_feed}"):
        yield Ask(f"{API}feeds/preview{query}")
    yield Ask(f"{API}blocklists/all?standing=disputed,refuted")
    yield Ask(f"{API}matches")
    yield Ask(f"{API}inbox?limit=100")
    yield Ask(f"{API}matches?limit=1", walk=True)
    yield Ask(f"{API}objects")
    yield Ask(f"{API}objects?limit=5", walk=True)
    for query in (
        "mine=true", "kind=account-pattern", "subkind=email", "type=domain-name", "publisher=aster", "unmarked=true",
        "publisher=cygnus", "publisher={x_slug}", "mark=unknown", "min_confidence=90", "q=seen", "q=hidden",
        f"q={a_value('shadowed')}", f"q={a_value('hidden')}", f"q={an_id('hidden')}", f"q={an_id('theirs')}",
    ):  # fmt: skip
        yield Ask(f"{API}objects?{query}")
    for stix_id in (*ids, *GUESSED):
        yield Ask(f"{API}objects/{stix_id}")
    for stix_id in (an_id("mine"), an_id("theirs"), an_id("hidden")):
        yield Ask(f"{API}objects/{stix_id}?versions=all")
        yield Ask(f"{API}objects/{stix_id}/readers")
        yield Ask(f"{API}objects/{stix_id}/opinions")
        yield Ask(f"{API}objects/{stix_id}/usefulness")
        yield Ask(f"{API}objects/{stix_id}/sightings")
        yield Ask(f"{API}objects/{stix_id}", headers=(("Accept", STIX),), note="as STIX")
    yield Ask(f"{API}objects/lookup", method="POST", document={"ids": [*ids[:4], *GUESSED]})
    for mine, thing in (
        ("batches/{batch}", "batches/{x_batch}"),
        ("deliveries/{delivery}", "deliveries/{x_delivery}"),
        ("feeds/{feed}", "feeds/{x_feed}"),
        ("feeds/{feed}/addresses", "feeds/{x_feed}/addresses"),
        ("lists/aaaaaaaa", "lists/exl_aaaaaaaa_none"),
        ("quarantine/{quarantined}", "quarantine/{x_quarantined}"),
        ("reports/{received}", "reports/{x_report}"),
        ("reports/{received}/package", "reports/{x_report}/package"),
        ("subscriptions/{subscription}", "subscriptions/{x_subscription}"),
        ("subscriptions/{subscription}/dead-letters", "subscriptions/{x_subscription}/dead-letters"),
        ("subscriptions/{subscription}/deliveries", "subscriptions/{x_subscription}/deliveries"),
    ):
        yield Ask(API + mine)
        yield Ask(API + thing)
    yield Ask(f"{API}subscriptions/{{feed_subscription}}/deliveries")
    yield from _campaigns()
    for wish in (
        {"groups": ["ring"]}, {"partners": ["aster"]}, {"everyone": True}, {"groups": ["circle"]},
        {"partners": ["{x_slug}"]}, {"groups": ["ring"], "attribution": "pseudonym"},
    ):  # fmt: skip
        yield Ask(f"{API}audience", method="POST", document=wish, note=json.dumps(wish))


def _campaigns() -> Iterator[Ask]:
    """Of two groups, joined by tokens of the reader's own accounts."""
    yield Ask(f"{API}campaigns?ended=true")
    yield Ask(f"{API}campaigns?limit=1", walk=True)
    for campaign in ("{ring_campaign}", "{pair_campaign}"):
        for part in ("", "/accounts", "/history", "/graph", "/opinions"):
            yield Ask(f"{API}campaigns/{campaign}{part}")
        yield Ask(f"/campaigns/{campaign}")
    yield Ask("/campaigns")
    for path in ("evidence", "evidence/asked", "sums"):
        yield Ask(f"{API}groups/pair/{path}")


def _rest_of_who() -> Iterator[Ask]:
    for path in (
        "me", "partner", "partners", "groups", "groups/ring", "groups/circle", "groups/{x_group}", "proposals", "keys",
        "keys/{key}", "keys/{x_key}", "people", "people/{user}", "people/{x_user}", "invitations",
        "people/{user}/digest", "people/{x_user}/digest",
        "operator/partners", "log/head", "log/head?first={head}", "log/keys", "log/records", "log/export",
        "log/records?verb=batch.published", "log/records?group=circle", "log/records?partner=cygnus",
        "log/proof/inclusion?leaf={leaf}&size={head}", "log/proof/inclusion?leaf={leaf}",
        "log/proof/inclusion?leaf={x_leaf}", "log/proof/consistency?first={head}&second={head}",
    ):  # fmt: skip
        yield Ask(API + path)
    yield Ask(f"{API}log/records?limit=20", walk=True)
    for path in ("tokens/keys", "groups/ring/keys", "groups/circle/keys", "groups/{x_group}/keys"):
        yield Ask(API + path)
    wish = {"subkind": "email", "epoch": "2026q4", "points": ["AAAA"]}
    yield Ask(f"{API}tokens/evaluate", method="POST", document=wish)


def _taxii() -> Iterator[Ask]:
    for path in ("/taxii2/", "/taxii2", TAXII, f"{TAXII}collections/", f"{TAXII}collections"):
        yield Ask(path)
    yield Ask(f"{TAXII}status/{{batch}}/")
    yield Ask(f"{TAXII}status/{{x_batch}}/")
    for collection in ("{everything}", "{own}", "{ring}", "{circle}", "{of_aster}", "{feed}", "{moving}", "{x_feed}"):
        there = f"{TAXII}collections/{collection}/"
        yield Ask(there)
        yield Ask(f"{there}manifest/")
        yield Ask(f"{there}objects/")
    there = f"{TAXII}collections/{{everything}}/"
    yield Ask(f"{there}objects/?limit=6", walk=True)
    yield Ask(f"{there}objects/?added_after={{added}}")
    yield Ask(f"{there}objects/?match[version]=all")
    yield Ask(f"{there}objects/?match[type]=campaign")
    yield Ask(f"{there}manifest/?limit=6&match[version]=all", walk=True)
    for stix_id in (an_id("mine"), an_id("theirs"), an_id("common"), *GUESSED):
        yield Ask(f"{there}objects/{stix_id}/")
        yield Ask(f"{there}objects/{stix_id}/versions/")


def _pages() -> Iterator[Ask]:
    for path in (
        "/", "/recent", "/pulse", "/side", "/?show=ours", "/indicators", "/indicators?matched=true", "/indicators?publisher=aster", "/indicators?q=seen",
        "/indicators?filter=kind:account-pattern", "/indicators?sort=-confidence", "/indicators?filter=publishers:>=2", "/indicators/tallies", "/indicators/bundle?show=objects", "/matches", "/subscriptions",
        "/subscriptions/deliveries", "/subscriptions/new", "/subscriptions/feeds/all", "/subscriptions/feeds/{feed}",
        "/subscriptions/feeds/{x_feed}", "/subscriptions/feeds/{feed}/change", "/subscriptions/feeds/{x_feed}/change",
        "/subscriptions/deliveries?feed={x_feed}", "/judgement/", "/judgement/?show=given", "/judgement/usefulness/", "/docs", "/docs/start", "/docs/try",
        "/organisation/groups/ring/counsel", "/organisation/groups/{x_group}/counsel",
        "/account/", "/account/digest", "/account/factors/", "/account/password/", "/account/reauthenticate/",
        "/account/login/passkey/", "/account/login/second-factor/", "/account/reauthenticate/code/",
        "/account/reauthenticate/passkey/", "/account/logout/",
        "/organisation/", "/organisation/groups/", "/organisation/groups/ring", "/organisation/groups/circle",
        "/organisation/groups/{x_group}", "/organisation/waiting/", "/organisation/hosts/", "/organisation/quarantine/",
        "/organisation/quarantine/{quarantined}/", "/organisation/quarantine/{x_quarantined}/", "/organisation/keys/",
        "/organisation/log/", "/organisation/log/?verb=batch.published", "/organisation/log/export.jsonl",
        "/organisation/log/report.pdf", "/organisation/reports/", "/organisation/reports/{prepared}/",
        "/organisation/reports/{x_report}/", "/organisation/reports/{received}/package.zip",
        "/organisation/reports/{x_report}/package.zip", "/organisation/people/", "/organisation/people/sign-on/",
        "/organisation/sharing/", "/organisation/sharing/?as=aster", "/organisation/sharing/?as=cygnus",
        f"/organisation/sharing/?object={an_id('mine')}", f"/organisation/sharing/?object={an_id('hidden')}",
        "/organisation/sharing/?ask=1&groups=ring", "/organisation/sharing/?ask=1&everyone=1&tlp=green",
        "/operator/partners", "/operator/groups", "/operator/invite/",
    ):  # fmt: skip
        yield Ask(path)
    for name in ("common", "theirs", "shadowed", "veiled", "named", "both", "mine", "match", "hidden", "within"):
        yield Ask(f"/indicators/{an_id(name)}")
    for name in ("theirs", "mine", "hidden"):
        yield Ask(f"/indicators/{an_id(name)}/raw")
    yield Ask("/organisation/log/", who="counsel")
    yield Ask("/organisation/reports/", who="counsel")


def _narrow() -> Iterator[Ask]:
    """With a key for the ring alone."""
    for path in ("me", "groups", "objects", "changes", "matches", "blocklists/all?format=jsonl", "feeds", "partners"):
        yield Ask(API + path, who="narrow")
    yield Ask(f"{TAXII}collections/", who="narrow")
    yield Ask(f"{TAXII}collections/{{everything}}/manifest/", who="narrow")


def _strangers() -> Iterator[Ask]:
    for path in (
        "/", "/account/login/", "/account/inactive/", "/account/password/forgotten/", "/account/password/link/?token=x",
        "/account/invitation/?token={token}", "/account/invitation/?token=x", "/account/sign-on/{sign_on}/",
        "/account/sign-on/{sign_on}/waiting/", "/account/sign-on/{sign_on}/callback/", f"{API}objects", "/taxii2/",
        "/livez", "/readyz", "/metrics", "/words.js", "/schemas/{extension}.json",
    ):  # fmt: skip
        yield Ask(path, who="stranger")


def glance() -> Iterator[Ask]:
    """The surfaces that are read most, and those that count."""
    for path in (
        "changes", "changes?cursor={cursor}", "changes?cursor={feed_cursor}&feed={feed}", "events?cursor={cursor}",
        "matches", "objects", f"objects?q={a_value('shadowed')}", f"objects?q={a_value('hidden')}", "objects?q=hidden",
        "blocklists/all?format=csv", "blocklists/{feed}", "bundle?versions=all&referenced=true", "batches/{batch}",
        "subscriptions/{subscription}/deliveries", "log/records", "quarantine", "waiting", "groups", "partners",
    ):  # fmt: skip
        yield Ask(API + path)
    yield Ask(f"{API}changes?limit=7", walk=True)
    for stix in (*SHARED.values(), *OWN.values()):
        yield Ask(f"{API}objects/{stix['id']}?versions=all")
    for stix_id in GUESSED:
        yield Ask(f"{API}objects/{stix_id}")
    there = f"{TAXII}collections/{{everything}}/"
    yield Ask(f"{there}manifest/?limit=9", walk=True)
    yield Ask(f"{TAXII}collections/{{moving}}/manifest/")
    yield Ask(f"{there}objects/?match[version]=all")
    for name in ("common", "theirs", "mine"):
        yield Ask(f"{there}objects/{an_id(name)}/versions/")
        yield Ask(f"/indicators/{an_id(name)}")
    for path in ("/", "/indicators", "/indicators?matched=true", "/organisation/sharing/?as=aster", "/organisation/"):
        yield Ask(path)


def poll() -> Iterator[Ask]:
    """What follows the log."""
    for path in ("changes?cursor={cursor}", "changes?cursor={feed_cursor}&feed={feed}", "events?cursor={cursor}"):
        yield Ask(API + path)
    yield Ask("/recent")
    yield Ask(f"{API}changes", who="narrow")
    yield Ask(f"{TAXII}collections/{{everything}}/objects/?added_after={{added}}")


def idle() -> Iterator[Ask]:
    """What is asked again and again, where nothing is new for the reader."""
    yield from poll()
    for path in ("objects", "matches", "blocklists/all?format=csv", "me", "quarantine", "subscriptions", "proposals"):
        yield Ask(API + path)
    yield Ask(f"{TAXII}collections/")
    yield Ask(f"{TAXII}collections/{{everything}}/manifest/")


def look_at_matches() -> Iterator[Ask]:
    for path in (f"{API}matches", "/matches", "/indicators?matched=true", "/", f"/indicators/{an_id('newer')}"):
        yield Ask(path)
    yield Ask(f"{API}matches?limit=1", walk=True)


def look_back() -> Iterator[Ask]:
    """What is told of an hour once it is over."""
    yield Ask(f"{API}log/records?verb=read.aggregated")
    yield Ask("/organisation/log/?verb=read.aggregated")
    yield Ask(f"{API}keys")


FULL = Tour(glance, do, look, look_back)
BRIEF = Tour(idle, publish, glance, look_back)
POLLING = Tour(poll, nothing, poll, nothing)
MATCHING = Tour(nothing, push, look_at_matches, nothing)
