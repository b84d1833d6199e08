"""What tests of the ground share."""

import kombu.pools
import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from exchange import schedule
from exchange.celery import app
from tests.waiting import DEADLINE_S


@pytest.fixture
def broker(db, monkeypatch):
    """The real broker, in the tests' own database, with empty queues; yields a way to count what waits."""
    options = app.conf.broker_transport_options
    monkeypatch.setitem(options, "conn_string", conninfo())
    monkeypatch.setitem(options, "pool_timeout", DEADLINE_S)
    purge(*schedule.QUEUES)
    forget_connections()
    yield waiting
    forget_connections()


def forget_connections():
    kombu.pools.reset()
    app._after_fork()  # the application keeps a pool of its own, which is closed by now


def conninfo():
    parameters = connection.get_connection_params()
    return make_conninfo(
        **{name: parameters[name] for name in ("host", "port", "dbname", "user") if name in parameters}
    )


def waiting(queue="celery"):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM pgmq.q_{queue}")
        return cursor.fetchone()[0]


def purge(*queues):
    with connection.cursor() as cursor:
        for queue in queues:
            cursor.execute("SELECT pgmq.purge_queue(%s)", [queue])
