"""One rule, every route: each route of the URLconf x everybody x a visible and an invisible object.

The routes come from the URLconf itself; a route that has no row here fails the build. A row says how to ask, who
is let in, and whether objects show. What is asserted is the same for all:

- nobody's answer holds anything of an object that it may not see: no id, no title, no value;
- whoever may see an object finds it where the row says that objects show;
- what belongs to one partner (batches, feeds, subscriptions, …) is to every other partner as if it were not there;
- absent and invisible are the same answer.
"""

from __future__ import annotations

import io
import json
import re
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client, override_settings
from django.urls import get_resolver

from exchange import clock, health
from indicators import detectors
from indicators.benign import service_hosts
from indicators.ending import recalling
from indicators.models import Delivery, Ending, Excerpt, Holding, Subscription
from indicators.publishing import awaiting, quarantine
from indicators.publishing.reach import Reach
from indicators.reports import reporting
from indicators.stix import making, parsing, tlp, vocabulary
from indicators.telling import subscribing
from partners import keys
from partners.groups import membership
from partners.identity import inviting
from partners.keys import auth
from partners.log import transparency
from partners.models import AuditRecord
from partners.scopes import Role, Scope
from tests import build, casting, keyservice

pytestmark = pytest.mark.django_db

EVERYBODY = ("anonymous", "aster", "borealis", "cygnus", "dorado", "operator")
PARTNERS = EVERYBODY[1:]
ABSENT = str(uuid.uuid4())
EVERYTHING = "taxii2/exchange/collections/{everything}/"


@dataclass(frozen=True)
class Row:
    """How a route is asked.

    `who` is let in: "all", "key" (anybody with an API key), "person" (anybody signed in) or "owner" (the partner
    whose thing it is). `shows` is whether objects that the caller may see must show.
    """

    path: str
    who: str
    shows: bool = False
    method: str = "get"
    absent: str = ""  # the same path for a thing that is not there
    also: tuple[str, ...] = ()  # methods that change something, each refused to everybody but the owner
    body: dict = field(default_factory=dict)
    accept: str = ""
    only: tuple[str, ...] = ()  # of the objects that a caller may see, those that this route shows; none: all of them


API = "/api/v1/"
TAXII = "/taxii2/exchange/"

