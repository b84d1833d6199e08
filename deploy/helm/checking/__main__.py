"""Render the chart as clusters would, and check what comes out: `python deploy/helm/checking`.

Sets up helm and Kubernetes' schemas under .tools/helm at the first call, by the hashes in the locks beside this file.
Each rendering is linted, validated strictly against the schemas, and looked through for what no process may lack.
"""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TOOLS = ROOT / ".tools" / "helm"
HELM = TOOLS / "helm"
VERSIONS = ("1.29", "1.34")
#: What a cluster says besides the defaults.
WAYS: dict[str, list[str]] = {
    "defaults": [],
    "all set": [
        "--set=database.secret=pg-app,ingress.className=nginx,ingress.tlsSecret=,snapshots.claim=shared",
        "--set=hosts={exchange.example,www.exchange.example},settings.PROXY_COUNT=1,settings.BROKER_QUEUES=quorum",
        "--set=secretKeys={SECRET_KEY,AUDIT_SIGNING_KEY,CELERY_BROKER_URL,KEY_SERVICE_TOKEN},nodeSelector.disk=fast",
        f"--set=image.digest=sha256:{'0' * 64}",
    ],
    "as many as said": [
        "--set=web.maxReplicas=0,worker.maxReplicas=0,webhooks.maxReplicas=0,networkPolicy.enabled=false"
    ],
    "key service": ["--set=only=keys"],
}
#: What the chart refuses: a secret among the settings, no host, a word that it does not know.
REFUSED = ('settings.SECRET_KEY="x"', 'settings.DATABASE_URL="x"', "hosts=[]", "web.replica=3", 'only="web"')


def set_up() -> None:
    """Helm and the schemas, once."""
    if HELM.exists():
        return
    uv = next(path for name in ("venv", "flat") if (path := ROOT / ".tools" / name / "bin" / "uv").exists())
    into = [str(uv), "pip", "install", "--quiet", "--no-config", "--require-hashes", f"--python={sys.executable}"]
    alike = {
        "UV_SYSTEM_CERTS": "1",
        "UV_NATIVE_TLS": "1",
        "UV_CACHE_DIR": str(ROOT / ".tools" / "uv-cache"),
    }  # bootstrap's
    for lock, more in (("schemas.lock", []), ("helm.lock", ["--no-deps"])):
        subprocess.run(
            [*into, f"--target={TOOLS / 'lib'}", *more, "-r", str(HERE / lock)], check=True, env=alike | os.environ
        )
    (layer,) = (TOOLS / "lib").glob("aws_cdk/*/_jsii/*.tgz")
    with tarfile.open(layer) as packed, zipfile.ZipFile(io.BytesIO(_read(packed, "package/lib/layer.zip"))) as binaries:
        HELM.write_bytes(binaries.read("helm/helm"))
    HELM.chmod(HELM.stat().st_mode | stat.S_IXUSR)
    layer.unlink()


def _read(packed: tarfile.TarFile, name: str) -> bytes:
    file = packed.extractfile(name)
    assert file is not None
    return file.read()


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """What helm says, with nothing of its user's."""
    env = {"PATH": os.environ["PATH"], "HOME": str(TOOLS)}
    return subprocess.run([str(HELM), *words], capture_output=True, text=True, check=False, env=env)


def rendered(words: list[str]) -> Iterator[dict[str, Any]]:
    """The objects of one way to install it."""
    import yaml

    for command in (["lint", str(HERE.parent), "--strict"], ["template", "x", str(HERE.parent)]):
        said = helm(*command, *words)
        if said.returncode:
            raise SystemExit(f"helm {' '.join([*command, *words])}\n{said.stdout}{said.stderr}")
    yield from filter(None, yaml.safe_load_all(said.stdout))


def main() -> None:
    """Say what was checked, or exit with what is wrong."""
    set_up()
    sys.path.insert(0, str(TOOLS / "lib"))
    import kubernetes_validate

    for way, words in WAYS.items():
        objects = list(rendered(words))
        _look_at_paths(objects)
        for one in objects:
            for version in VERSIONS:
                kubernetes_validate.validate(one, version, strict=True)
            _look(one)
        print(f"{way}: {len(objects)} objects")
    for words in REFUSED:
        if helm("template", "x", str(HERE.parent), "--set-json", words).returncode == 0:
            raise SystemExit(f"the chart takes {words}")


def _look_at_paths(objects: list[dict[str, Any]]) -> None:
    """No Ingress writes down what holds a token in its address."""
    doors = [one for one in objects if one["kind"] == "Ingress"]
    quiet = {
        path["path"]
        for one in doors
        if one["metadata"].get("annotations", {}).get("nginx.ingress.kubernetes.io/enable-access-log") == "false"
        for rule in one["spec"]["rules"]
        for path in rule["http"]["paths"]
    }
    assert not doors or quiet >= {"/api/v1/lists", "/account/invitation", "/account/password/link"}, quiet


def _look(one: dict[str, Any]) -> None:
    """Each pod: not root, no token of the cluster, files that it cannot write, no secret in its environment."""
    spec = one["spec"] if isinstance(one.get("spec"), dict) else {}
    pod = spec.get("jobTemplate", {}).get("spec", spec).get("template", {}).get("spec")
    if not pod:
        return
    name = f"{one['kind']} {one['metadata']['name']}"
    assert pod["automountServiceAccountToken"] is False, name
    assert pod["securityContext"]["runAsNonRoot"], name
    for container in pod["containers"]:
        may = container["securityContext"]
        assert may["readOnlyRootFilesystem"], name
        assert may["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"]["memory"], name
        places = {mount["mountPath"] for mount in container["volumeMounts"]}
        for variable in container["env"]:
            assert (
                not variable["name"].endswith("_DIR") or variable["value"] in places or "snapshots" in variable["value"]
            ), f"{name}: {variable['name']} is no volume"
            secret = any(word in variable["name"] for word in ("SECRET", "TOKEN", "SIGNING_KEY", "DATABASE_URL"))
            assert not secret or variable["name"].endswith("_FILE"), f"{name}: {variable['name']}"


if __name__ == "__main__":
    main()
