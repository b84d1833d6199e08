"""`make shell`: Django's shell with the environment of the demo."""

import os
import sys
from pathlib import Path

from exchange import embedded, env

_ROOT = Path(__file__).resolve().parent.parent.parent

if __name__ == "__main__":
    data_dir = Path(env.text("DATA_DIR", str(_ROOT / ".data"))).resolve()
    if not (data_dir / "secret_key").exists():
        raise SystemExit("There is no demo yet: run `make demo` first.")
    os.environ |= {
        "EXCHANGE_MODE": "demo",
        "SECRET_KEY": (data_dir / "secret_key").read_text(),
        "DATABASE_URL": env.text("DATABASE_URL") or embedded.start(data_dir),
        "DATA_DIR": str(data_dir),
    }
    os.execv(sys.executable, [sys.executable, str(_ROOT / "manage.py"), "shell"])  # noqa: S606 - our own command