MATRIX: dict[str, Row] = {
    "livez": Row("/livez", "all"),
    "readyz": Row("/readyz", "all"),
    "metrics": Row("/metrics", "all"),
    "extension-schema": Row(f"/schemas/{vocabulary.EXTENSION_ID}.json", "all"),
    "schema": Row(API + "schema", "all"),
    "api-index": Row(API, "all"),
    "log-head": Row(API + "log/head", "key"),
    "log-keys": Row(API + "log/keys", "key"),
    "log-consistency": Row(API + "log/proof/consistency?first={head}&second={head}", "key"),
    "log-inclusion": Row(
        API + "log/proof/inclusion?leaf={leaf}",
        "owner",
        absent=API + f"log/proof/inclusion?leaf={'ab' * 32}",
    ),
    "log-records": Row(API + "log/records", "key"),
    "log-export": Row(API + "log/export", "key"),
    "log": Row("/organisation/log/", "person"),
    "log-export-file": Row("/organisation/log/export.jsonl", "person"),
    "log-pdf": Row("/organisation/log/report.pdf", "person"),
    "api-reports": Row(API + "reports", "key"),
    "api-report": Row(API + "reports/{received}", "owner", absent=API + f"reports/{ABSENT}"),
    "api-report-package": Row(API + "reports/{received}/package", "owner", absent=API + f"reports/{ABSENT}/package"),
    "reports": Row("/organisation/reports/", "person"),
    "report": Row("/organisation/reports/{prepared}/", "owner", absent=f"/organisation/reports/{ABSENT}/"),
    "report-package": Row(
        "/organisation/reports/{received}/package.zip", "owner", absent=f"/organisation/reports/{ABSENT}/package.zip"
    ),
    "me": Row(API + "me", "key"),
    "api-keys": Row(API + "keys", "key"),
    "api-key": Row(API + "keys/{key}", "owner", absent=API + "keys/aaaaaaaa", also=("delete",)),
    "rotate-api-key": Row(API + "keys/{key}/rotate", "owner", method="post", absent=API + "keys/aaaaaaaa/rotate"),
    "partners": Row(API + "partners", "key"),
    "partner": Row(API + "partner", "key"),
    "groups": Row(API + "groups", "key"),
    "group": Row(API + "groups/ring", "sees", absent=API + "groups/none"),
    **{
        f"group-{verb}": Row(API + f"groups/ring/{verb}", "admin", method="post", absent=API + f"groups/none/{verb}")
        for verb in ("invite", "remove", "renew", "leave", "dissolve")
    },
    # These need scopes that no key of the cast has; tests/partners/api/test_tokens.py asks with them.
    **{
        f"evidence{name}": Row(API + f"groups/ring/evidence{path}", "nobody", method=method)
        for name, path, method in (("", "", "get"), ("-asked", "/asked", "get"), ("-finish", "/finish?round=1", "post"))
    },
    "campaigns": Row(API + "campaigns", "key"),
    **{
        f"campaign{name}": Row(API + f"campaigns/{ABSENT}{path}", "nobody", method=method)
        for name, path, method in (
            ("", "", "get"),
            ("-graph", "/graph", "get"),
            ("-history", "/history", "get"),
            ("-members", "/members", "get"),
            ("-opinions", "/opinions", "get"),
        )
    },
    "campaign-statement": Row(API + f"campaigns/{ABSENT}/statement", "nobody", method="put"),
    "prevalence": Row(API + "groups/ring/prevalence", "nobody", method="post"),
    "sums": Row(API + "groups/ring/sums", "nobody"),
    "group-keys": Row(API + "groups/ring/keys", "nobody"),
    "token-evaluate": Row(API + "tokens/evaluate", "nobody", method="post"),
    "token-keys": Row(API + "tokens/keys", "key"),
    "proposals": Row(API + "proposals", "key"),
    **{
        f"proposal-{verb}": Row(
            API + f"proposals/{{proposal}}/{verb}", "admin", method="post", absent=API + f"proposals/{ABSENT}/{verb}"
        )
        for verb in ("agree", "decline")
    },
    "held-batches": Row(API + "held", "publish"),
    "excerpts": Row(API + "excerpts", "publish"),
    "excerpt": Row(API + "excerpts/{excerpt}", "owner", method="delete", absent=API + f"excerpts/{ABSENT}"),
    "portal-excerpt-act": Row(
        "/organisation/excerpts/{excerpt}/act",
        "owner",
        method="post",
        absent=f"/organisation/excerpts/{ABSENT}/act",
        body={"do": "decline"},
    ),
    "indicator-excerpt": Row(
        "/indicators/{object}/excerpt", "owner", method="post", absent=f"/indicators/indicator--{ABSENT}/excerpt"
    ),
    "detectors": Row(API + "detectors", "key"),
    "detector": Row(
        API + "detectors/{detector}", "owner", method="patch", absent=API + "detectors/d-00000000", also=("delete",)
    ),
    "portal-detectors": Row("/organisation/detectors/", "person"),
    "portal-detector-act": Row(
        "/organisation/detectors/{detector}/act",
        "owner",
        method="post",
        absent="/organisation/detectors/d-00000000/act",
        body={"do": "retire"},
    ),
    "disarmed": Row(API + "disarmed", "publish"),
    "appeals": Row(API + "appeals", "publish"),
    # Whose appeals and tickets are told how, and that an absent one is 404 with a right body: opinions/test_appealing.py.
    "appeal": Row(API + f"appeals/{ABSENT}", "nobody"),
    "appeal-statistics": Row(API + "appeals/statistics", "publish"),
    "tickets": Row(API + "appeals/tickets", "publish"),
    "ticket": Row(API + f"appeals/tickets/{ABSENT}", "publish", method="post"),
    "group-counsel": Row(
        "/organisation/groups/ring/counsel", "ring or operator", absent="/organisation/groups/none/counsel"
    ),
    "docs": Row("/docs", "person"),
    "chapter": Row("/docs/start", "person"),
    # Whose opinions there are: tests/indicators/portal/test_judgement.py.
    "portal-judgement": Row("/judgement/", "person"),
    "portal-usefulness": Row("/judgement/usefulness/", "publish"),
    "portal-appeals": Row("/organisation/appeals/", "person"),
    "portal-appeal-act": Row(f"/organisation/appeals/{ABSENT}/act", "publish", method="post"),
    "portal-recalls": Row("/organisation/recalls/", "publish"),
    "portal-recall": Row("/organisation/recalls/{recall}/", "owner", absent=f"/organisation/recalls/{ABSENT}/"),
    "portal-recall-act": Row(
        "/organisation/recalls/{recall}/act",
        "owner",
        method="post",
        absent=f"/organisation/recalls/{ABSENT}/act",
        body={"do": "undo"},
    ),
    "usefulness": Row(API + "usefulness", "publish"),
    "object-usefulness": Row(
        API + "objects/{object}/usefulness", "owner", absent=API + f"objects/indicator--{ABSENT}/usefulness"
    ),
    "recalls": Row(API + "recalls", "publish"),
    "recall": Row(API + "recalls/{recall}", "owner", absent=API + f"recalls/{ABSENT}"),
    **{
        f"{verb}-recall": Row(
            API + f"recalls/{{recall}}/{verb}", "owner", method="post", absent=API + f"recalls/{ABSENT}/{verb}"
        )
        for verb in ("carry-out", "undo", "finish")
    },
    # Whose ends come back: tests/indicators/ending/test_disarming.py.
    "disarmed-undo": Row(API + "disarmed/undo", "publish", method="post"),
    "portal-disarmed-undo": Row("/organisation/disarmed/undo", "publish", method="post"),
    "portal-disarmed-act": Row(
        "/organisation/disarmed/{ending}/act",
        "owner",
        method="post",
        absent=f"/organisation/disarmed/{ABSENT}/act",
        body={"do": "undo"},
    ),
    "service-hosts": Row(API + "service-hosts", "key"),
    "service-host": Row(API + f"service-hosts/{ABSENT}", "nobody", method="delete"),
    "service-host-check": Row(API + f"service-hosts/{ABSENT}/check", "nobody", method="post"),
    "service-host-confirm": Row(API + f"service-hosts/{ABSENT}/confirm", "nobody", method="post"),
    "hosts": Row("/organisation/hosts/", "person"),
    "host-check": Row(
        "/organisation/hosts/{host}/check", "owner", method="post", absent=f"/organisation/hosts/{ABSENT}/check"
    ),
    "host-confirm": Row(f"/organisation/hosts/{ABSENT}/confirm", "nobody", method="post"),
    "host-end": Row(
        "/organisation/hosts/{host}/end", "owner or operator", method="post", absent=f"/organisation/hosts/{ABSENT}/end"
    ),
    "batches": Row(API + "batches", "publish", method="post"),
    "batch": Row(API + "batches/{batch}", "owner", absent=API + f"batches/{ABSENT}"),
    "blocklist": Row(API + "blocklists/all?format=jsonl", "key", shows=True),
    "bundle": Row(API + "bundle", "key", shows=True),
    "export": Row(API + "export?format=csv", "key", shows=True),
    "changes": Row(API + "changes", "key", shows=True),
    "delta": Row(API + "feeds/all/delta", "key", shows=True),
    "snapshot": Row(API + "feeds/all/snapshot", "key"),
    "ranges": Row(API + "feeds/all/ranges", "key"),
    "range": Row(API + f"feeds/all/ranges/{'a' * 32}/0", "key"),
    "acks": Row(API + f"feeds/{ABSENT}/acks", "nobody", method="post"),
    "events": Row(API + "events", "key"),
    "delivery": Row(API + "deliveries/{delivery}", "owner", absent=API + f"deliveries/{ABSENT}"),
    "redeliver": Row(
        API + "deliveries/{delivery}/redeliver", "owner", method="post", absent=API + f"deliveries/{ABSENT}/redeliver"
    ),
    "feed-preview": Row(API + "feeds/preview", "key"),
    "feeds": Row(API + "feeds", "key"),
    "feed": Row(API + "feeds/{feed}", "owner", absent=API + f"feeds/{ABSENT}", also=("delete",)),
    "inbox": Row(API + "inbox", "key"),
    "matches": Row(API + "matches", "key"),
    "objects": Row(API + "objects", "key", shows=True),
    "object": Row(API + "objects/{object}", "sees", shows=True, absent=API + f"objects/indicator--{ABSENT}"),
    "opinions": Row(API + "objects/{object}/opinions", "sees", absent=API + f"objects/indicator--{ABSENT}/opinions"),
    "sightings": Row(API + "objects/{object}/sightings", "sees", absent=API + f"objects/indicator--{ABSENT}/sightings"),
    # Nobody's dissent waits: tests/indicators/opinions/test_judging.py has one that does.
    "opinion-confirm": Row(API + "objects/{object}/opinions/confirm", "nobody", method="post"),
    "object-audience": Row(
        API + "objects/{object}/audience",
        "owner",
        method="put",
        absent=API + f"objects/indicator--{ABSENT}/audience",
    ),
    "object-withdraw": Row(
        API + "objects/{object}/withdraw",
        "owner",
        method="post",
        absent=API + f"objects/indicator--{ABSENT}/withdraw",
    ),
    # Whose ids are answered how: tests/indicators/api/test_ending.py.
    "objects-revoke": Row(API + "objects/revoke", "publish", method="post"),
    "objects-withdraw": Row(API + "objects/withdraw", "publish", method="post"),
    "quarantine": Row(API + "quarantine", "publish"),
    "quarantined": Row(
        API + "quarantine/{quarantined}", "owner", absent=API + f"quarantine/{ABSENT}", also=("delete",)
    ),
    "portal-quarantine": Row("/organisation/quarantine/", "publish"),
    "portal-quarantined": Row(
        "/organisation/quarantine/{quarantined}/", "owner", absent=f"/organisation/quarantine/{ABSENT}/"
    ),
    "portal-quarantined-delete": Row(
        "/organisation/quarantine/{quarantined}/delete",
        "owner",
        method="post",
        absent=f"/organisation/quarantine/{ABSENT}/delete",
    ),
    "subscriptions": Row(API + "subscriptions", "key"),
    "subscription": Row(
        API + "subscriptions/{subscription}",
        "owner",
        absent=API + f"subscriptions/{ABSENT}",
        also=("patch", "delete"),
        body={"state": "paused"},
    ),
    "dead-letters": Row(
        API + "subscriptions/{subscription}/dead-letters", "owner", absent=API + f"subscriptions/{ABSENT}/dead-letters"
    ),
    "deliveries": Row(
        API + "subscriptions/{subscription}/deliveries", "owner", absent=API + f"subscriptions/{ABSENT}/deliveries"
    ),
    "replay": Row(
        API + "subscriptions/{subscription}/replay",
        "owner",
        method="post",
        body={},
        absent=API + f"subscriptions/{ABSENT}/replay",
    ),
    "rotate-secret": Row(
        API + "subscriptions/{subscription}/secret",
        "owner",
        method="post",
        absent=API + f"subscriptions/{ABSENT}/secret",
    ),
    "test-subscription": Row(
        API + "subscriptions/{subscription}/test",
        "owner",
        method="post",
        absent=API + f"subscriptions/{ABSENT}/test",
    ),
    "taxii-discovery": Row("/taxii2/", "key"),
    "taxii-discovery-without-slash": Row("/taxii2", "key"),
    "taxii-api-root": Row(TAXII, "key"),
    "taxii-status": Row(TAXII + "status/{batch}/", "owner", absent=TAXII + f"status/{ABSENT}/"),
    "taxii-collections": Row(TAXII + "collections/", "key"),
    "taxii-collection": Row(TAXII + "collections/{own}/", "owner", absent=TAXII + f"collections/{ABSENT}/"),
    "taxii-manifest": Row(TAXII + "collections/{everything}/manifest/", "key", shows=True),
    "lookup": Row(API + "objects/lookup", "key", method="post"),
    "taxii-objects": Row(TAXII + "collections/{everything}/objects/", "key", shows=True),
    "taxii-object": Row(
        TAXII + "collections/{everything}/objects/{object}/",
        "sees",
        shows=True,
        absent=TAXII + f"collections/{{everything}}/objects/indicator--{ABSENT}/",
    ),
    "taxii-versions": Row(
        TAXII + "collections/{everything}/objects/{object}/versions/",
        "sees",
        absent=TAXII + f"collections/{{everything}}/objects/indicator--{ABSENT}/versions/",
    ),
    "taxii-without-slash": Row(TAXII + "collections", "key"),
    "organisation": Row("/organisation/", "person"),
    "organisation-settings": Row("/organisation/settings", "person", method="post"),
    "organisation-leaving": Row("/organisation/leaving", "person", method="post"),
    "groups-page": Row("/organisation/groups/", "person"),
    "group-page": Row("/organisation/groups/ring", "ring or operator", absent="/organisation/groups/none"),
    "group-act": Row(
        "/organisation/groups/ring/act", "ring or operator", method="post", absent="/organisation/groups/none/act"
    ),
    "proposal-act": Row(
        "/organisation/proposals/{proposal}/act",
        "ring or operator",
        method="post",
        absent=f"/organisation/proposals/{ABSENT}/act",
    ),
    "held": Row("/organisation/held/", "publish"),
    "sharing": Row(
        "/organisation/sharing/?object={object}", "sharer", absent=f"/organisation/sharing/?object=indicator--{ABSENT}"
    ),
    "audience-preview": Row(API + "audience", "publish", method="post"),
    "object-readers": Row(
        API + "objects/{object}/readers", "sharer", absent=API + f"objects/indicator--{ABSENT}/readers"
    ),
    "held-act": Row("/organisation/held/{held}/act", "owner", method="post", absent=f"/organisation/held/{ABSENT}/act"),
    "operator-partners": Row("/operator/partners", "operator"),
    "operator-partner-act": Row(
        "/operator/partners/aster/act", "operator", method="post", absent="/operator/partners/none/act"
    ),
    "operator-groups": Row("/operator/groups", "operator"),
    "operator-group-act": Row(
        "/operator/groups/ring/act", "operator", method="post", absent="/operator/groups/none/act"
    ),
    "account": Row("/account/", "person"),
    "digest": Row("/account/digest", "person"),
    "digest-end": Row("/digest/end/x", "nobody"),
    "keys": Row("/organisation/keys/", "person"),
    "key-act": Row("/organisation/keys/{key}/act", "owner", method="post", absent="/organisation/keys/aaaaaaaa/act"),
    "theme": Row("/account/theme/", "all", method="post"),
    "start": Row("/", "person"),
    "recent": Row("/recent", "person"),
    "pulse": Row("/pulse", "person"),
    "indicators": Row("/indicators", "person", shows=True),
    "portal-find": Row("/find", "person", method="post"),
    "indicators-new": Row("/indicators/new", "person", method="post"),
    "indicators-tallies": Row("/indicators/tallies", "person"),
    "indicators-save": Row("/indicators/save", "person", method="post"),
    "indicators-look": Row("/indicators/look", "person", method="post"),
    "indicators-bundle": Row("/indicators/bundle?show=objects", "person", shows=True),
    "indicator": Row("/indicators/{object}", "sees", shows=True, absent=f"/indicators/indicator--{ABSENT}"),
    "indicator-raw": Row("/indicators/{object}/raw", "sees", shows=True, absent=f"/indicators/indicator--{ABSENT}/raw"),
    "indicator-judge": Row(
        "/indicators/{object}/judge", "sees", method="post", absent=f"/indicators/indicator--{ABSENT}/judge"
    ),
    "indicator-end": Row("/indicators/{object}/end", "owner", absent=f"/indicators/indicator--{ABSENT}/end"),
    "indicator-audience": Row(
        "/indicators/{object}/audience", "owner", absent=f"/indicators/indicator--{ABSENT}/audience"
    ),
    # Whose batch is proved how: tests/indicators/portal/test_acts.py.
    "indicator-proof": Row("/indicators/{object}/proof", "owner"),
    "indicators-act": Row("/indicators/act", "person", method="post"),
    "act": Row("/acts/{recall}/", "owner", absent=f"/acts/{ABSENT}/"),
    # Kept with the session of whoever began it: tests/indicators/portal/test_acts.py.
    "judging": Row("/acts/judging/none/", "nobody"),
    "indicator-withdraw": Row(
        "/indicators/{object}/withdraw",
        "owner",
        method="post",
        absent=f"/indicators/indicator--{ABSENT}/withdraw",
    ),
    "portal-matches": Row("/matches", "person"),
    "portal-paste": Row("/paste", "person"),
    "portal-publish": Row("/publish", "publish"),
    "portal-ask-drafts": Row("/ask/drafts", "publish", method="post", body={"rows": []}),
    # Of whose partner there is one: tests/indicators/portal/test_publish.py.
    "portal-draft": Row(f"/publish/{ABSENT}", "nobody"),
    "portal-draft-send": Row(f"/publish/{ABSENT}/send", "nobody", method="post"),
    "portal-ask-values": Row("/ask/values", "person", method="post"),
    "portal-token-keys": Row("/ask/tokens/keys", "person"),
    "portal-token-evaluate": Row("/ask/tokens/evaluate", "person", method="post"),
    # Of whose group there is one: tests/indicators/portal/test_campaigns.py.
    "portal-campaigns": Row("/campaigns", "person"),
    **{
        f"portal-campaign{name}": Row(f"/campaigns/{ABSENT}{path}", "nobody", method=method)
        for name, path, method in (
            ("", "", "get"),
            ("-json", "/picture.json", "get"),
            ("-svg", "/picture.svg", "get"),
            ("-say", "/say", "post"),
            ("-alias", "/alias", "post"),
        )
    },
    "portal-subscriptions": Row("/subscriptions", "person"),
    "portal-feed-new": Row("/subscriptions/new", "person"),
    "portal-feed-all": Row("/subscriptions/feeds/all", "person"),
    "portal-feed": Row("/subscriptions/feeds/{feed}", "owner", absent=f"/subscriptions/feeds/{ABSENT}"),
    "portal-deliveries": Row("/subscriptions/deliveries", "person"),
    "portal-send-again": Row(
        "/subscriptions/deliveries/{delivery}/again",
        "owner",
        method="post",
        absent=f"/subscriptions/deliveries/{ABSENT}/again",
    ),
    "portal-subscription-act": Row(
        "/subscriptions/{subscription}/act", "owner", method="post", absent=f"/subscriptions/{ABSENT}/act"
    ),
    "account_login": Row("/account/login/", "all"),
    "account_logout": Row("/account/logout/", "person"),
    "account_reauthenticate": Row("/account/reauthenticate/", "person"),
    "account_inactive": Row("/account/inactive/", "all"),
    "mfa_login_webauthn": Row("/account/login/passkey/", "person"),  # and back to the sign-in page
    "mfa_authenticate": Row("/account/login/second-factor/", "person"),  # and on, outside a sign-in
    "mfa_reauthenticate": Row("/account/reauthenticate/code/", "person"),
    "mfa_reauthenticate_webauthn": Row("/account/reauthenticate/passkey/", "person"),
    "invitation": Row("/account/invitation/?token={token}", "all", absent="/account/invitation/?token=x"),
    "sign-on": Row("/account/sign-on/{sign_on}/", "all", absent=f"/account/sign-on/{ABSENT}/"),
    "sign-on-waiting": Row("/account/sign-on/{sign_on}/waiting/", "all"),
    "sign-on-callback": Row("/account/sign-on/{sign_on}/callback/", "all"),
    "factors": Row("/account/factors/", "person"),
    "passkey-options": Row("/account/factors/passkey-options/", "person", method="post"),
    "password": Row("/account/password/", "person"),
    "password-reset": Row("/account/password/forgotten/", "all"),
    "password-reset-link": Row("/account/password/link/?token=x", "nobody"),
    "end-sessions": Row("/account/sessions/", "person", method="post"),
    "unlink": Row("/account/unlink/", "person", method="post"),
    "people": Row("/organisation/people/", "person"),
    "person": Row("/organisation/people/{user}/", "owner", method="post", absent="/organisation/people/0/"),
    "people-sign-on": Row("/organisation/people/sign-on/", "person"),
    "invite-partner": Row("/operator/invite/", "operator"),
    # These need the scope `admin`, which no key of the cast has; tests/partners/api/test_people.py asks with one.
    "people-api": Row(API + "people", "nobody"),
    "person-api": Row(API + "people/{user}", "nobody"),
    "api-digest": Row(API + "people/{user}/digest", "nobody"),
    "invitations-api": Row(API + "invitations", "nobody"),
    "invitation-api": Row(API + f"invitations/{ABSENT}", "nobody", method="delete"),
    # These, too; tests/partners/api/test_operator.py asks with one of each partner's.
    "registered-partners": Row(API + "operator/partners", "nobody"),
    **{
        f"registered-{verb}": Row(API + f"operator/partners/aster/{verb}", "nobody", method="post")
        for verb in ("invite", "suspend", "reinstate")
    },
}

