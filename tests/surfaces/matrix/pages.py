"""Rows of the portal's pages, and of what is done there."""

from __future__ import annotations

from tests.surfaces.matrix.row import ABSENT, Row

ROWS: dict[str, Row] = {
    "log": Row("/organisation/log/", "person"),
    "log-export-file": Row("/organisation/log/export.jsonl", "person"),
    "log-pdf": Row("/organisation/log/report.pdf", "person"),
    "reports": Row("/organisation/reports/", "person"),
    "portal-report-schedules": Row("/organisation/reports/schedules/", "person"),
    "portal-report-schedule-act": Row(
        "/organisation/reports/schedules/{schedule}/act",
        "owner",
        method="post",
        absent=f"/organisation/reports/schedules/{ABSENT}/act",
        body={"do": "pause"},
    ),
    "report": Row("/organisation/reports/{prepared}/", "owner", absent=f"/organisation/reports/{ABSENT}/"),
    "report-package": Row(
        "/organisation/reports/{received}/package.zip", "owner", absent=f"/organisation/reports/{ABSENT}/package.zip"
    ),
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
    "portal-connections": Row("/organisation/connections/", "person"),
    "portal-connection-act": Row(
        "/organisation/connections/{connection}/act",
        "owner",
        method="post",
        absent=f"/organisation/connections/{ABSENT}/act",
        body={"do": "pause"},
    ),
    "portal-detectors": Row("/organisation/detectors/", "person"),
    "portal-detector-act": Row(
        "/organisation/detectors/{detector}/act",
        "owner",
        method="post",
        absent="/organisation/detectors/d-00000000/act",
        body={"do": "retire"},
    ),
    "group-counsel": Row(
        "/organisation/groups/ring/counsel", "ring or operator", absent="/organisation/groups/none/counsel"
    ),
    "docs": Row("/docs", "person"),
    "chapter": Row("/docs/start", "person"),
    "try-api": Row("/docs/try", "person"),
    # Whose opinions there are: tests/indicators/portal/test_judgement.py.
    "portal-judgement": Row("/judgement/", "person"),
    "portal-usefulness": Row("/judgement/usefulness/", "publish"),
    "portal-appeals": Row("/organisation/appeals/", "person"),
    "portal-appeal-file": Row("/organisation/appeals/file", "publish", method="post", body={"tokens": []}),
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
    "portal-disarmed-undo": Row("/organisation/disarmed/undo", "publish", method="post"),
    "portal-disarmed-act": Row(
        "/organisation/disarmed/{ending}/act",
        "owner",
        method="post",
        absent=f"/organisation/disarmed/{ABSENT}/act",
        body={"do": "undo"},
    ),
    "hosts": Row("/organisation/hosts/", "person"),
    "host-check": Row(
        "/organisation/hosts/{host}/check", "owner", method="post", absent=f"/organisation/hosts/{ABSENT}/check"
    ),
    "host-confirm": Row(f"/organisation/hosts/{ABSENT}/confirm", "nobody", method="post"),
    "host-end": Row(
        "/organisation/hosts/{host}/end", "owner or operator", method="post", absent=f"/organisation/hosts/{ABSENT}/end"
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
    "waiting": Row("/organisation/waiting/", "publish"),
    "sharing": Row(
        "/organisation/sharing/?object={object}", "sharer", absent=f"/organisation/sharing/?object=indicator--{ABSENT}"
    ),
    "waiting-act": Row(
        "/organisation/waiting/{waiting}/act", "owner", method="post", absent=f"/organisation/waiting/{ABSENT}/act"
    ),
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
    "language": Row("/account/language/", "all", method="post"),
    "single-keys": Row("/account/single-keys/", "person", method="post"),
    "words": Row("/words.js", "all"),
    "start": Row("/", "person"),
    "recent": Row("/recent", "person"),
    "pulse": Row("/pulse", "person"),
    "side-counts": Row("/side", "person"),
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
    "judging": Row("/acts/judging/{judging}/", "owner", absent=f"/acts/judging/{ABSENT}/"),
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
    "portal-feed-change": Row(
        "/subscriptions/feeds/{feed}/change", "owner", absent=f"/subscriptions/feeds/{ABSENT}/change"
    ),
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
}
