"""Everything that the reader asks, route by route: what they look at, and what they do.

A path names things by the names of `stage`; those that begin with `x_` are other people's, guessed. Which routes have a
reading is found by resolving what was asked, not by a list: `test_unseen` compares it with the URLconf.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.test import Client

from indicators.api import events
from tests.indicators.api.caller import API, STIX
from tests.surfaces.worlds import stage as acts
from tests.surfaces.worlds.seen import Eyes
from tests.surfaces.worlds.stage import OUTSIDE, OWN, SHARED, Stage, a_value, an_id

TAXII = "/taxii2/exchange/"
_NAMED = re.compile(r"\{([a-z]\w+)\}")
_TAXII_MEDIA = "application/taxii+json;version=2.1"
#: Ids that only others may hold, and that the reader guesses.
GUESSED = (an_id("hidden"), an_id("within"), an_id("hidden-campaign", "campaign"), an_id("later"))


@dataclass(frozen=True)
class Ask:
    """One request. `walk` is whether its further pages are asked for, too."""

    path: str
    who: str = "borealis"
    method: str = "GET"
    document: Any = None  # sent as JSON
    form: dict[str, Any] | None = None  # sent by a page
    headers: tuple[tuple[str, str], ...] = ()
    media: str = "application/json"
    walk: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.who, self.method, self.path, self.note)))


@dataclass
class Reader:
    """The reader in one world: what they asked, and what they saw."""

    stage: Stage
    eyes: Eyes
    seen: dict[str, str] = field(default_factory=dict)

    def within(self, stage: Stage, known: frozenset[str]) -> Reader:
        """The same reader in a world of their own."""
        return Reader(stage, self.eyes.of(stage.absent, known))

    def ask(self, phase: str, asks: Iterator[Ask], *, seconds: float) -> None:
        """Ask all of it, in order, at one moment."""
        self.stage.sessions.clear()
        streams_forget()
        for ask in asks:
            name = f"{phase}: {ask.name}"
            assert name not in self.seen, name
            self._one(name, ask, seconds=seconds)
        for place, message in enumerate(sorted(self.stage.posted, key=lambda one: (one.url, one.body))):
            name = f"{phase}: hook {place}"
            self.seen[name] = self.eyes.read(name, repr(message))
        self.stage.posted.clear()

    def _one(self, name: str, ask: Ask, *, seconds: float) -> None:
        self.stage.pins.step(name, seconds=seconds)
        ask = replace(ask, path=filled(ask.path, self.stage.things))
        path = ask.path
        following = ""
        for page in range(12):
            response = send(self.stage, ask, path + following)
            body = _content(response)
            label = name if page == 0 else f"{name} page {page}"
            self.seen[label] = self.eyes.see(label, response, body)
            if not ask.walk:
                return
            following = _following(path, body)
            if not following:
                return


def streams_forget() -> None:
    """What a stream told another a moment ago: no listener runs here that would say that something came since."""
    for told in (events._ASKED, events._FOUND):
        told._held.clear()


def send(stage: Stage, ask: Ask, path: str) -> Any:
    """Django's own answer."""
    machine = path.startswith(("/api/", "/taxii2"))
    headers = dict(ask.headers)
    more: dict[str, Any] = {}
    if machine and ask.who != "stranger":
        headers["Authorization"] = f"Bearer {stage.keys[ask.who]}"
    if path.startswith("/taxii2"):
        headers.setdefault("Accept", _TAXII_MEDIA)
    if machine or ask.who == "stranger":
        client = Client(raise_request_exception=False)
        if ask.who == "stranger":
            more["REMOTE_ADDR"] = OUTSIDE
    else:
        client = stage.browser(ask.who)
    if ask.form is not None:
        return client.post(path, filled(ask.form, stage.things), headers=headers, **more)
    if ask.document is None:
        return client.generic(ask.method, path, b"", content_type="", headers=headers, **more)
    document = filled(ask.document, stage.things)
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.generic(ask.method, path, body, content_type=ask.media, headers=headers, **more)


