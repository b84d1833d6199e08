"""The background work: modules that have tasks, the queue of each, and when each is begun (Celery beat)."""

from typing import Any

from celery.schedules import crontab

#: Modules that have tasks.
IMPORTS = (
    "indicators.campaigns.announcing",
    "indicators.campaigns.ending",
    "indicators.feeds.proving",
    "indicators.feeds.ranging",
    "indicators.feeds.snapshots",
    "indicators.campaigns.proposing",
    "indicators.connections.running",
    "indicators.telling.digesting",
    "indicators.telling.notifying",
    "indicators.ending.deciding",
    "indicators.log.appending",
    "indicators.log.pruning",
    "indicators.sight.relining",
    "indicators.sight.resighting",
    "indicators.opinions.bounding",
    "indicators.opinions.flooding",
    "indicators.opinions.many",
    "indicators.opinions.recording",
    "indicators.opinions.silencing",
    "indicators.ending.retiring",
    "indicators.reports.scheduling",
    "indicators.benign.proofs",
    "indicators.benign.suppressing",
    "partners.identity.asking",
    "partners.tokens.groupkeys",
    "partners.mailing",
    "partners.tokens.oblivious",
    "partners.identity.resetting",
    "partners.groups.warning",
    "partners.log.reads",
    "partners.log.transparency",
    "exchange.health",
)
#: Connections have a queue of their own: a run waits for 45 seconds of one server's, and webhooks must not wait for it.
CONNECTIONS = "connections"
QUEUES = ("celery", "webhooks", CONNECTIONS)
#: Whatever waits for somebody else's server, or may take long for one partner, so that it delays nothing else.
ROUTES = {
    "indicators.telling.notifying.deliver": {"queue": "webhooks"},
    "indicators.telling.notifying.look": {"queue": "webhooks"},
    "indicators.telling.notifying.look_behind": {"queue": "webhooks"},
    "partners.identity.asking.work": {"queue": "webhooks"},
    "partners.mailing.post": {"queue": "webhooks"},
    "indicators.benign.proofs.catch_up": {"queue": "webhooks"},
    "indicators.connections.running.catch_up": {"queue": CONNECTIONS},
}
#: Seconds between two beginnings, or a time of day (UTC). What is not begun in time expires: the next one finds it.
SCHEDULE: dict[str, dict[str, Any]] = {
    "bound": {"task": "indicators.opinions.bounding.catch_up", "schedule": 2.0, "options": {"expires": 10}},
    "judge": {"task": "indicators.opinions.recording.catch_up", "schedule": 2.0, "options": {"expires": 10}},
    "digests": {"task": "indicators.telling.digesting.catch_up", "schedule": 60.0, "options": {"expires": 60}},
    "tell": {"task": "indicators.telling.notifying.sweep", "schedule": 2.0, "options": {"expires": 10}},
    "look": {"task": "indicators.telling.notifying.look", "schedule": 2.0, "options": {"expires": 10}},
    "lines": {"task": "indicators.sight.relining.catch_up", "schedule": 5.0, "options": {"expires": 10}},
    "sights": {"task": "indicators.sight.resighting.catch_up", "schedule": 5.0, "options": {"expires": 10}},
    "tell left": {"task": "indicators.log.appending.catch_up", "schedule": 5.0, "options": {"expires": 10}},
    "prune": {"task": "indicators.log.pruning.prune_old", "schedule": 3600.0, "options": {"expires": 3600}},
    "suppress": {"task": "indicators.benign.suppressing.catch_up", "schedule": 15.0, "options": {"expires": 15}},
    "prove hosts": {"task": "indicators.benign.proofs.catch_up", "schedule": 15.0, "options": {"expires": 15}},
    "campaigns": {"task": "indicators.campaigns.proposing.catch_up", "schedule": 2.0, "options": {"expires": 5}},
    "tell campaigns": {
        "task": "indicators.campaigns.announcing.catch_up",
        "schedule": 2.0,
        "options": {"expires": 5},
    },
    "end evidence": {"task": "indicators.campaigns.ending.sweep", "schedule": 3.0, "options": {"expires": 10}},
    "connections": {"task": "indicators.connections.running.catch_up", "schedule": 5.0, "options": {"expires": 5}},
    "reports": {"task": "indicators.reports.scheduling.catch_up", "schedule": 60.0, "options": {"expires": 60}},
    "appeals": {"task": "indicators.opinions.appealing.catch_up", "schedule": 60.0, "options": {"expires": 60}},
    "judge many": {"task": "indicators.opinions.many.catch_up", "schedule": 10.0, "options": {"expires": 10}},
    "silence": {"task": "indicators.opinions.silencing.catch_up", "schedule": 5.0, "options": {"expires": 5}},
    "floods": {"task": "indicators.opinions.flooding.catch_up", "schedule": 10.0, "options": {"expires": 10}},
    "make final": {"task": "indicators.ending.deciding.catch_up", "schedule": 10.0, "options": {"expires": 10}},
    "retire": {"task": "indicators.ending.retiring.expire_due", "schedule": 5.0, "options": {"expires": 10}},
    "forget sets": {
        "task": "indicators.feeds.proving.forget",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "forget ranges": {
        "task": "indicators.feeds.ranging.forget",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "forget snapshots": {
        "task": "indicators.feeds.snapshots.forget",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "forget": {
        "task": "indicators.ending.retiring.forget_old_batches",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "forget deliveries": {
        "task": "indicators.telling.notifying.forget_old_deliveries",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "ask issuers": {"task": "partners.identity.asking.work", "schedule": 5.0, "options": {"expires": 5}},
    "refresh issuers": {"task": "partners.identity.asking.refresh", "schedule": 3600.0, "options": {"expires": 3600}},
    "mail": {"task": "partners.mailing.post", "schedule": 10.0, "options": {"expires": 10}},
    "token keys": {"task": "partners.tokens.oblivious.publish_keys", "schedule": 60.0, "options": {"expires": 60}},
    "group keys": {"task": "partners.tokens.groupkeys.forget_ended", "schedule": 3600.0, "options": {"expires": 3600}},
    "warn": {"task": "partners.groups.warning.warn", "schedule": crontab(hour="6", minute="30")},
    "log": {"task": "partners.log.transparency.catch_up", "schedule": 5.0, "options": {"expires": 10}},
    "reads": {"task": "partners.log.reads.close_finished", "schedule": 60.0, "options": {"expires": 60}},
    "beat": {"task": "exchange.health.beat_seen", "schedule": 3.0, "options": {"expires": 30}},
}