_OBJECT = "objects/{object}/"


def a_kind_of_collection(name: str, *, who: str, only: tuple[str, ...]) -> dict[str, Row]:
    """Every endpoint of one kind of collection, beside that of everything above."""
    path, absent = TAXII + f"collections/{{{name}}}/", TAXII + f"collections/{ABSENT}/"
    rows = {
        "taxii-collection": Row(path, who, absent=absent),
        "taxii-manifest": Row(path + "manifest/", who, shows=True, absent=absent + "manifest/"),
        "taxii-objects": Row(path + "objects/", who, shows=True, absent=absent + "objects/"),
        "taxii-object": Row(path + _OBJECT, who, shows=True, absent=absent + _OBJECT),
        "taxii-versions": Row(path + _OBJECT + "versions/", who, absent=absent + _OBJECT + "versions/"),
        "taxii-without-slash": Row(path + "objects", who, shows=True, absent=absent + "objects"),
    }
    return {f"{route} of {name}": replace(row, only=only) for route, row in rows.items()}


#: Rows beside the first of their route: the collections of a group and of a feed, read and written.
MORE: dict[str, Row] = {
    **a_kind_of_collection("group", who="sees", only=("ring",)),
    **a_kind_of_collection("own-feed", who="owner", only=("everyone", "ring", "alone", "cygnus")),
    "taxii-objects written of group": Row(
        TAXII + "collections/{group}/objects/", "sees", method="post", absent=TAXII + f"collections/{ABSENT}/objects/"
    ),
    "taxii-objects written of own-feed": Row(TAXII + "collections/{own-feed}/objects/", "nobody", method="post"),
}
ROWS = MATRIX | MORE


