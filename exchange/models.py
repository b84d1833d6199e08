"""The ground's only table: when each background process was last seen alive."""

from django.db import models


class Heartbeat(models.Model):
    """That a process was alive at a moment. Written by `health`."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()
