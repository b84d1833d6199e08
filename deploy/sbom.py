"""What the server is made of, as CycloneDX 1.6: `python deploy/sbom.py deploy/requirements.lock > sbom.cdx.json`.

Each library of the lock with its version and the SHA-256 of every file that an installation may take; its licence, as
its own metadata says it, where it is installed. Then what the portal's scripts are bundled of (`deploy/browser`), each
with the SHA-512 of its package. The same locks and environment give the same bytes.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

_PINNED = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def components(lock: str) -> list[dict[str, Any]]:
    """The libraries of a lock in the form of `pip install --require-hashes`, in its order."""
    found: list[dict[str, Any]] = []
    for line in lock.splitlines():
        if pinned := _PINNED.match(line):
            found.append(_component(pinned["name"].lower(), pinned["version"]))
        elif found and (file := _HASH.search(line)):
            found[-1]["properties"].append({"name": "exchange:file:sha256", "value": file[1]})
    return found


def _component(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licence := _licence(name):
        component["licenses"] = [{"license": {"name": licence}}]
    return component | {"properties": []}


def _licence(name: str) -> str:
    """One line of what an installed library says of its licence; "" where it is not here, or says nothing."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classified = [one.rpartition(" :: ")[2] for one in said.get_all("Classifier", []) if one.startswith("License :: ")]
    written = said.get("License-Expression") or " OR ".join(classified) or said.get("License") or ""
    return written.strip().split("\n")[0][:200]


def bundled(lock: str) -> list[dict[str, Any]]:
    """The libraries of npm's lock (version 3) that are in the bundles: all but those that only build or try them."""
    found = []
    for place, one in json.loads(lock)["packages"].items():
        if not place or one.get("dev"):
            continue
        name = place.rpartition("node_modules/")[2]
        algorithm, _, digest = one["integrity"].partition("-")
        purl = f"pkg:npm/{quote(name, safe='/')}@{one['version']}"
        component = {"type": "library", "bom-ref": purl, "name": name, "version": one["version"], "purl": purl}
        hashes = [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}]
        found.append(component | {"licenses": [{"license": {"name": one["license"]}}], "hashes": hashes})
    return found


def bill(lock: str, version: str, *, browser: str) -> dict[str, Any]:
    """The whole document, of the lock of Python's libraries and npm's of the bundles."""
    ours = {"type": "application", "bom-ref": "exchange", "name": "exchange", "version": version}
    parts = components(lock) + bundled(browser)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours},
        "components": parts,
        "dependencies": [{"ref": "exchange", "dependsOn": [part["bom-ref"] for part in parts]}],
    }


if __name__ == "__main__":
    _root = Path(__file__).resolve().parents[1]
    _project = re.search(r'^version = "(.+)"$', (_root / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    _bill = bill(
        Path(sys.argv[1]).read_text(encoding="utf-8"),
        _project[1] if _project else "0",
        browser=(_root / "deploy/browser/package-lock.json").read_text(encoding="utf-8"),
    )
    json.dump(_bill, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