def routes():
    def walk(patterns):
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns)
            else:
                yield pattern.name

    return list(walk(get_resolver().url_patterns))


def test_every_route_is_in_the_matrix_and_no_other():
    names = routes()
    assert None not in names, "a route without a name"
    assert sorted(names) == sorted(MATRIX), "a new route needs a row; an old row a route"


@pytest.fixture(scope="module")
def key_service(django_db_setup):
    with pytest.MonkeyPatch.context() as patched, override_settings():
        store = keyservice.served(patched, settings)
        yield
        store.close()


@dataclass
class Scene:
    """Objects of one id space that different partners may see, and Aster's own things."""

    cast: build.Cast
    objects: dict[str, dict]
    sees: dict[str, set[str]]
    things: dict[str, str]
    people: dict[str, object]
    admin_keys: dict[str, str]
    sessions: dict[str, object] = field(default_factory=dict)

    def ask(self, who: str, path: str, *, method: str = "get", body: dict | None = None):
        client = Client(raise_request_exception=False)
        headers = {}
        if path.startswith(("/api/", "/taxii2")):
            if who != "anonymous":
                admin = path.startswith((API + "keys", API + "log/"))
                held = self.admin_keys if admin else self.cast.keys
                headers = build.bearer(held[who])
        elif who != "anonymous":
            client.cookies.load(self.sessions.get(who, {}))
            if not client.session.get("_auth_user_id"):  # for the first time, or signed out by what was asked
                build.sign_in(client, self.people[who])
                self.sessions[who] = {name: cookie.value for name, cookie in client.cookies.items()}
        if method == "get":
            return client.get(path, headers=headers)
        return getattr(client, method)(path, json.dumps(body or {}), content_type="application/json", headers=headers)

    def path(self, template: str, thing: str = "ring") -> str:
        from indicators.taxii import collections

        return template.format(object=self.objects[thing]["id"], everything=collections.EVERYTHING, **self.things)


