"""Each alert is made to fire by what `/metrics` really says in the failing state, and by Prometheus' own reading of the rules.

`test_alerts` holds that the rules fire by series as they are named there; here the series are the exchange's.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from datetime import timedelta

import pytest
import yaml
from django.db import connection, transaction
from django.test import Client
from kombu.exceptions import OperationalError
from prometheus_client.parser import text_string_to_metric_families
from psycopg_pool import PoolTimeout

from exchange import clock, counting, health
from exchange.backup import keeping
from exchange.models import Heartbeat
from indicators.log import changes, following
from indicators.models import Connection, Delivery, Progress
from indicators.telling import subscribing
from partners.models import Mail
from tests import build
from tests.deploy.test_alerts import ALERTS, OBSERVING

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (apt-get install prometheus)"),
]
#: PostgreSQL's log is made of files of so many bytes; of more than a quarter of a GiB that lies there the alert tells.
_FILE, _TOO_MUCH = 16 * 1024 * 1024, 256 * 1024 * 1024
#: Of which the counts have to grow: values a minute, from what is counted once.
GROWS = "0+{count}x130"
#: The metrics that the rules ask for: promtool reads each series of each state.
ASKED = frozenset(re.findall(r"[a-z]\w+", (OBSERVING / "alerts.yaml").read_text()))


def _ago(**more) -> object:
    return clock.now() - timedelta(**more)


def store_down(patched):
    def gone(*_):
        raise PoolTimeout("couldn't get a connection")

    patched.setitem(health.STORE.checks, "database", gone)


def broker_down(patched):
    def gone():
        raise OperationalError("away")

    patched.setitem(health.BROKER.checks, "broker", gone)


def key_service_down(patched):
    patched.setattr("django.conf.settings.KEY_SERVICE_URL", "http://127.0.0.1:9")


def beat_late(_):
    _seen("beat", seconds=60)


def backup_old(_):
    _seen("backup", days=2)


def drill_old(_):
    _seen("restore drill", days=9)


def log_wrong(_):
    _seen(health.LOG_WRONG, seconds=1)


def log_unverified(_):
    _seen(health.LOG_VERIFIED, days=2)


def _seen(name, **ago):
    Heartbeat.objects.update_or_create(name=name, defaults={"at": _ago(**ago)})


def archive_behind(_):
    """Its slot is there, as the archive made it, and nobody receives: PostgreSQL keeps its log. Dropped with the session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_create_physical_replication_slot(%s, true, true)", [keeping.SLOT])
        for _ in range(_TOO_MUCH // _FILE + 2):
            cursor.execute("SELECT pg_logical_emit_message(false, 'drill', 'x')")
            cursor.execute("SELECT pg_switch_wal()")


def archive_goes_on():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [keeping.SLOT]
        )


def follower_behind(_):
    Progress.objects.update_or_create(name=following.FOLLOWERS[0], defaults={"seq": changes.head() - 10_001})


def _delivery(**more):
    aster = build.the_cast().viewer("aster")
    one, _ = subscribing.subscribe(aster, url="https://receiver.example/hook", feed_id=None)
    Delivery.unrestricted.create(
        partner_id=aster.partner_id, subscription=one, first_seq=0, last_seq=1, changes=1, **more
    )


def deliveries_wait(_):
    _delivery(due_at=_ago(minutes=1))


def webhooks_slow(_):
    _delivery(state="delivered", created_at=_ago(seconds=30), finished_at=_ago(seconds=20))


def mail_waits(_):
    Mail.objects.create(purpose="x", content=b"", created_at=_ago(minutes=10), until=clock.now() + timedelta(days=1))


def pool_waits(patched):
    counting.POOL_WAITING.set(3)
    patched.setattr(counting, "note_pool", lambda: None)


def _connection(**more):
    aster = build.the_cast().aster
    Connection.unrestricted.create(
        partner=aster, name="theirs", kind="taxii", direction="pull", url="https://x.example/", actor="key:x", **more
    )


def connections_wait(_):
    _connection(due_at=_ago(hours=1))


def peer_log_wrong(_):
    _connection(log_alarm="forked", log_key="00" * 32)


def errors(_):
    _answered(500, seconds=0.01)


def slow(_):
    _answered(200, seconds=3.0)


def _answered(status, *, seconds):
    counting.REQUESTS.labels("batches", status).inc()
    counting.SECONDS.labels("batches").observe(seconds)


FAILING = {
    "ExchangeStoreDown": store_down,
    "ExchangeBrokerDown": broker_down,
    "ExchangeKeyServiceDown": key_service_down,
    "ExchangeBeatLate": beat_late,
    "ExchangeFollowerBehind": follower_behind,
    "ExchangeDeliveriesWait": deliveries_wait,
    "ExchangeConnectionsWait": connections_wait,
    "ExchangePeerLogWrong": peer_log_wrong,
    "ExchangeWebhooksSlow": webhooks_slow,
    "ExchangeMailWaits": mail_waits,
    "ExchangePoolWaits": pool_waits,
    "ExchangeBackupOld": backup_old,
    "ExchangeDrillOld": drill_old,
    "ExchangeArchiveBehind": archive_behind,
    "ExchangeLogWrong": log_wrong,
    "ExchangeLogUnverified": log_unverified,
    "ExchangeErrorsFast": errors,
    "ExchangeErrorsSlow": errors,
    "ExchangeSlow": slow,
}


def told(before: dict[str, float]) -> dict[str, str]:
    """What a Prometheus reads for two hours, a value a minute: gauges stay, what was counted since is counted each minute."""
    series = {}
    for name, value, grows in _samples():
        if grows and value == before.get(name):  # counted in other tests alone
            continue
        series[name] = GROWS.format(count=value - before.get(name, 0)) if grows else f"{value}x130"
    return series


def _samples():
    for family in text_string_to_metric_families(Client().get("/metrics").content.decode()):
        for sample in family.samples:
            if sample.name not in ASKED:
                continue
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            if not math.isnan(sample.value):
                yield f"{sample.name}{{{labels}}}", sample.value, family.type in ("counter", "histogram")


def test_every_alert_is_made_to_fire():
    assert set(FAILING) == set(ALERTS)


@pytest.mark.slow
def test_each_alert_fires_by_what_the_metrics_say_in_the_failing_state(broker, tmp_path):
    shutil.copy(OBSERVING / "alerts.yaml", tmp_path)
    tests = []
    for name, fail in FAILING.items():
        alert = ALERTS[name]
        with pytest.MonkeyPatch.context() as patched, transaction.atomic():
            for well in ("beat", "backup", "restore drill", health.LOG_VERIFIED):
                _seen(well, seconds=1)
            before = {sample: value for sample, value, grows in _samples() if grows}
            fail(patched)
            firing = {"exp_labels": alert["labels"], "exp_annotations": alert["annotations"]}
            tests.append(a_test(told(before), name, [firing]))
            transaction.set_rollback(True)  # so that each state is the only one
        counting.POOL_WAITING.set(0)
        archive_goes_on()
    written = {"rule_files": ["alerts.yaml"], "evaluation_interval": "4m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(written))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def a_test(series, name, expected):
    return {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "alert_rule_test": [{"eval_time": "2h", "alertname": name, "exp_alerts": expected}],
    }
