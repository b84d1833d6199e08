"""The Celery application; tasks stand at the foot of the verb that they run."""

import atexit
import os

import kombu.pools
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")

app = Celery("exchange")
app.config_from_object("django.conf:settings", namespace="CELERY")

# The pgmq transport holds threads; a process that sent one task and leaves them to the interpreter's end takes 20 s.
atexit.register(kombu.pools.reset)