@pytest.fixture
def scene(key_service) -> Scene:
    return _scene()


@casting.once
def _scene() -> Scene:
    cast = build.the_cast()
    health.beat_seen()
    aster = cast.viewer("aster")
    value = uuid.uuid4().hex * 2
    objects = {
        name: making.account_pattern(tlp_word=word, name=f"title-{name}-{uuid.uuid4().hex}", carrier=carrier)
        for name, word, carrier in (
            ("everyone", "green", None),
            ("ring", "amber", {"token": making.token(value)}),
            ("alone", "red", None),
        )
    }
    answer = build.publish(aster, *objects.values())
    # The same value from Cygnus, whom only Aster... nobody else sees: a match that must not show to the ring.
    theirs = making.account_pattern(name=f"title-cygnus-{uuid.uuid4().hex}", carrier={"token": making.token(value)})
    build.publish(cast.viewer("cygnus"), theirs | {"object_marking_refs": [tlp.ID_OF["red"]]}, partners=("aster",))
    objects["cygnus"] = theirs
    feed = subscribing.save_feed(aster, name="secret feed", filter_json={"kinds": ["account-pattern"]})
    subscription, _ = subscribing.subscribe(aster, url="https://receiver.example/hook", feed_id=feed.pk)
    delivery = Delivery.unrestricted.create(
        partner_id=aster.partner_id, subscription=subscription, first_seq=0, last_seq=1, changes=1, state="dead"
    )
    held = awaiting.keep(
        parsing.read_batch(json.dumps(objects["alone"]).encode()),
        by=aster,
        batch_id=answer.batch_id,
        reach=Reach(),
        why="x",
    )
    says_red = making.account_pattern(name=f"red-{uuid.uuid4().hex}", labels=["TLP:RED"])
    build.publish(aster, says_red, groups=("ring",))
    (quarantined,) = quarantine.page(aster, limit=2)
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    proposal = membership.dissolve(admin, cast.ring)
    spare = subscribing.save_feed(aster, name="spare feed", filter_json={})
    people = {name: build.a_user(getattr(cast, name)) for name in PARTNERS}
    admin = auth.viewer_of_user(people["aster"])
    _, link = inviting.invite(admin, email="new@example.org", role=Role.ANALYST)
    received = a_package(cast.borealis, recipient="aster")
    reporting.release(a_person(cast.borealis, Role.COUNSEL), received.pk)
    prepared = a_package(cast.aster, recipient="borealis")
    head = transparency.seal(every=timedelta(0))
    return Scene(
        cast,
        objects,
        {
            "everyone": set(PARTNERS),
            "ring": {"aster", "borealis"},
            "alone": {"aster"},
            "cygnus": {"aster", "cygnus"},
        },
        {
            "batch": str(answer.batch_id),
            "feed": str(spare.pk),
            "subscription": str(subscription.pk),
            "delivery": str(delivery.pk),
            "held": str(held.pk),
            "excerpt": str(an_excerpt(cast.aster, objects["ring"]["id"]).pk),
            "detector": detectors.register(aster, name="secret detector").code,
            "ending": str(an_ending(cast.aster).pk),
            "recall": str(recalling.prepare(aster, recalling.Wanted(detector="d-00000000")).pk),
            "host": str(service_hosts.add(admin, ["api.aster.example"])[0].pk),
            "quarantined": str(quarantined.entry),
            "proposal": str(proposal.pk),
            "own": str(cast.aster.collection_id),
            "group": str(cast.ring.collection_id),
            "own-feed": str(feed.pk),
            "match": "1",
            "key": keys.public_id_of(build.a_key(cast.aster)),
            "token": link.partition("token=")[2],
            "sign_on": str(build.a_sign_on(admin).pk),
            "user": str(build.a_user(cast.aster).pk),
            "received": str(received.pk),
            "prepared": str(prepared.pk),
            "head": str(head.size),
            "leaf": bytes(AuditRecord.objects.filter(partner=cast.aster).order_by("pk")[0].leaf_hash).hex(),
        },
        people,
        {name: build.a_key(getattr(cast, name), Scope.ADMIN, Scope.READ) for name in PARTNERS},
    )


