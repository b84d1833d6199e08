"""Everything that the reader does, route by route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.indicators.api.caller import API, STIX
from tests.surfaces.worlds import stage as acts
from tests.surfaces.worlds.asking import TAXII, TAXII_MEDIA, Ask
from tests.surfaces.worlds.stage import OWN, an_appeal, an_id


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
    for verb in ("", "/graph", "/history", "/accounts", "/opinions"):
        yield Ask(f"{API}campaigns/{{x_campaign}}{verb}")
    yield Ask(f"{API}campaigns/{{x_campaign}}", method="PATCH", document={})
    yield Ask(f"{API}campaigns/{{x_campaign}}/statement", method="PUT", document={})
    yield Ask(f"{API}campaigns/{{x_campaign}}/statement", method="DELETE")
    for path in ("campaigns", "detectors", "disarmed", "excerpts", "export?format=csv", "recalls", "usefulness"):
        yield Ask(API + path)
    for wanted in (
        {"ids": [an_id("hidden")]},
        {"campaign": an_id("hidden-campaign", "campaign")},
        {"since": acts.FIRST},
    ):
        yield Ask(f"{API}recalls", method="POST", document=wanted, note=json.dumps(wanted))
    yield Ask(f"{API}recalls/{{x_recall}}")
    for name in ("hidden", "within", "shadowed"):
        yield Ask(f"{API}appeals", method="POST", document=an_appeal(name, reason="victim"), note=name)
        yield Ask("/organisation/appeals/file", method="POST", document=an_appeal(name, reason="stale"), note=name)
    for path in ("appeals", "appeals/{x_appeal}", "appeals/statistics", "appeals/tickets"):
        yield Ask(API + path)
    yield Ask(f"{API}appeals/tickets/{{x_ticket}}", method="POST", document={"outcome": "keep"})
    for verb in ("carry-out", "undo", "finish"):
        yield Ask(f"{API}recalls/{{x_recall}}/{verb}", method="POST", document={})
    yield Ask(f"{API}detectors", method="POST", document={})
    for method in ("PATCH", "DELETE"):
        yield Ask(f"{API}detectors/{{x_detector}}", method=method, document={})
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
    for path in ("connections", f"connections/{nobody}"):
        yield Ask(API + path)
    yield Ask(f"{API}connections", method="POST", document={})
    for method in ("PATCH", "DELETE"):
        yield Ask(f"{API}connections/{nobody}", method=method, document={})
    yield Ask(f"{API}connections/{nobody}/run", method="POST", document={})
    yield from _of_packages(nobody)
    yield Ask("/organisation/connections/")
    yield Ask(f"/organisation/connections/{nobody}/act", form={"do": "pause"})
    yield Ask("/organisation/detectors/")
    yield Ask("/organisation/detectors/{x_detector}/act", form={"do": "retire"})
    yield Ask(f"/organisation/excerpts/{nobody}/act", form={"do": "end"})
    yield Ask("/organisation/disarmed/undo", form={})
    for path in ("appeals/", "recalls/", "recalls/{x_recall}/"):
        yield Ask(f"/organisation/{path}")
    yield Ask("/organisation/appeals/{x_ticket}/act", form={"do": "keep"})
    yield Ask("/organisation/recalls/", form={"ids": an_id("hidden")}, note="a recall")
    yield Ask("/organisation/recalls/{x_recall}/act", form={"do": "undo"})
    yield Ask(f"/organisation/disarmed/{nobody}/act", form={"do": "confirm"})


def _of_packages(nobody: str) -> Iterator[Ask]:
    """Schedules of report packages, and terms of recipients."""
    for path in ("recipients", "report-schedules", "report-schedules/{x_schedule}"):
        yield Ask(API + path)
    yield Ask(f"{API}report-schedules", method="POST", document={})
    for method in ("PATCH", "DELETE"):
        yield Ask(f"{API}report-schedules/{{x_schedule}}", method=method, document={})
    for path in ("", f"/{nobody}/end"):
        yield Ask(f"{API}operator/partners/aster/terms{path}", method="POST", document={})
    yield Ask("/organisation/reports/schedules/")
    yield Ask("/organisation/reports/schedules/{x_schedule}/act", form={"do": "pause"})


def _of_the_portal() -> Iterator[Ask]:
    """Campaigns, and what its scripts ask."""
    nobody = "00000000-0000-4000-8000-000000000000"
    for verb in ("", "/picture.json", "/picture.svg"):
        yield Ask(f"/campaigns/{{x_campaign}}{verb}")
    yield Ask("/campaigns/{x_campaign}/say", form={"says": "confirm", "reason": "confirmed_here"})
    yield Ask("/campaigns/{x_campaign}/alias", form={"alias": "ours"})
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
        yield Ask(there, method="POST", document={"objects": [stix]}, media=TAXII_MEDIA)


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
    for feed in ("{spare_feed}", "{x_feed}"):
        yield post(f"feeds/{feed}", {"name": "Changed", "text": "publisher:aster"}, method="PATCH")
        yield post(f"feeds/{feed}/addresses", {"name": "edge", "format": "no such"})
        yield post(f"feeds/{feed}/addresses/aaaaaaaa", method="DELETE")
        yield Ask(f"/subscriptions/feeds/{feed}/change", form={"do": "look", "filter": "kind:prompt-signature"})
    yield post("feeds/{x_feed}/addresses", {"name": "edge"}, note="of a feed of others")
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
    yield form("/account/language/", language="en")
    yield form("/account/single-keys/", keys="off")
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
    for held in ("{waiting}", "{x_waiting}"):
        yield form(f"/organisation/waiting/{held}/act", do="confirm")
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
    yield form("/indicators", "counted", do="count", filter="severity:>=low or kind:payment-fingerprint")
    yield form("/indicators/new", state="none")
    yield form("/find", search="seen")
    yield form("/indicators/save", name="Two worlds", filter="severity:high")
    yield form("/indicators/look", columns="tlp")
    yield form("/indicators/act", do="judge", all="yes", filter="kind:prompt-signature tlp:red")
    yield Ask("/acts/judging/{x_feed}/")
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
