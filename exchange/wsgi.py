"""WSGI entry point, and what the web server asks beside it."""

import gc
import importlib
import os

from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from exchange import counting, starting, tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")

gc.disable()  # until all is loaded, which stays
application = get_wsgi_application()
starting.look_at_store()
counting.keep_pool_noted()
tracing.begin()
get_resolver().url_patterns  # noqa: B018 - loads the views now, not with the first request
importlib.import_module("stix2")  # likewise

# Sent with each request. Who receives them is looked up under one lock of the process, or kept, as for Django's own
# signals of models: threads that waited for one another there took a sixth of a poll (ADR 0025).
for signal in (request_started, request_finished):
    signal.use_caching = True

from exchange.front import Front  # noqa: E402 - settings and models are there only now

hooks = Front()

# What is loaded now stays: the collector need not look at it again with each full round. And a batch of objects, which
# are all let go together, is no reason for one.
gc.collect()
gc.freeze()
gc.enable()
gc.set_threshold(50_000, 20, 20)