def filled(value: Any, things: dict[str, str]) -> Any:
    """The same with things in the places of their names."""
    if isinstance(value, str):
        return _NAMED.sub(lambda found: things[found[1]], value)
    if isinstance(value, dict):
        return {name: filled(held, things) for name, held in value.items()}
    return [filled(held, things) for held in value] if isinstance(value, list | tuple) else value


def _content(response: Any) -> bytes:
    if not response.streaming:
        return bytes(response.content)
    if hasattr(response, "steps"):  # events: read until nothing more has happened
        pieces = []
        while isinstance(step := response.steps.step(), bytes) or type(step).__name__ == "Pause":
            pieces.append(step if isinstance(step, bytes) else b"")
        response.steps.close()
        return b"".join(pieces)
    return b"".join(response.streaming_content)


def _following(path: str, body: bytes) -> str:
    """What to add to a path for the page after this one; nothing where there is none."""
    found = json.loads(body)
    joint = "&" if "?" in path else "?"
    if found.get("next"):
        return f"{joint}{'next' if path.startswith('/taxii2') else 'cursor'}={found['next']}"
    if found.get("more") and found.get("cursor"):
        return f"{joint}cursor={found['cursor']}"
    return ""


@dataclass(frozen=True)
class Tour:
    """What is asked before, between and after what is hidden."""

    first: Callable[[], Iterator[Ask]]
    done: Callable[[], Iterator[Ask]]
    second: Callable[[], Iterator[Ask]]
    third: Callable[[], Iterator[Ask]]


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
    for path in ("", "schema", "held", "feeds", "service-hosts", "subscriptions", "reports", "quarantine"):
        yield Ask(API + path)
    for form in ("text", "csv", "jsonl"):
        yield Ask(f"{API}blocklists/all?format={form}")
    yield Ask(f"{API}blocklists/all?format=csv&min_confidence=50")
    yield Ask(f"{API}blocklists/{{feed}}")
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
    for wish in (
        {"groups": ["ring"]}, {"partners": ["aster"]}, {"everyone": True}, {"groups": ["circle"]},
        {"partners": ["{x_slug}"]}, {"groups": ["ring"], "attribution": "pseudonym"},
    ):  # fmt: skip
        yield Ask(f"{API}audience", method="POST", document=wish, note=json.dumps(wish))


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
    for collection in ("{everything}", "{own}", "{ring}", "{circle}", "{of_aster}", "{feed}", "{x_feed}"):
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
        "/", "/recent", "/pulse", "/?show=ours", "/indicators", "/indicators?matched=true", "/indicators?publisher=aster", "/indicators?q=seen",
        "/indicators?filter=kind:account-pattern", "/indicators?sort=-confidence", "/indicators?filter=publishers:>=2", "/indicators/tallies", "/indicators/bundle?show=objects", "/matches", "/subscriptions",
        "/subscriptions/deliveries", "/subscriptions/new", "/subscriptions/feeds/all", "/subscriptions/feeds/{feed}",
        "/subscriptions/feeds/{x_feed}", "/subscriptions/deliveries?feed={x_feed}", "/judgement/", "/judgement/?show=given", "/judgement/usefulness/", "/docs", "/docs/start",
        "/organisation/groups/ring/counsel", "/organisation/groups/{x_group}/counsel",
        "/account/", "/account/digest", "/account/factors/", "/account/password/", "/account/reauthenticate/",
        "/account/login/passkey/", "/account/login/second-factor/", "/account/reauthenticate/code/",
        "/account/reauthenticate/passkey/", "/account/logout/",
        "/organisation/", "/organisation/groups/", "/organisation/groups/ring", "/organisation/groups/circle",
        "/organisation/groups/{x_group}", "/organisation/held/", "/organisation/hosts/", "/organisation/quarantine/",
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
        "/livez", "/readyz", "/metrics", "/schemas/{extension}.json",
    ):  # fmt: skip
        yield Ask(path, who="stranger")