def an_excerpt(partner, stix_id) -> Excerpt:
    return Excerpt.unrestricted.create(
        partner=partner,
        holding=Holding.unrestricted.get(stix_id=stix_id, publisher=partner),
        excerpt_id="x-exchange-excerpt--1",
        sha256=b"",
        text="secret text",
        actor="key:x",
        valid_until=clock.now() + timedelta(days=1),
    )


def an_ending(partner) -> Ending:
    return Ending.unrestricted.create(
        partner=partner,
        actor="key:x",
        verb=Ending.Verb.WITHDRAW,
        objects_ended=1,
        state=Ending.State.DISARMED,
        until=clock.now() + timedelta(hours=1),
    )


def a_person(partner, role):
    return auth.viewer_of_user(build.a_user(partner, role=role))


def a_package(partner, *, recipient: str):
    """A report package with a root that everybody may see."""
    root = {
        "type": "campaign",
        "spec_version": "2.1",
        "id": f"campaign--{uuid.uuid4()}",
        "created": "2026-11-01T00:00:00.000Z",
        "modified": "2026-11-01T00:00:00.000Z",
        "name": "A campaign",
    }
    build.publish(build.viewer_of(partner), root, everyone=True)
    return reporting.prepare(a_person(partner, Role.ADMIN), recipient=recipient, root=root["id"])


