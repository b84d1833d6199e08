"""What the operator's metrics read from the store: totals without content and without names."""

from collections.abc import Iterator

from django.db import connection
from prometheus_client.core import GaugeMetricFamily

from indicators import reading
from indicators.log import changes, following


def gauges() -> Iterator[GaugeMetricFamily]:
    """Objects by kind, the log's length, and how telling is doing."""
    objects = GaugeMetricFamily("exchange_objects", "Newest versions of objects.", labels=["kind"])
    for kind, count in reading.object_count_by_kind().items():
        objects.add_metric([kind], count)
    yield objects
    yield GaugeMetricFamily("exchange_change_seq", "Last place of the change log.", value=changes.head())
    deliveries = GaugeMetricFamily("exchange_deliveries", "Deliveries by state.", labels=["state"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, count(*) FROM indicators_delivery GROUP BY 1 ORDER BY 1")
        for state, count in cursor.fetchall():
            deliveries.add_metric([state], count)
        yield deliveries
        cursor.execute(
            "SELECT greatest(0, extract(epoch FROM now() - min(due_at))) FROM indicators_delivery WHERE state = 'due'"
        )
        waits = cursor.fetchone()[0]
        yield GaugeMetricFamily("exchange_delivery_oldest_due_seconds", "Since the oldest became due.", value=waits)
        cursor.execute(_CONNECTIONS_WAIT)
        waits = cursor.fetchone()[0]
        yield GaugeMetricFamily("exchange_connection_oldest_due_seconds", "Since the oldest became due.", value=waits)
        cursor.execute("SELECT count(*) FROM indicators_connection WHERE state = 'active' AND log_alarm <> ''")
        wrong = cursor.fetchone()[0]
        yield GaugeMetricFamily("exchange_peer_logs_wrong", "Logs of other exchanges that are not right.", value=wrong)
        cursor.execute(_TOLD_WITHIN)
        told = GaugeMetricFamily(
            "exchange_webhook_seconds",
            "From a change to its receipt, last 15 min.",
            labels=["quantile"],
        )
        for quantile, seconds in zip(("0.5", "0.99"), cursor.fetchone()[0] or (), strict=False):
            told.add_metric([quantile], seconds)
        yield told
        cursor.execute(
            "SELECT name, %s - seq FROM indicators_progress WHERE name = ANY(%s) ORDER BY 1",
            [changes.head(), list(following.FOLLOWERS)],
        )
        behind = GaugeMetricFamily("exchange_follower_lag", "Changes a follower has not looked at.", labels=["name"])
        for name, lag in cursor.fetchall():
            behind.add_metric([name], lag)
        yield behind
        cursor.execute("SELECT count(*) FROM indicators_bounddue")
        due = cursor.fetchone()[0]
        yield GaugeMetricFamily("exchange_bounds_due", "What was said and waits for a look at its object.", value=due)


#: One row. Those that are being run do not wait.
_CONNECTIONS_WAIT = """
SELECT greatest(0, extract(epoch FROM now() - min(c.due_at)))
FROM indicators_connection c JOIN partners_partner p ON p.id = c.partner_id
WHERE c.state = 'active' AND p.state = 'active' AND (c.claimed_until IS NULL OR c.claimed_until < now())
"""
#: From the row's making, which follows the push within a moment; of first attempts and later ones alike.
_TOLD_WITHIN = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at))
FROM indicators_delivery
WHERE state = 'delivered' AND kind = 'changes' AND finished_at > now() - interval '15 minutes'
"""
