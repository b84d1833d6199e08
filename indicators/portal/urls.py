"""Routes of the portal: what."""

from django.urls import path

from indicators.portal import detail, detectors, held, hosts, listing, quarantine, sharing, start, subscriptions
from indicators.portal.campaigns import acts, pages
from indicators.portal.paste import pages as paste

urlpatterns = [
    path("paste", paste.paste, name="portal-paste"),
    path("ask/values", paste.ask, name="portal-ask-values"),
    path("campaigns", pages.campaigns, name="portal-campaigns"),
    path("campaigns/<uuid:campaign_id>", pages.campaign, name="portal-campaign"),
    path("campaigns/<uuid:campaign_id>/picture.json", pages.document, name="portal-campaign-json"),
    path("campaigns/<uuid:campaign_id>/picture.svg", pages.svg, name="portal-campaign-svg"),
    path("campaigns/<uuid:campaign_id>/say", acts.say, name="portal-campaign-say"),
    path("campaigns/<uuid:campaign_id>/alias", acts.alias, name="portal-campaign-alias"),
    path("", start.start, name="start"),
    path("recent", start.recent, name="recent"),
    path("indicators", listing.indicators, name="indicators"),
    path("indicators/bundle", listing.bundle, name="indicators-bundle"),
    path("indicators/<str:stix_id>", detail.indicator, name="indicator"),
    path("indicators/<str:stix_id>/raw", detail.raw, name="indicator-raw"),
    path("indicators/<str:stix_id>/excerpt", detail.excerpt, name="indicator-excerpt"),
    path("indicators/<str:stix_id>/judge", detail.judge, name="indicator-judge"),
    path("indicators/<str:stix_id>/withdraw", detail.withdraw, name="indicator-withdraw"),
    path("organisation/sharing/", sharing.sharing, name="sharing"),
    path("organisation/held/", held.held, name="held"),
    path("organisation/held/<uuid:held_id>/act", held.act, name="held-act"),
    path("organisation/detectors/", detectors.listing, name="portal-detectors"),
    path("organisation/detectors/<str:code>/act", detectors.act, name="portal-detector-act"),
    path("organisation/excerpts/<uuid:excerpt>/act", held.act_on_excerpt, name="portal-excerpt-act"),
    path("organisation/disarmed/undo", held.undo, name="portal-disarmed-undo"),
    path("organisation/disarmed/<uuid:ending_id>/act", held.decide, name="portal-disarmed-act"),
    path("organisation/hosts/", hosts.hosts, name="hosts"),
    path("organisation/hosts/<uuid:host_id>/end", hosts.end, name="host-end"),
    path("organisation/quarantine/", quarantine.listing, name="portal-quarantine"),
    path("organisation/quarantine/<uuid:entry>/", quarantine.one, name="portal-quarantined"),
    path("organisation/quarantine/<uuid:entry>/delete", quarantine.delete, name="portal-quarantined-delete"),
    path("matches", listing.matches, name="portal-matches"),
    path("subscriptions", subscriptions.subscriptions, name="portal-subscriptions"),
    path("subscriptions/deliveries", subscriptions.deliveries, name="portal-deliveries"),
    path("subscriptions/deliveries/<uuid:delivery_id>/again", subscriptions.send_again, name="portal-send-again"),
    path("subscriptions/<uuid:subscription_id>/act", subscriptions.act, name="portal-subscription-act"),
]
