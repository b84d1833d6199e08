"""Which hidden act stands for each route that writes; `test_unseen` compares it with the URLconf and with what was played.

A new route that writes has an act of `hidden` or `deeds` that calls it, a page names the routes of REST whose verbs it
calls, and what needs no act says why.
"""

from __future__ import annotations

from typing import NamedTuple


class Why(NamedTuple):
    """Why no act calls a route."""

    reason: str


_HOOKS, _OWN = "aster changes feeds lists and hooks", "aster keeps detectors and hosts"
_CAMPAIGN, _CONNECTS = "the circle speaks of its campaign", "aster schedules and connects"
_RECALLS, _APPEALS = "aster recalls what hides", "cygnus files an appeal and aster answers it"
_GROUP, _PEOPLE = "a group of others begins and ends", "aster minds its people and mistakes"
_KEYS, _TAXII = "aster has keys that come and go", "aster pushes and ends over taxii"
_EXCERPTS, _JUDGES = "aster tells an excerpt to the circle", "cygnus judges what hides"
_READS = Why("it writes nothing: it asks")
_OPEN = Why("what it says of a partner is for all partners to read")
_SIGN_IN = "aster has people keys and failed sign ins"

#: Of REST and TAXII, by route and method: the act that calls it, so that it is done.
REST: dict[str, str | Why] = {
    "batches POST": "aster publishes to circle",
    "lookup POST": _READS,
    "audience-preview POST": _READS,
    "objects-revoke POST": "hidden objects are revoked",
    "objects-withdraw POST": "hidden objects are withdrawn",
    "object-audience PUT": "hidden objects change their audience",
    "object-withdraw POST": _TAXII,
    "taxii-objects POST": _TAXII,
    "taxii-object DELETE": _TAXII,
    "appeals POST": _APPEALS,
    "ticket POST": _APPEALS,
    **dict.fromkeys(
        ("connections POST", "connection PATCH", "connection DELETE", "connection-run POST", "report-schedules POST",
         "report-schedule PATCH", "report-schedule DELETE"), _CONNECTS
    ),
    **dict.fromkeys(
        ("campaign PATCH", "campaign-statement PUT", "campaign-statement DELETE", "evidence POST",
         "evidence-finish POST", "prevalence POST"), _CAMPAIGN
    ),
    **dict.fromkeys(
        ("feeds POST", "feed PATCH", "feed DELETE", "acks POST", "list-addresses POST", "list-address DELETE",
         "subscriptions POST", "subscription PATCH", "subscription DELETE", "replay POST", "rotate-secret POST",
         "test-subscription POST", "redeliver POST"), _HOOKS
    ),
    **dict.fromkeys(
        ("detectors POST", "detector PATCH", "detector DELETE", "service-hosts POST", "service-host DELETE",
         "service-host-check POST", "service-host-confirm POST"), _OWN
    ),
    "excerpts POST": _EXCERPTS,
    "excerpt DELETE": _EXCERPTS,
    "opinions POST": _JUDGES,
    "sightings POST": _JUDGES,
    "opinion-confirm POST": Why("a key does not: it is told by the verb that tells of each opinion"),
    "recalls POST": _RECALLS,
    "carry-out-recall POST": _RECALLS,
    "undo-recall POST": _RECALLS,
    "finish-recall POST": _RECALLS,
    "disarmed-undo POST": Why("by the verb of `undo-recall`: a recall is one of the ends that can be undone"),
    **dict.fromkeys(
        ("api-digest PUT", "person-api PATCH", "invitations-api POST", "invitation-api DELETE", "quarantined DELETE"),
        _PEOPLE,
    ),
    "api-keys POST": _KEYS,
    "api-key DELETE": _KEYS,
    "rotate-api-key POST": _KEYS,
    "registered-partners POST": Why("by its verb: a partner is invited"),
    "registered-invite POST": Why("by its verb: a partner is invited"),
    "registered-suspend POST": _OPEN,
    "registered-reinstate POST": _OPEN,
    "registered-terms POST": _OPEN,
    "registered-terms-end POST": _OPEN,
    "token-evaluate POST": Why("with a real key service and its quotas: test_two_worlds.py"),
    "partner PATCH": "aster changes its settings",
    **dict.fromkeys(
        ("groups POST", "group-invite POST", "group-remove POST", "group-renew POST", "group-leave POST",
         "group-dissolve POST", "proposal-agree POST", "proposal-decline POST"), _GROUP
    ),
}  # fmt: skip

