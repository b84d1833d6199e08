"""Rows of the REST API, and of what a machine asks beside it."""

from __future__ import annotations

from indicators.stix import vocabulary
from tests.surfaces.matrix.row import ABSENT, API, Row

ROWS: dict[str, Row] = {
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
    # With more than a publisher's key they are asked in tests/indicators/reports/test_scheduling.py.
    "report-schedules": Row(API + "report-schedules", "publish"),
    "report-schedule": Row(
        API + "report-schedules/{schedule}",
        "owner",
        absent=API + f"report-schedules/{ABSENT}",
        also=("delete",),
    ),
    "recipients": Row(API + "recipients", "key"),
    "registered-terms": Row(API + "operator/partners/aster/terms", "nobody", method="post"),
    "registered-terms-end": Row(API + f"operator/partners/aster/terms/{ABSENT}/end", "nobody", method="post"),
    "api-reports": Row(API + "reports", "key"),
    "api-report": Row(API + "reports/{received}", "owner", absent=API + f"reports/{ABSENT}"),
    "api-report-package": Row(API + "reports/{received}/package", "owner", absent=API + f"reports/{ABSENT}/package"),
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
            ("-accounts", "/accounts", "get"),
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
    "waiting-batches": Row(API + "waiting", "publish"),
    "excerpts": Row(API + "excerpts", "publish"),
    "excerpt": Row(API + "excerpts/{excerpt}", "owner", method="delete", absent=API + f"excerpts/{ABSENT}"),
    # An admin's: with such keys it is asked in tests/indicators/connections/test_keeping.py.
    "connections": Row(API + "connections", "admin"),
    "connection": Row(API + f"connections/{ABSENT}", "admin"),
    "connection-run": Row(API + f"connections/{ABSENT}/run", "admin", method="post"),
    "detectors": Row(API + "detectors", "key"),
    "detector": Row(
        API + "detectors/{detector}", "owner", method="patch", absent=API + "detectors/d-00000000", also=("delete",)
    ),
    "disarmed": Row(API + "disarmed", "publish"),
    "appeals": Row(API + "appeals", "publish"),
    # Whose appeals and tickets are told how, and that an absent one is 404 with a right body: opinions/test_appealing.py.
    "appeal": Row(API + f"appeals/{ABSENT}", "nobody"),
    "appeal-statistics": Row(API + "appeals/statistics", "publish"),
    "tickets": Row(API + "appeals/tickets", "publish"),
    "ticket": Row(API + f"appeals/tickets/{ABSENT}", "publish", method="post"),
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
    "service-hosts": Row(API + "service-hosts", "key"),
    "service-host": Row(API + f"service-hosts/{ABSENT}", "nobody", method="delete"),
    "service-host-check": Row(API + f"service-hosts/{ABSENT}/check", "nobody", method="post"),
    "service-host-confirm": Row(API + f"service-hosts/{ABSENT}/confirm", "nobody", method="post"),
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
    "list-addresses": Row(API + "feeds/{feed}/addresses", "owner", absent=API + f"feeds/{ABSENT}/addresses"),
    "list-address": Row(API + "feeds/{feed}/addresses/aaaaaaaa", "nobody", method="delete"),
    "list": Row(API + "lists/exl_none", "nobody"),
    "feed-preview": Row(API + "feeds/preview", "key"),
    "feeds": Row(API + "feeds", "key"),
    "feed": Row(
        API + "feeds/{feed}", "owner", absent=API + f"feeds/{ABSENT}", also=("delete", "patch"), body={"name": "x"}
    ),
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
    "lookup": Row(API + "objects/lookup", "key", method="post"),
    "audience-preview": Row(API + "audience", "publish", method="post"),
    "object-readers": Row(
        API + "objects/{object}/readers", "sharer", absent=API + f"objects/indicator--{ABSENT}/readers"
    ),
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