def glance() -> Iterator[Ask]:
    """The surfaces that are read most, and those that count."""
    for path in (
        "changes", "changes?cursor={cursor}", "changes?cursor={feed_cursor}&feed={feed}", "events?cursor={cursor}",
        "matches", "objects", f"objects?q={a_value('shadowed')}", f"objects?q={a_value('hidden')}", "objects?q=hidden",
        "blocklists/all?format=csv", "blocklists/{feed}", "bundle?versions=all&referenced=true", "batches/{batch}",
        "subscriptions/{subscription}/deliveries", "log/records", "quarantine", "held", "groups", "partners",
    ):  # fmt: skip
        yield Ask(API + path)
    yield Ask(f"{API}changes?limit=7", walk=True)
    for stix in (*SHARED.values(), *OWN.values()):
        yield Ask(f"{API}objects/{stix['id']}?versions=all")
    for stix_id in GUESSED:
        yield Ask(f"{API}objects/{stix_id}")
    there = f"{TAXII}collections/{{everything}}/"
    yield Ask(f"{there}manifest/?limit=9", walk=True)
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


def do() -> Iterator[Ask]:
    """What the reader does, of what is theirs and of what they guess; the answers tell them as much as any page."""
    yield from _guessing()
    yield from _of_the_portal()
    yield from push()
    yield from end()
    yield from _changes_of_own_things()
    yield from _forms()
    yield from _forms_of_people()


def _guessing() -> Iterator[Ask]:
    """What is said of things that are not there, or not the reader's."""
    for stix_id in (an_id("mine"), an_id("theirs"), an_id("hidden")):
        for verb in ("opinions", "sightings", "opinions/confirm"):
            yield Ask(f"{API}objects/{stix_id}/{verb}", method="POST", document={})
        yield Ask(f"/indicators/{stix_id}/excerpt", form={"text": ""})
    nobody = "00000000-0000-4000-8000-000000000000"
    for verb in ("", "/graph", "/history", "/members", "/opinions"):
        yield Ask(f"{API}campaigns/{nobody}{verb}")
    yield Ask(f"{API}campaigns/{nobody}", method="PATCH", document={})
    yield Ask(f"{API}campaigns/{nobody}/statement", method="PUT", document={})
    yield Ask(f"{API}campaigns/{nobody}/statement", method="DELETE")
    for path in ("campaigns", "detectors", "disarmed", "excerpts", "export?format=csv", "recalls", "usefulness"):
        yield Ask(API + path)
    for wanted in (
        {"ids": [an_id("hidden")]},
        {"campaign": an_id("hidden-campaign", "campaign")},
        {"since": acts.FIRST},
    ):
        yield Ask(f"{API}recalls", method="POST", document=wanted, note=json.dumps(wanted))
    yield Ask(f"{API}recalls/{nobody}")
    for name in ("hidden", "within", "shadowed"):
        carried = {
            "subkind": "email",
            "scheme": "oprf-ristretto255-sha512",
            "key_epoch": "2026q4",
            "value": a_value(name),
        }
        wish = {"tokens": [carried], "reason": "victim"}
        yield Ask(f"{API}appeals", method="POST", document=wish, note=name)
    for path in ("appeals", f"appeals/{nobody}", "appeals/statistics", "appeals/tickets"):
        yield Ask(API + path)
    yield Ask(f"{API}appeals/tickets/{nobody}", method="POST", document={"outcome": "keep"})
    for verb in ("carry-out", "undo", "finish"):
        yield Ask(f"{API}recalls/{nobody}/{verb}", method="POST", document={})
    yield Ask(f"{API}detectors", method="POST", document={})
    for method in ("PATCH", "DELETE"):
        yield Ask(f"{API}detectors/d-00000000", method=method, document={})
    yield Ask(f"{API}disarmed/undo", method="POST", document={})
    yield Ask(f"{API}excerpts", method="POST", document={})
    yield Ask(f"{API}excerpts/{nobody}", method="DELETE")
    for group in ("ring", "{x_group}"):
        there = f"{API}groups/{group}/"
        for path in ("evidence", "evidence/asked", "sums"):
            yield Ask(there + path)
        for path in ("evidence?round=1", "evidence/finish?round=1", "prevalence"):
            yield Ask(there + path, method="POST", document=b"", media="application/x-ndjson")
    yield Ask(f"{API}feeds/{{x_feed}}/delta")  # its own has a key of its own in each world (`docs/delta.md`)
    yield Ask(f"{API}feeds/{{x_feed}}/ranges")
    yield Ask(f"{API}feeds/{{x_feed}}/ranges/{'a' * 32}/0")
    yield Ask(f"{API}feeds/{{x_feed}}/snapshot")  # the same: its own is the delta in a file
    yield Ask(f"{API}feeds/{{x_feed}}/acks", method="POST", document={})
    yield Ask("/organisation/detectors/")
    yield Ask("/organisation/detectors/d-00000000/act", form={"do": "retire"})
    yield Ask(f"/organisation/excerpts/{nobody}/act", form={"do": "end"})
    yield Ask("/organisation/disarmed/undo", form={})
    for path in ("appeals/", "recalls/", f"recalls/{nobody}/"):
        yield Ask(f"/organisation/{path}")
    yield Ask(f"/organisation/appeals/{nobody}/act", form={"do": "keep"})
    yield Ask("/organisation/recalls/", form={"ids": an_id("hidden")}, note="a recall")
    yield Ask(f"/organisation/recalls/{nobody}/act", form={"do": "undo"})
    yield Ask(f"/organisation/disarmed/{nobody}/act", form={"do": "confirm"})


