"""Where the command line finds the exchange and the key: environment, then a file; never an argument with the key."""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

from exchange.client.errors import Unusable, why

PATH = Path("~/.config/exchange/config.toml")


@dataclass(frozen=True, slots=True)
class Config:
    """Address and key."""

    url: str
    api_key: str


def load(*, url: str = "", key_file: Path | None = None) -> Config:
    """`--url` and `--key-file`, else EXCHANGE_URL and EXCHANGE_API_KEY, else the file. Raises Unusable."""
    stored = _stored(PATH.expanduser())
    found_url = url or os.environ.get("EXCHANGE_URL", "") or stored.get("url", "")
    key = _key(key_file) or os.environ.get("EXCHANGE_API_KEY", "") or stored.get("api_key", "")
    if not found_url:
        raise Unusable("Which exchange? Set EXCHANGE_URL, or give --url.")
    if not key:
        raise Unusable("With which key? Set EXCHANGE_API_KEY, or give --key-file. A key is never an argument.")
    if not found_url.startswith(("https://", "http://")):
        raise Unusable("The address must begin with https:// or, on a machine of your own, http://.")
    return Config(found_url, key)


def _key(path: Path | None) -> str:
    if path is None:
        return ""
    _only_ours(path)
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error


def _stored(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    _only_ours(path)
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unusable(f"{path}: {why(error)}") from error
    return {name: str(value) for name, value in document.items()}


def _only_ours(path: Path) -> None:
    """Refuse a file with a key in it that others on this machine can read."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Unusable(f"{path} can be read by others: chmod 600 it.")