_OWN_LOOK = Why("how somebody's own pages look, or what they just asked for")
_OWN_FACTORS = Why("who somebody is for their own session: another's is nowhere read")

#: Of pages: the routes above whose verbs they call, or why none.
PAGES: dict[str, tuple[str, ...] | Why] = {
    "reports": Why("by its verb: aster prepares packages for others"),
    "report": Why("by its verb: aster prepares packages for others"),
    "portal-report-schedules": ("report-schedules POST",),
    "portal-report-schedule-act": ("report-schedule PATCH", "report-schedule DELETE"),
    "theme": _OWN_LOOK,
    "language": _OWN_LOOK,
    "single-keys": _OWN_LOOK,
    "invitation": Why("by its verb, as its session begins: " + _SIGN_IN),
    **dict.fromkeys(
        ("sign-on", "factors", "passkey-options", "password", "password-reset-link", "end-sessions", "unlink"),
        _OWN_FACTORS,
    ),
    "password-reset": Why(_SIGN_IN),
    "keys": ("api-keys POST",),
    "key-act": ("rotate-api-key POST", "api-key DELETE"),
    "people": ("invitations-api POST", "invitation-api DELETE"),
    "person": ("person-api PATCH",),
    "people-sign-on": _OWN_FACTORS,
    "portal-token-evaluate": ("token-evaluate POST",),
    "invite-partner": ("registered-partners POST",),
    "organisation-settings": ("partner PATCH",),
    "organisation-leaving": Why("an offer, by its verb: " + _SIGN_IN),
    "groups-page": ("groups POST",),
    "group-act": ("group-invite POST", "group-remove POST", "group-renew POST", "group-leave POST", "group-dissolve POST"),
    "proposal-act": ("proposal-agree POST", "proposal-decline POST"),
    "operator-partner-act": ("registered-suspend POST", "registered-reinstate POST"),
    "operator-group-act": Why("by its verbs: the circle is suspended, and goes on"),
    "portal-draft-send": ("batches POST",),
    "portal-ask-drafts": _READS,
    "portal-ask-values": _READS,
    "portal-campaign-say": ("campaign-statement PUT", "campaign-statement DELETE"),
    "portal-campaign-alias": ("campaign PATCH",),
    "indicators": _READS,
    "portal-find": _READS,
    "indicators-new": _OWN_LOOK,
    "indicators-save": ("feeds POST",),
    "indicators-look": _OWN_LOOK,
    "indicators-act": ("opinions POST", "objects-withdraw POST", "recalls POST"),
    "act": ("carry-out-recall POST", "undo-recall POST"),
    "judging": ("opinions POST",),
    "indicator-excerpt": ("excerpts POST",),
    "indicator-judge": ("opinions POST", "opinion-confirm POST"),
    "indicator-withdraw": ("object-withdraw POST",),
    "indicator-end": ("objects-revoke POST", "objects-withdraw POST"),
    "indicator-audience": ("object-audience PUT",),
    "waiting-act": ("batches POST",),
    "portal-appeal-file": ("appeals POST",),
    "portal-appeal-act": ("ticket POST",),
    "portal-recalls": ("recalls POST",),
    "portal-recall-act": ("carry-out-recall POST", "undo-recall POST", "finish-recall POST"),
    "portal-connections": ("connections POST",),
    "portal-connection-act": ("connection PATCH", "connection-run POST", "connection DELETE"),
    "portal-detectors": ("detectors POST",),
    "portal-detector-act": ("detector PATCH", "detector DELETE"),
    "portal-excerpt-act": ("excerpts POST", "excerpt DELETE"),
    "portal-disarmed-undo": ("disarmed-undo POST",),
    "portal-disarmed-act": ("disarmed-undo POST", "finish-recall POST"),
    "hosts": ("service-hosts POST",),
    "host-end": ("service-host DELETE",),
    "host-check": ("service-host-check POST",),
    "host-confirm": ("service-host-confirm POST",),
    "portal-quarantined-delete": ("quarantined DELETE",),
    "digest": ("api-digest PUT",),
    "digest-end": ("api-digest PUT",),
    "portal-subscriptions": ("subscriptions POST",),
    "portal-subscription-act": ("subscription PATCH", "subscription DELETE", "rotate-secret POST"),
    "portal-send-again": ("redeliver POST",),
    **dict.fromkeys(("portal-feed-new", "portal-feed-all", "portal-feed", "portal-feed-change"), ("feeds POST", "feed PATCH")),
}  # fmt: skip