def _of_the_portal() -> Iterator[Ask]:
    """Campaigns, and what its scripts ask."""
    nobody = "00000000-0000-4000-8000-000000000000"
    for verb in ("", "/picture.json", "/picture.svg"):
        yield Ask(f"/campaigns/{nobody}{verb}")
    yield Ask(f"/campaigns/{nobody}/say", form={"says": "confirm", "reason": "confirmed_here"})
    yield Ask(f"/campaigns/{nobody}/alias", form={"alias": "ours"})
    yield Ask("/campaigns?ended=true")
    yield Ask("/paste")
    yield Ask("/publish")
    yield Ask(f"/publish/{nobody}")
    yield Ask(f"/publish/{nobody}/send", form={"line": "1", "groups": "ring"})
    yield Ask("/ask/drafts", method="POST", document={"rows": []})
    asked = [{"n": 1, "subkind": "id", "clear": stix_id} for stix_id in (an_id("mine"), an_id("hidden"))]
    asked += [{"n": 2, "subkind": "token", "tokens": ["ab" * 32]}, {"n": 3, "subkind": "net", "clear": "198.51.100.7"}]
    yield Ask("/ask/values", method="POST", document={"lines": asked})
    yield Ask("/ask/tokens/keys")
    yield Ask("/ask/tokens/evaluate", method="POST", document={})


def _push(*objects: Any, query: str = "?groups=ring", note: str, **headers: str) -> Ask:
    sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Ask(
        f"{API}batches{query}", method="POST", document={"objects": objects}, headers=sent, media=STIX, note=note
    )


