"""The peer: medallion, the TAXII server that installs from the registry, with its store in memory.

It has an environment of its own under `.tools`, made when it is first wanted from a lock with hashes. Run by granian
like all others, but as one process: its memory is its store.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_HOME = _ROOT / ".tools" / "peer"
_LOCK = _ROOT / "bench" / "peer.lock"
COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
OBJECTS = f"/peer/collections/{COLLECTION}/objects/"
MEDIA = "application/taxii+json;version=2.1"
HEADERS = {"Authorization": "Basic " + base64.b64encode(b"bench:bench").decode(), "Accept": MEDIA}


#: What it has to begin with: a page of 1,000 out of 10,000 takes it minutes.
STORED = 1_000


class Missing(Exception):
    """The peer cannot be had here; says why."""


def python() -> Path:
    """The interpreter of the peer's environment, set up where it is missing. Raises Missing."""
    interpreter, stamp = _HOME / "bin" / "python", _HOME / "locked"
    if stamp.exists() and stamp.read_text() == _LOCK.read_text():
        return interpreter
    uv = next((path for kind in ("venv", "flat") if (path := _ROOT / ".tools" / kind / "bin" / "uv").exists()), None)
    if uv is None:
        raise Missing("uv is not set up; `make bench` does it")
    environment = os.environ | {"UV_NO_PROGRESS": "1"}
    for command in (
        [uv, "venv", "--quiet", "--no-config", "--clear", "--python", _ROOT / ".venv" / "bin" / "python", _HOME],
        [uv, "pip", "sync", "--quiet", "--no-config", "--require-hashes", "--python", interpreter, _LOCK],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"it cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    stamp.write_text(_LOCK.read_text())
    return interpreter


def configure(directory: Path, objects: Iterable[Mapping[str, Any]]) -> Path:
    """medallion's configuration, and its store with these objects: adding them one by one would take it minutes."""
    stored, listed = [], []
    for place, one in enumerate(objects):
        stored.append(one)
        added = f"2026-01-01T{place // 3600 % 24:02}:{place // 60 % 60:02}:{place % 60:02}.{place // 86400:06}Z"
        version = {"date_added": added, "id": one["id"], "version": one["modified"]}
        listed.append(version | {"media_type": "application/stix+json;version=2.1"})
    collection = {"id": COLLECTION, "title": "all", "can_read": True, "can_write": True}
    collection |= {"media_types": ["application/stix+json;version=2.1"], "objects": stored, "manifest": listed}
    information = {"title": "peer", "versions": [MEDIA], "max_content_length": 104_857_600}
    store, configuration = directory / "peer-data.json", directory / "peer.json"
    data = {
        "/discovery": {"title": "peer", "default": "/peer/", "api_roots": ["/peer/"]},
        "peer": {"information": information, "status": [], "collections": [collection]},
    }
    store.write_text(json.dumps(data))
    backend = {"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend", "filename": str(store)}
    configuration.write_text(
        json.dumps({"users": {"bench": "bench"}, "taxii": {"max_page_size": 1_000}, "backend": backend})
    )
    return configuration