def content(response) -> str:
    raw = b"".join(response.streaming_content) if response.streaming else response.content
    if response.headers.get("Content-Type") == "application/zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as files:
            raw = b"".join(files.read(name) for name in files.namelist() if name.endswith(".json"))
    return raw.decode("latin-1" if raw.startswith(b"%PDF-") else "utf-8")


def marks(stix: dict) -> list[str]:
    """What would betray an object: its id, its title, and the value that it matches on."""
    return [stix["id"], stix["name"], *re.findall(r"[0-9a-f]{64}", stix["pattern"])[:1]]


def without_ids(text: str) -> str:
    text = re.sub(r'(?<=name="csrfmiddlewaretoken" value=")[^"]+', "token", text)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=keys/)[a-z2-7]{8}(?=/)|(?<=people/)[0-9]+", "id", text)


def let_in(row: Row, who: str) -> bool:
    publishes = who in ("aster", "borealis", "cygnus", "operator")
    allowed: dict[str, Callable[[], bool]] = {
        "all": lambda: True,
        "nobody": lambda: False,
        "key": lambda: who != "anonymous",
        "person": lambda: who != "anonymous",
        "publish": lambda: publishes,
        "owner": lambda: who == "aster",
        "sharer": lambda: who == "aster",
        "sees": lambda: who in ("aster", "borealis"),
        "owner or operator": lambda: who in ("aster", "operator"),
        "ring or operator": lambda: who in ("aster", "borealis", "operator"),
        "operator": lambda: who == "operator",
        "admin": lambda: False,  # nobody here has a key with the scope; tests/partners/api asks with such keys
    }
    return allowed[row.who]()