def push() -> Iterator[Ask]:
    """Publish, also what others may hold."""
    later, values = acts.an_indicator("later"), acts.an_indicator("own carrier", value="hidden")
    yield _push(later, values, note="ids and values that others may hold", Idempotency_Key="nightly")
    yield _push(later, values, note="again", Idempotency_Key="nightly")
    yield _push(acts.an_indicator("newer", value="shadowed"), note="a value that others hold")
    yield _push(acts.an_indicator("within"), query="?groups=ring&report=loss", note="an id of the circle's")
    yield _push(acts.a_domain("hidden"), acts.a_domain("later"), note="observables")
    yield _push(acts.an_identity("newcomer", "Newcomer"), acts.an_identity("claimed", "Hidden Lab"), note="identities")
    yield _push(acts.a_definition("house rules", "Eyes of Borealis only"), note="a definition")
    house = an_id("house rules", "marking-definition")
    yield _push(acts.an_indicator("under house rules", object_marking_refs=[house]), note="under it")
    stray = an_id("stray rules", "marking-definition")
    yield _push(acts.an_indicator("stray", object_marking_refs=[stray]), note="under none")
    by = an_id("hidden-identity", "identity")
    yield _push(acts.an_indicator("made by", created_by_ref=by), query="?groups=ring&report=loss", note="of a creator")
    links = [
        acts.a_link(f"link to {kind}", an_id("mine"), an_id(name, kind))
        for name, kind in (("hidden", "indicator"), ("hidden", "domain-name"), ("hidden-campaign", "campaign"))
    ]
    yield _push(*links, query="?groups=ring&report=loss", note="links")
    veiled = acts.an_indicator("veiled own", extension={"attribution": "pseudonym"})
    probe = acts.a_link("veiled link", an_id("veiled own"), an_id("hidden", "domain-name"))
    yield _push(veiled, probe, query="?groups=ring&attribution=pseudonym", note="without a name")
    yield _push(acts.an_indicator("as exchange"), query="?groups=ring&attribution=exchange", note="as the exchange")
    yield _push(acts.marked(OWN["mine"], "clear"), note="the same, otherwise")
    yield _push(acts.revised(OWN["mine"], confidence=55), note="revised")
    yield _push(acts.revised(OWN["clear"], name="Clearer"), note="revised classical")
    yield _push(OWN["same"], note="the same")
    yield _push(acts.an_indicator("strict", word="clear"), query="?everyone=true&tlp=clear", note="to everyone")
    yield _push(acts.an_indicator("circle"), query="?groups=circle", note="to a group of others")
    yield _push(acts.an_indicator("circle"), query="?groups=none", note="to no group")
    yield _push(acts.an_indicator("x"), query="?partners={x_slug}", note="to nobody")
    yield _push(acts.an_indicator("says red again", labels=["TLP:RED"]), note="quarantined")
    lines = b"\n".join(json.dumps(acts.an_indicator(f"line {number}")).encode() for number in range(2))
    yield Ask(f"{API}batches?groups=ring", method="POST", document=lines, media="application/x-ndjson", note="lines")
    for collection in ("{own}", "{ring}", "{circle}", "{feed}", "{of_aster}"):
        stix = acts.an_indicator(f"taxii {collection[1:-1]}")
        there = f"{TAXII}collections/{collection}/objects/"
        yield Ask(there, method="POST", document={"objects": [stix]}, media=_TAXII_MEDIA)


def end() -> Iterator[Ask]:
    """Narrow, revoke and withdraw, also what is only others'."""
    own, guessed = an_id("spare"), an_id("hidden")
    for stix_id in (own, guessed, an_id("theirs")):
        yield Ask(f"{API}objects/{stix_id}/audience", method="PUT", document={"partners": ["aster"]})
        yield Ask(f"{API}objects/{stix_id}/audience", method="PUT", document={"groups": ["ring"]}, note="back")
    ids = [an_id("spoilt"), an_id("hidden"), an_id("theirs"), an_id("within")]
    yield Ask(f"{API}objects/revoke", method="POST", document={"ids": ids})
    yield Ask(f"{API}objects/withdraw", method="POST", document={"ids": [an_id("site", "domain-name"), *ids[1:]]})
    for stix_id in (own, guessed, an_id("theirs")):
        yield Ask(f"{API}objects/{stix_id}/withdraw", method="POST")
    for stix_id in (an_id("taxii own"), guessed, an_id("theirs")):
        yield Ask(f"{TAXII}collections/{{own}}/objects/{stix_id}/", method="DELETE")
    yield _push(OWN["spare"], note="back unasked")
    yield _push(OWN["spare"], query="?groups=ring&wake=true", note="back")


