"""The Celery application; tasks stand at the foot of the verb that they run."""

import atexit
import os
import sys
from pathlib import Path
from typing import Any

import kombu.pools
from celery import Celery
from celery.signals import import_modules, setup_logging
from django.conf import settings

from exchange import counting, loading, logs, starting, tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
# Django's checks are of the code, the same with each start: `prepare` runs them. They would load all pages and routes.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")


@setup_logging.connect
def _log_as_all_do(**_: Any) -> None:
    """With a receiver here, Celery leaves logging as we set it up: JSON lines."""
    logs.configure(settings.LOGGING)


@import_modules.connect  # sent by workers and beat; connected before the app is made, so that it is the first
def _wait_for_store(**_: Any) -> None:
    """Before a process loads its tasks; raises Unfit, which ends it."""
    logs.configure(settings.LOGGING)
    # Celery takes its leave in plain words on standard output, where nothing of ours goes.
    sys.__stdout__ = Path(os.devnull).open("w")  # type: ignore[misc]  # noqa: SIM115 - for as long as the process lives
    starting.wait_for_store()
    loading.set_up()
    counting.keep_pool_noted()
    tracing.begin()


app = Celery("exchange")
app.config_from_object("django.conf:settings", namespace="CELERY")

# The pgmq transport holds threads; a process that sent one task and leaves them to the interpreter's end takes 20 s.
atexit.register(kombu.pools.reset)
