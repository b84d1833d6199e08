"""Structured logs: one JSON object a line, with request id and partner, and never a credential or a refused value."""

import json
import logging
import logging.config
import re
import sys
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import orjson
import structlog

from exchange import credentials

_SECRET_NAMES = re.compile(r"key|secret|token|password|authorization|cookie|body|value|signature", re.IGNORECASE)
_SECRET_SHAPES = re.compile(
    credentials.BEGUN + r"|whsec_[A-Za-z0-9+/=]+|(?i:bearer|basic) [A-Za-z0-9+/=._~-]{8,}"
    # What an address has of a secret: links in mails, and what a sign-on comes back with.
    r"|(?<=/digest/end/)[^\s/?&\"\\]+|(?:(?<=[?&]token=)|(?<=[?&]code=)|(?<=[?&]state=))[^\s&\"\\]+"
)
#: PostgreSQL quotes rows in the details of an error: "Failing row contains (…)".
_ROW = re.compile(r"DETAIL:.*?(?=\n(?:HINT|CONTEXT|Traceback|The above|During|  File)|\Z)", re.DOTALL)
_HIDDEN = "[hidden]"


def hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: drop what is named like a secret, blank what is shaped like one, at any depth."""
    for name, value in event.items():
        event[name] = _HIDDEN if name != "event" and _SECRET_NAMES.search(name) else _without_secrets(value)
    return event


def blanked(text: str) -> str:
    """A text without what is shaped like a credential."""
    return _SECRET_SHAPES.sub(_HIDDEN, text)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return _ROW.sub(f"DETAIL: {_HIDDEN}", blanked(value))
    if isinstance(value, Mapping):
        return {
            name: _HIDDEN if _SECRET_NAMES.search(str(name)) else _without_secrets(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets(inner) for inner in value]
    return value


def as_json(line: Any, default: Any = str, **_: Any) -> str:
    """One line. What orjson does not take (a lone surrogate, a large number) the standard library writes escaped."""
    try:
        return orjson.dumps(line, default=default, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return json.dumps(line, default=default, skipkeys=True)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The last line of a process; SystemExit never comes here, and Ctrl-C is no failure."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("uncaught").critical("process.failed", exc_info=(kind, error, trace))


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def formatter() -> logging.Formatter:
    """What makes a line of a record."""
    last: list[Any] = [structlog.processors.format_exc_info, hide_secrets, structlog.processors.JSONRenderer(as_json)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def configure(options: Mapping[str, Any]) -> None:
    """Django's LOGGING_CONFIG: standard logging, structlog, Python's warnings and what nobody catches, as JSON lines.

    They go to standard error.
    """
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": formatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": options["level"]},
            "loggers": {
                "httpx": {"level": "WARNING"},
                "httpcore": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
                "django.request": {"level": "ERROR"},
            },
        }
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