def _changes_of_own_things() -> Iterator[Ask]:
    def post(path: str, document: Any = None, method: str = "POST", note: str = "") -> Ask:
        return Ask(API + path, method=method, document=document, note=note)

    for name in ("Hidden", "Watch"):  # names that others may have
        yield post("feeds", {"name": name, "filter": {"publishers": ["aster"]}}, note=name)
    yield post("feeds/{spare_feed}", method="DELETE")
    yield post("feeds/{x_feed}", method="DELETE")
    yield post("subscriptions", {"url": "https://hidden.example/hook"})
    yield post("subscriptions", {"url": acts.HOOK, "feed": "{x_feed}"}, note="of a feed of others")
    for sub in ("{spare_subscription}", "{x_subscription}"):
        yield post(f"subscriptions/{sub}", {"state": "paused"}, method="PATCH")
        yield post(f"subscriptions/{sub}/secret", {"overlap_hours": 1})
        yield post(f"subscriptions/{sub}/test")
        yield post(f"subscriptions/{sub}/replay", {"all": True})
        yield post(f"subscriptions/{sub}", method="DELETE")
    yield post("deliveries/{delivery}/redeliver")
    yield post("deliveries/{x_delivery}/redeliver")
    yield post("quarantine/{x_quarantined}", method="DELETE")
    yield post("service-hosts", {"values": ["new.borealis-own.test"]})
    yield post("service-hosts/{spare_host}/check", {})
    yield post("service-hosts/{host}/confirm", {})
    yield post("service-hosts/{spare_host}", method="DELETE")
    yield post("keys", {"name": "hidden", "scopes": ["read"], "expires_in_minutes": 60})
    yield post("keys/{key}/rotate", {"overlap_minutes": 5})
    yield post("keys/{x_key}/rotate", {"overlap_minutes": 5})
    yield post("keys/{spare_key}", method="DELETE")
    yield post("keys/{x_key}", method="DELETE")
    yield post("people/{user}", {"role": "publisher"}, method="PATCH")
    yield post("people/{x_user}", {"role": "publisher"}, method="PATCH")
    yield post("people/{user}/digest", {"every": "daily"}, method="PUT")
    yield post("people/{x_user}/digest", {"every": "daily"}, method="PUT")
    yield post("invitations", {"email": "known@example.org", "role": "analyst"})
    yield post("invitations/{invitation}", method="DELETE")
    yield post("invitations/{x_invitation}", method="DELETE")
    yield post("partner", {"default_tlp": "amber"}, method="PATCH")
    basis = {"legal_basis": "An agreement.", "basis_from": "2026-01-01"}
    yield post("groups", {"name": "Secret", "purpose": "To share."} | basis)
    for group in ("pair", "circle", "{x_group}"):
        yield post(f"groups/{group}/invite", {"partner": "cygnus"})
        yield post(f"groups/{group}/renew", basis)
        yield post(f"groups/{group}/dissolve")
        yield post(f"groups/{group}/remove", {"partner": "aster"})
        yield post(f"groups/{group}/leave")
    yield post("groups/ring/invite", {"partner": "{x_slug}"}, note="nobody")
    yield post("proposals/{proposal}/agree")
    yield post("proposals/{renewal}/decline")
    for verb in ("agree", "decline"):
        yield post(f"proposals/{{x_proposal}}/{verb}")
    for path in ("operator/partners/aster/invite", "operator/partners/aster/suspend", "operator/partners/x/reinstate"):
        yield post(path, {})
    yield post("operator/partners", {"name": "Newcomer", "slug": "{x_slug}", "kind": "lab", "email": "a@b.example"})


