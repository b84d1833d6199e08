"""WSGI entry point."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")

application = get_wsgi_application()

# What is loaded now stays: the collector need not look at it again with each full round, and a batch of objects that are
# all let go together is no reason for one.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 20)
