"""The exchange under measurement: the demo's processes on an embedded PostgreSQL of their own, with fsync on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psycopg

from exchange import embedded


class Server:
    """A running exchange; `client(n)` speaks with the key of partner n."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.cursor = ""

    def __enter__(self) -> Self:
        environment = os.environ | {"PORT": "0", "DATA_DIR": str(self._data_dir), "DEMO_JSON": "1"}
        for name in ("DATABASE_URL", "EXCHANGE_MODE", "SECRET_KEY", "BASE_URL"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exchange.demo"], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The exchange did not start.")
        self._info = json.loads(line)
        self.database_url = embedded.start(self._data_dir)
        self.everything = f"{self._info['taxii_url']}collections/everything/objects/"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)

    def client(self, number: int) -> httpx.Client:
        key = self._info["partners"][number]["api_key"]
        return httpx.Client(
            base_url=self._info["base_url"], headers={"Authorization": f"Bearer {key}"}, timeout=120, trust_env=False
        )

    def stored(self) -> int:
        with psycopg.connect(self.database_url) as database:
            found = database.execute("SELECT count(*) FROM indicators_stixobject").fetchone()
            return int(found[0]) if found else 0