@pytest.mark.parametrize("route", sorted(ROWS))
def test_a_route_shows_each_object_to_exactly_those_who_may_see_it(scene, route):
    row = ROWS[route]
    for who in EVERYBODY:
        read = {}  # where the path names no object, reading it once more answers the same
        for name, stix in scene.objects.items():
            path = scene.path(row.path, thing=name)
            if path not in read or row.method != "get":
                response = scene.ask(who, path, method=row.method)
                read[path] = response, content(response)
            response, answer = read[path]
            assert response.status_code < 500 or route == "readyz", (who, name, answer)
            asked_by_id = "{object}" in row.path
            for other, hidden in scene.objects.items():
                if who in scene.sees[other]:
                    continue
                # What the caller itself wrote into the path may come back in an error, nothing else may.
                betrayed = [mark for mark in marks(hidden)[asked_by_id and other == name :] if mark in answer]
                assert not betrayed or (hidden["name"] not in answer and shared_value(scene, who, betrayed)), (
                    who,
                    other,
                )
            shown = who in scene.sees[name] and (not row.only or (name in row.only and let_in(row, who)))
            if row.shows and shown:
                assert stix["id"] in answer or stix["name"] in answer, (who, name)
            if row.only and not shown and not asked_by_id:
                assert stix["id"] not in answer, (who, name)
            if row.shows and asked_by_id:
                assert (response.status_code == 200) == shown, (who, name)


def shared_value(scene: Scene, who: str, betrayed: list[str]) -> bool:
    """A value that the caller knows from an object that it may see is no betrayal."""
    known = {mark for name, stix in scene.objects.items() if who in scene.sees[name] for mark in marks(stix)}
    return set(betrayed) <= known


@pytest.mark.parametrize("route", sorted(ROWS))
def test_a_route_lets_in_whom_its_row_says(scene, route):
    row = ROWS[route]
    for who in EVERYBODY:
        with transaction.atomic():  # what one does is undone before the next asks
            response = scene.ask(who, scene.path(row.path), method=row.method, body={})
            transaction.set_rollback(row.method != "get")
        refused = response.status_code in (401, 403, 404) or (
            response.status_code == 302 and "/account/login/" in response.headers["Location"]
        )
        assert refused != let_in(row, who), (who, response.status_code)


@pytest.mark.parametrize("route", sorted(name for name, row in ROWS.items() if row.absent))
def test_absent_and_invisible_are_the_same_answer(scene, route):
    row = ROWS[route]
    for who in EVERYBODY:
        if let_in(row, who):
            continue
        invisible = scene.ask(who, scene.path(row.path), method=row.method)
        absent = scene.ask(who, scene.path(row.absent), method=row.method)
        assert invisible.status_code == absent.status_code, who
        assert without_ids(content(invisible)) == without_ids(content(absent)), who
        drop = {"X-Request-ID", "Content-Length"}
        # The way back from signing in is what was asked for.
        paths = [scene.path(row.path), scene.path(row.absent)]
        first, second = (
            {k: without_ids(v.replace(path, "path")) for k, v in response.headers.items() if k not in drop}
            for response, path in zip((invisible, absent), paths, strict=True)
        )
        assert first == second, who


@pytest.mark.parametrize("route", sorted(name for name, row in ROWS.items() if row.also))
def test_nobody_changes_what_is_anothers(scene, route):
    row = ROWS[route]
    for method in row.also:
        for who in EVERYBODY:
            if who == "aster":
                continue
            response = scene.ask(who, scene.path(row.path), method=method, body=row.body)
            assert response.status_code in (401, 403, 404), (who, method)
        if row.method == "get":  # it is still there
            assert scene.ask("aster", scene.path(row.path)).status_code == 200, method
    mine = scene.cast.viewer("aster")
    assert [one.retired_at for one in detectors.listed(mine)] == [None]
    assert Subscription.objects.of(scene.cast.viewer("aster")).get().state == "active"


@pytest.mark.parametrize(
    "route", sorted(name for name, row in ROWS.items() if row.who == "owner" and row.method == "get")
)
def test_a_get_changes_nothing(scene, route):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    scene.ask("aster", scene.path(ROWS[route].path))
    with CaptureQueriesContext(connection) as queries:
        scene.ask("aster", scene.path(ROWS[route].path))
    changed = [q["sql"] for q in queries if re.match(r"\s*(INSERT|UPDATE|DELETE)", q["sql"])]
    signing_in = re.compile(r'\S+ (INTO |FROM )?"(django_session|partners_session|partners_user)"')  # what `ask` does
    assert not [sql for sql in changed if not signing_in.match(sql)]