def _forms() -> Iterator[Ask]:
    for name in ("mine", "hidden"):
        yield Ask(f"/indicators/{an_id(name)}/judge", form={"do": "confirm"})

    def form(path: str, note: str = "", /, **fields: str) -> Ask:
        return Ask(path, form=fields, note=note or fields.get("do", ""))

    yield form("/account/theme/", theme="dark")
    yield form("/organisation/settings", do="default-audience", default="named", groups="ring")
    yield form("/organisation/leaving", do="offer", heir="cygnus")
    yield form("/organisation/leaving", do="withdraw")
    yield form("/organisation/leaving", do="accept", offer="{x_offer}")
    basis = {"legal_basis": "An agreement.", "basis_from": "2026-01-01", "policy": "open-cti", "join_rule": "any-admin"}
    yield form("/organisation/groups/", name="Watch", purpose="To share.", **basis)
    for group in ("ring", "circle", "{x_group}"):
        yield form(f"/organisation/groups/{group}/act", do="invite", partner="cygnus")
    for proposal in ("{proposal}", "{x_proposal}"):
        yield form(f"/organisation/proposals/{proposal}/act", do="agree")
    for held in ("{held}", "{x_held}"):
        yield form(f"/organisation/held/{held}/act", do="confirm")
    for host in ("{host}", "{x_feed}"):
        yield form(f"/organisation/hosts/{host}/check")
        yield form(f"/organisation/hosts/{host}/confirm")
        yield form(f"/organisation/hosts/{host}/end")
    yield form("/organisation/hosts/", values="newer.borealis-own.test")
    for entry in ("{quarantined}", "{x_quarantined}"):
        yield form(f"/organisation/quarantine/{entry}/delete")
    for key in ("{key}", "{x_key}"):
        yield form(f"/organisation/keys/{key}/act", do="revoke")
    yield form("/organisation/keys/", name="page", scopes="read", life="60")
    yield form("/organisation/reports/", recipient="aster", root=an_id("own", "campaign"))
    yield form("/organisation/reports/", "guessed", recipient="aster", root=an_id("hidden-campaign", "campaign"))
    for report in ("{prepared}", "{x_report}"):
        yield form(f"/organisation/reports/{report}/", do="discard")
    yield form("/organisation/people/", do="invite", email="page@borealis.example", role="analyst")
    yield form("/organisation/people/{user}/", do="deactivate")
    yield form("/organisation/people/{x_user}/", do="deactivate")
    yield form("/digest/end/nothing")
    yield form("/organisation/people/sign-on/", issuer="https://id.example", client_id="x", client_secret="y")
    yield form("/subscriptions", url="https://hidden.example/page")
    yield form("/subscriptions/new", filter="kind:account-pattern")
    yield form("/subscriptions/new", "saved", do="save", name="Hidden page", filter="")
    for sub in ("{feed_subscription}", "{x_subscription}"):
        yield form(f"/subscriptions/{sub}/act", do="pause")
    for delivery in ("{delivery}", "{x_delivery}"):
        yield form(f"/subscriptions/deliveries/{delivery}/again")
    for name in ("same", "hidden"):
        yield form(f"/indicators/{an_id(name)}/withdraw")
    for name in ("mine", "hidden"):
        yield form(f"/indicators/{an_id(name)}/audience", do="ask", groups="ring", tlp="amber")
        yield Ask(f"/indicators/{an_id(name)}/end")
        yield Ask(f"/indicators/{an_id(name)}/proof")
    yield form("/indicators", search="seen")
    yield form("/indicators", "filtered", filter="publishers:>=2 or severity:high")
    yield form("/indicators/new", state="none")
    yield form("/find", search="seen")
    yield form("/indicators/save", name="Two worlds", filter="severity:high")
    yield form("/indicators/look", columns="tlp")
    yield form("/indicators/act", do="judge", all="yes", filter="kind:prompt-signature tlp:red")
    yield Ask("/acts/judging/none/")
    yield Ask("/acts/{x_feed}/")
    for path in ("/operator/partners/aster/act", "/operator/groups/ring/act"):
        yield form(path, do="suspend", why="x")
    yield form("/operator/invite/", name="Newcomer", slug="{x_slug}", kind="lab", email="a@b.example")


def _forms_of_people() -> Iterator[Ask]:
    def form(path: str, who: str = "borealis", note: str = "", /, **fields: str) -> Ask:
        return Ask(path, who=who, form=fields, note=note)

    yield form("/account/factors/passkey-options/")
    yield form("/account/factors/", do="begin-app")
    yield form("/account/sessions/", session="x")
    yield form("/account/unlink/")
    yield form("/account/password/", current="wrong", password="new battery horse", again="new battery horse")
    yield form("/account/reauthenticate/", password="correct horse battery")
    yield form("/account/login/", "stranger", login="nobody", password="x")
    yield form("/account/login/", "stranger", "known", login="{x_name}", password="wrong")
    yield form("/account/password/forgotten/", "stranger", who="{x_name}")
    yield form("/account/invitation/", "stranger", token="{token}", username="newer", password="long enough words")
    yield form("/account/invitation/", "stranger", "taken", token="x", username="{x_name}", password="x")
    yield form("/account/sign-on/{sign_on}/", "stranger")
    yield form("/account/logout/")


def publish() -> Iterator[Ask]:
    """What a lab's pipeline does."""
    yield from push()
    yield from end()


def nothing() -> Iterator[Ask]:
    """Ask nothing."""
    return iter(())


FULL = Tour(glance, do, look, look_back)
BRIEF = Tour(idle, publish, glance, look_back)
POLLING = Tour(poll, nothing, poll, nothing)
MATCHING = Tour(nothing, push, look_at_matches, nothing)
