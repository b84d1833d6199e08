"""What RabbitMQ and Redis are told and asked: how long they are waited for, and whether they take a message.

Which one it is, CELERY_BROKER_URL says (`settings`); the one in PostgreSQL is told its options there (ADR 0002).
"""

from __future__ import annotations

from typing import Any

import amqp
from kombu import Connection

#: A broker that vanished without a word keeps nobody for longer; hints are lost and the sweeps find the work.
_SOCKET_S = 10.0
_CONNECT_S = 3.0
#: `/readyz` waits no longer than this for a message to be taken.
_TAKEN_S = 0.6
#: No queue has this name: what is sent there is taken, and dropped.
_NOWHERE = "exchange-ready"


def options(url: str) -> dict[str, Any]:
    """Transport options for RabbitMQ and Redis."""
    scheme = url.partition("://")[0]
    if scheme.startswith("amqp"):
        return {"write_timeout": _SOCKET_S}
    return {
        "socket_timeout": _SOCKET_S,
        "socket_connect_timeout": _CONNECT_S,
        "socket_keepalive": True,
        # What a killed worker had taken is seen again after this, and not after an hour. So is a task that runs longer,
        # for nothing ends a thread: every task may run twice.
        "visibility_timeout": 120,
    }


def queue_arguments(url: str, kind: str) -> dict[str, str]:
    """With which arguments a queue is declared: `kind` is `classic` or `quorum`, which RabbitMQ alone has."""
    return {"x-queue-type": kind} if kind != "classic" and url.startswith("amqp") else {}


def takes(connection: Connection) -> str:
    """Whether the broker takes a message now: `ok`, or `full` where it answers and takes none. Raises OSError."""
    if connection.transport.driver_type == "amqp":
        return _rabbitmq_takes(connection)
    if connection.transport.driver_type == "redis":
        return _redis_takes(connection)
    return "ok"


def _rabbitmq_takes(connection: Connection) -> str:
    """Without memory or disk it answers until the first message, and reads nothing more of who sent it."""
    channel = connection.channel()
    try:
        for _ in range(2):
            channel.basic_publish_confirm(amqp.Message(b""), routing_key=_NOWHERE, confirm_timeout=_TAKEN_S)
    except TimeoutError:
        connection.collect()  # it would not hear a goodbye either
        return "full"
    channel.close()
    return "ok"


def _redis_takes(connection: Connection) -> str:
    from redis.exceptions import RedisError, ResponseError  # noqa: PLC0415 - with it comes half of OpenTelemetry

    with connection.channel() as channel:
        try:
            channel.client.set(_NOWHERE, b"", ex=1)
        except ResponseError:  # out of memory, a failed save, or a replica
            return "full"
        except RedisError as error:
            raise ConnectionError(str(error)) from error
    return "ok"
