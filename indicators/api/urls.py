"""Routes of the REST face: what."""

from django.urls import path

from indicators.api import (
    batches,
    changes,
    description,
    ending,
    events,
    held,
    index,
    moving,
    objects,
    reports,
    subscriptions,
)

# First those that are asked for most; the others by name.
urlpatterns = [
    path("changes", changes.ChangesView.as_view(), name="changes"),
    path("batches", batches.BatchesView.as_view(), name="batches"),
    path("objects/lookup", objects.LookupView.as_view(), name="lookup"),
    path("objects/revoke", ending.RevokeView.as_view(), name="objects-revoke"),
    path("objects/withdraw", ending.WithdrawManyView.as_view(), name="objects-withdraw"),
    path("objects/<str:stix_id>", objects.ObjectView.as_view(), name="object"),
    path("", index.index, name="api-index"),
    path("audience", moving.PreviewView.as_view(), name="audience-preview"),
    path("batches/<uuid:batch_id>", batches.BatchView.as_view(), name="batch"),
    path("blocklists/<str:feed>", changes.BlocklistView.as_view(), name="blocklist"),
    path("bundle", objects.BundleView.as_view(), name="bundle"),
    path("deliveries/<uuid:delivery_id>", subscriptions.DeliveryView.as_view(), name="delivery"),
    path("deliveries/<uuid:delivery_id>/redeliver", subscriptions.RedeliverView.as_view(), name="redeliver"),
    path("events", events.EventsView.as_view(), name="events"),
    path("feeds", subscriptions.FeedsView.as_view(), name="feeds"),
    path("feeds/<uuid:feed_id>", subscriptions.FeedView.as_view(), name="feed"),
    path("held", held.HeldView.as_view(), name="held-batches"),
    path("matches", objects.MatchesView.as_view(), name="matches"),
    path("objects", objects.ObjectsView.as_view(), name="objects"),
    path("objects/<str:stix_id>/readers", moving.ReadersView.as_view(), name="object-readers"),
    path("objects/<str:stix_id>/audience", moving.AudienceView.as_view(), name="object-audience"),
    path("objects/<str:stix_id>/withdraw", moving.WithdrawView.as_view(), name="object-withdraw"),
    path("quarantine", objects.QuarantineView.as_view(), name="quarantine"),
    path("reports", reports.ReportsView.as_view(), name="api-reports"),
    path("reports/<uuid:report_id>", reports.ReportView.as_view(), name="api-report"),
    path("reports/<uuid:report_id>/package", reports.PackageView.as_view(), name="api-report-package"),
    path("schema", description.describe, name="schema"),
    path("subscriptions", subscriptions.SubscriptionsView.as_view(), name="subscriptions"),
    path("subscriptions/<uuid:subscription_id>", subscriptions.SubscriptionView.as_view(), name="subscription"),
    path("subscriptions/<uuid:subscription_id>/deliveries", subscriptions.DeliveriesView.as_view(), name="deliveries"),
    path("subscriptions/<uuid:subscription_id>/secret", subscriptions.SecretView.as_view(), name="rotate-secret"),
    path("subscriptions/<uuid:subscription_id>/test", subscriptions.TestView.as_view(), name="test-subscription"),
]
