"""The ground's tables: when each background process was last seen alive, and which life of the store this is."""

from django.db import models


class Heartbeat(models.Model):
    """That a process was alive at a moment. Written by `health`."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()


class Incarnation(models.Model):
    """One row at most: the store was restored to an earlier point. Written by `incarnation`."""

    id = models.SmallIntegerField(primary_key=True)
    value = models.CharField(max_length=16, help_text="Random, so that two lives never share one.")
    begun_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="a_store_has_one_incarnation")]
