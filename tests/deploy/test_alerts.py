"""deploy/observing: each alert fires by the metric that it watches and says what to do; each metric is one that is told."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
OBSERVING = ROOT / "deploy" / "observing"
RULES = yaml.safe_load((OBSERVING / "alerts.yaml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in RULES for rule in group["rules"] if "alert" in rule}
#: For each alert, what Prometheus reads for ten hours (a value a minute) so that it fires; the rest is well.
BAD, GOOD = (
    'exchange_requests_total{route="batches",status="500"}',
    'exchange_requests_total{route="batches",status="200"}',
)
FIRES = {
    "ExchangeStoreDown": {"exchange_store_up": "0x600"},
    "ExchangeBrokerDown": {"exchange_broker_up": "0x600"},
    "ExchangeKeyServiceDown": {"exchange_key_service_up": "0x600"},
    "ExchangeBeatLate": {"exchange_beat_age_seconds": "46x600"},
    "ExchangeFollowerBehind": {'exchange_follower_lag{name="tell"}': "10001x600"},
    "ExchangeDeliveriesWait": {"exchange_delivery_oldest_due_seconds": "31x600"},
    "ExchangeConnectionsWait": {"exchange_connection_oldest_due_seconds": "601x600"},
    "ExchangePeerLogWrong": {"exchange_peer_logs_wrong": "1x600"},
    "ExchangeWebhooksSlow": {'exchange_webhook_seconds{quantile="0.99"}': "6x600"},
    "ExchangeMailWaits": {"exchange_mail_oldest_seconds": "301x600"},
    "ExchangePoolWaits": {"exchange_pool_waiting": "1x600"},
    "ExchangeBackupOld": {"exchange_backup_age_seconds": "100001x600"},
    "ExchangeDrillOld": {"exchange_restore_drill_age_seconds": "700001x600"},
    "ExchangeArchiveBehind": {"exchange_archive_behind_bytes": "268435457x600"},
    "ExchangeLogWrong": {"exchange_log_wrong": "1x600"},
    "ExchangeLogUnverified": {"exchange_log_verified_age_seconds": "100001x600"},
    "ExchangeErrorsFast": {BAD: "0+2x600", GOOD: "0+98x600"},
    "ExchangeErrorsSlow": {BAD: "0+1x600", GOOD: "0+99x600"},
    "ExchangeSlow": {
        'exchange_request_seconds_bucket{route="changes",le="1.0"}': "0+80x600",
        'exchange_request_seconds_count{route="changes"}': "0+100x600",
    },
}
#: What it is also told by: that nothing is told.
SILENT = {
    "ExchangeStoreDown": "exchange_",
    "ExchangeBeatLate": "exchange_beat_age_seconds",
    "ExchangeBackupOld": "exchange_backup_age_seconds",
    "ExchangeDrillOld": "exchange_restore_drill_age_seconds",
    "ExchangeArchiveBehind": "exchange_archive_behind_bytes",
    "ExchangeLogUnverified": "exchange_log_verified_age_seconds",
}
#: What `BACKUP_BY=other` leaves out, and whose alerts are silent then.
OURS = ("exchange_backup_age_seconds", "exchange_restore_drill_age_seconds", "exchange_archive_behind_bytes")
BY_OTHERS = {"exchange_backup_by_other": "1x600"}
WELL = {
    "exchange_store_up": "1x600",
    "exchange_broker_up": "1x600",
    "exchange_key_service_up": "1x600",
    "exchange_beat_age_seconds": "3x600",
    'exchange_follower_lag{name="tell"}': "0x600",
    "exchange_delivery_oldest_due_seconds": "0x600",
    "exchange_connection_oldest_due_seconds": "0x600",
    "exchange_peer_logs_wrong": "0x600",
    'exchange_webhook_seconds{quantile="0.99"}': "1x600",
    "exchange_mail_oldest_seconds": "0x600",
    "exchange_pool_waiting": "0x600",
    "exchange_backup_age_seconds": "80000x600",
    "exchange_restore_drill_age_seconds": "600000x600",
    "exchange_archive_behind_bytes": "16777216x600",
    "exchange_backup_by_other": "0x600",
    "exchange_log_wrong": "0x600",
    "exchange_log_verified_age_seconds": "80000x600",
    BAD: "0+0x600",
    GOOD: "0+100x600",
    'exchange_request_seconds_bucket{route="changes",le="1.0"}': "0+100x600",
    'exchange_request_seconds_count{route="changes"}': "0+100x600",
}


def told():
    """Every name of a metric in the code, as Prometheus reads it."""
    named = set()
    for path in [*ROOT.glob("exchange/**/*.py"), *ROOT.glob("partners/**/*.py"), *ROOT.glob("indicators/**/*.py")]:
        named |= set(re.findall(r'"(exchange_[a-z_]+)"', path.read_text()))
    return named | {f"{name}_{more}" for name in named for more in ("total", "bucket", "count", "sum")}


def names(expression):
    return set(re.findall(r"\bexchange_[a-z_]+", expression))


def test_each_metric_that_is_watched_or_drawn_is_told():
    dashboard = json.loads((OBSERVING / "dashboard.json").read_text())
    drawn = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    watched = [rule["expr"] for group in RULES for rule in group["rules"]]
    assert {name for each in (*drawn, *watched) for name in names(each)} - told() == set()
    recorded = {rule["record"] for group in RULES for rule in group["rules"] if "record" in rule}
    assert {name for each in drawn for name in re.findall(r"exchange:[a-z:0-9]+", each)} <= recorded


def test_each_alert_leads_to_what_to_do():
    headings = re.findall(r"^### (Exchange\w+)$", (ROOT / "exchange/docs/operating.md").read_text(), re.MULTILINE)
    assert headings == list(ALERTS)
    for name, alert in ALERTS.items():
        assert alert["annotations"]["runbook"] == f"exchange/docs/operating.md#{name.lower()}"
        assert alert["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (apt-get install prometheus)")
@pytest.mark.slow
@pytest.mark.long
def test_each_alert_fires_by_what_it_watches_and_none_where_all_is_well(tmp_path):
    assert set(FIRES) == set(ALERTS)
    shutil.copy(OBSERVING / "alerts.yaml", tmp_path)
    by_others = {one: values for one, values in WELL.items() if one not in OURS} | BY_OTHERS
    tests = [a_test(well, {name: [] for name in ALERTS}) for well in (WELL, by_others)]
    for name, series in FIRES.items():
        alert = ALERTS[name]
        firing = [{"exp_labels": alert["labels"], "exp_annotations": alert["annotations"]}]
        tests.append(a_test(WELL | series, {name: firing}))
        if silent := SILENT.get(name):
            rest = {one: values for one, values in WELL.items() if not one.startswith(silent)}
            tests.append(a_test(rest, {name: firing}))
    written = {"rule_files": ["alerts.yaml"], "evaluation_interval": "4m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(written))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def a_test(series, expected):
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "8h", "alertname": name, "exp_alerts": alerts} for name, alerts in expected.items()
        ],
    }
