"""Read settings from the environment: typed, and a wrong value stops the start with a sentence."""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from psycopg.conninfo import make_conninfo

_BROKERS = ("pgmq", "amqp", "amqps", "redis", "rediss", "sentinel")


class BadEnvironment(SystemExit):
    """A variable that cannot be used. SystemExit, so that a process says the sentence and nothing else."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")


def text(name: str, default: str = "") -> str:
    """A string; the default where the variable is unset or empty. NAME_FILE names a file that holds it instead."""
    return os.environ.get(name, "").strip() or _from_file(f"{name}_FILE") or default


def _from_file(name: str) -> str:
    """What stands in the file that a variable names; "" where it names none."""
    path = os.environ.get(name, "").strip()
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise BadEnvironment(name, "names a file that cannot be read") from None


def required(name: str, *, why: str) -> str:
    """A string that must be there."""
    value = text(name)
    if not value:
        raise BadEnvironment(name, f"must be set: {why}")
    return value


def languages(name: str, place: Path) -> list[tuple[str, str]]:
    """English, and the languages that are named; each pair is one twice. `place` has a compiled catalogue of each."""
    named = [one.lower() for one in words(name)]
    for one in named:
        if not re.fullmatch(r"[a-z]{2,3}(-[a-z]{2,8})?", one):
            raise BadEnvironment(name, "must be languages such as de, pt-br")
        language, _, region = one.partition("-")
        folder = f"{language}_{region.title() if len(region) > 2 else region.upper()}" if region else language
        if one != "en" and not (place / folder / "LC_MESSAGES" / "django.mo").is_file():
            raise BadEnvironment(name, f"of {one} there is no compiled catalogue in LOCALE_PATH (django.mo)")
    return [(one, one) for one in dict.fromkeys(["en", *named])]


def secret(name: str, *, least: int) -> str:
    """A string that must be there, of at least `least` characters; a fifth as many of them must differ."""
    value = required(name, why=f"at least {least} random characters")
    if len(value) < least:
        raise BadEnvironment(name, f"must be at least {least} random characters; these are {len(value)}")
    if len(set(value)) < least // 5:
        raise BadEnvironment(name, f"must be at least {least} random characters; these have too few different ones")
    return value


def broker(name: str, default: str) -> str:
    """The URL of a Celery broker of which we know that it keeps what it must."""
    value = text(name, default)
    if value.partition("://")[0] not in _BROKERS:
        raise BadEnvironment(name, f"must begin with one of {', '.join(f'{scheme}://' for scheme in _BROKERS)}")
    return value


def shown_broker(host: str, port: str | int) -> str:
    """The URL of a broker that is in our database, as the log shows it; the transport has an address of its own."""
    plain = re.fullmatch(r"[\w.-]+", host)
    return f"pgmq://{host}:{port or 5432}" if plain else "pgmq://localhost"


def origin(name: str, default: str, *, hosts: list[str], secure: bool) -> str:
    """The scheme and host, without a path, under which we are reached; the host must be one that we answer to."""
    value = text(name, default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query or parts.fragment:
        raise BadEnvironment(name, "must be scheme and host alone, such as https://exchange.example")
    if secure and parts.scheme != "https":
        raise BadEnvironment(name, "must begin with https://")
    if hosts and not any(_is_of(parts.hostname, host) for host in hosts):
        raise BadEnvironment(name, "names a host that is not in ALLOWED_HOSTS")
    return value


def _is_of(host: str, pattern: str) -> bool:
    """Whether a host is what a word of ALLOWED_HOSTS means: itself, `*`, or `.example` with all below it."""
    pattern = pattern.lower().strip("[]")
    return pattern in {"*", host} or (pattern.startswith(".") and f".{host}".endswith(pattern))


def flag(name: str, *, default: bool) -> bool:
    """1/0, true/false, yes/no."""
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes"}:
        return True
    if value in {"0", "false", "no"}:
        return False
    raise BadEnvironment(name, "must be 1 or 0")


def number(name: str, default: int, *, least: int, most: int) -> int:
    """A whole number within bounds."""
    value = text(name)
    if not value:
        return default
    try:
        parsed = int(value.encode("ascii"))
    except ValueError:
        raise BadEnvironment(name, "must be a whole number") from None
    if not least <= parsed <= most:
        raise BadEnvironment(name, f"must be between {least} and {most}")
    return parsed


def seed(name: str) -> bytes:
    """32 bytes as 64 hex digits; empty where the variable is unset."""
    value = text(name)
    try:
        parsed = bytes.fromhex(value)
    except ValueError:
        raise BadEnvironment(name, "must be hex digits") from None
    if len(parsed) not in {0, 32}:
        raise BadEnvironment(name, "must be 64 hex digits")
    return parsed


def words(name: str) -> list[str]:
    """A comma-separated list."""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def networks(name: str) -> list[str]:
    """A comma-separated list of networks in CIDR notation; an address alone is a network of one."""
    try:
        return [str(ipaddress.ip_network(word)) for word in words(name)]
    except ValueError:
        raise BadEnvironment(name, "must be networks such as 10.0.0.0/8, separated by commas") from None


def choice(name: str, default: str, *, of: tuple[str, ...]) -> str:
    """One of a closed set of words."""
    value = text(name, default)
    if value not in of:
        raise BadEnvironment(name, f"must be one of {', '.join(of)}")
    return value


def database(name: str) -> dict[str, Any]:
    """A PostgreSQL URL as Django's database settings.

    `postgresql://user:password@host:port/name?option=value`; a socket directory is given as `?host=/dir`, and
    other options (`sslmode`, …) go to libpq.
    """
    parts = urlsplit(required(name, why="a postgresql:// URL"))
    if parts.scheme not in {"postgres", "postgresql"}:
        raise BadEnvironment(name, "must be a postgresql:// URL")
    try:
        port = parts.port
    except ValueError:
        raise BadEnvironment(name, "has a port that is no number") from None
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "postgres",
        "USER": unquote(parts.username or "postgres"),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or parts.hostname or "",
        "PORT": str(port or options.pop("port", "")),
        "OPTIONS": dict(options),
    }


def conninfo(database: Mapping[str, Any]) -> str:
    """Django's database settings as libpq's words, for a connection of its own."""
    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given = {word: database[name] for word, name in named.items() if database[name]}
    return make_conninfo(**given, **database["OPTIONS"])


_SMTP_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}


def mailer(name: str, default: str) -> dict[str, Any]:
    """An e-mail URL as one of Django's MAILERS.

    `smtp://`, `smtp+tls://` (STARTTLS) or `smtps://user:password@host:port`; `file:///directory`, a file a message;
    `console:`, to the log of the process.
    """
    parts = urlsplit(text(name, default))
    backends = "django.core.mail.backends"
    if parts.scheme == "console":
        return {"BACKEND": f"{backends}.console.EmailBackend"}
    if parts.scheme == "file":
        if not parts.path.startswith("/") or parts.netloc:
            raise BadEnvironment(name, "must name a directory: file:///directory")
        return {"BACKEND": f"{backends}.filebased.EmailBackend", "OPTIONS": {"file_path": Path(unquote(parts.path))}}
    if parts.scheme not in _SMTP_PORTS:
        raise BadEnvironment(name, "must be an smtp://, smtp+tls://, smtps://, file:// or console: URL")
    try:
        port = parts.port
    except ValueError:
        raise BadEnvironment(name, "has a port that is no number") from None
    if not parts.hostname:
        raise BadEnvironment(name, "names no host")
    options = {
        "host": parts.hostname,
        "port": port or _SMTP_PORTS[parts.scheme],
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_tls": parts.scheme == "smtp+tls",
        "use_ssl": parts.scheme == "smtps",
        "timeout": 20,
    }
    return {"BACKEND": f"{backends}.smtp.EmailBackend", "OPTIONS": options}
