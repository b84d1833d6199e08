"""deploy/Dockerfile, deploy/compose.yaml and deploy/sbom.py: what they name is there, and the same as systemd runs."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
from fnmatch import fnmatch
from ipaddress import ip_address, ip_network
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from exchange import brokers

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one.get("image", "").startswith("exchange")}
#: The one that is begun by hand, as root, and has rights (`restore`).
BY_HAND = {"restore"}
COMMANDS = {path.stem for room in ("exchange", "partners") for path in (ROOT / room).glob("management/commands/*.py")}


def test_every_container_of_ours_has_no_rights_and_writes_nowhere_but_into_volumes():
    assert {
        "web-a",
        "web-b",
        "streams",
        "worker",
        "webhooks",
        "connections",
        "beat",
        "archive",
        "nightly",
        "keys",
    } <= set(OURS)
    for name, one in OURS.items():
        assert one["read_only"] is True, name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert "ports" not in one, name
        assert ("cap_add" in one) == ("user" in one) == (name in BY_HAND), name
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["proxy"]
    for name in ("db", "broker", "keys-db"):
        assert set(SERVICES[name]["networks"]) <= {"back", "keys"}, name
    assert all(COMPOSE["networks"][name] == {"internal": True} for name in ("back", "keys"))


def test_what_is_mounted_and_built_is_there():
    for name, one in SERVICES.items():
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            known = (DEPLOY / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
            assert known or source == "./tls", (name, source)
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    assert {one["build"]["target"] for one in OURS.values() if "build" in one} <= targets
    taken = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert all((ROOT / name).exists() for name in taken)


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.agent"])
def test_what_an_image_copies_is_let_in_and_what_it_installs_has_a_hash(name):
    ignored, *taken = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored == "*"
    text = (DEPLOY / name).read_text().replace("\\\n", " ")
    text = text.replace("${LOCK}", "requirements.lock")
    sources = [
        source for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for source in line.split()[:-1]
    ]
    for source in sources:
        let_in = any(fnmatch(source, one[1:]) or source.startswith(f"{one[1:]}/") for one in taken if one[0] == "!")
        assert source == "." or (let_in and (ROOT / source).exists()), source
    for said in re.findall(r"pip (?:install|wheel) [^&\n]+", text):
        assert "--require-hashes" in said or {"--no-deps", "--no-index"} <= set(said.split()), said
    assert all("--no-compile" in said for said in re.findall(r"pip install [^&\n]+", text))


def test_compose_takes_the_file():
    spec = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    checked = jsonschema_rs.validator_for(spec)
    assert [(list(wrong.instance_path), wrong.message) for wrong in checked.iter_errors(COMPOSE)] == []
    for name, one in SERVICES.items():
        assert set(one.get("depends_on", ())) <= set(SERVICES), name
        assert set(one.get("networks", ())) <= set(COMPOSE["networks"]), name


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="takes root and setpriv")
def test_the_proxy_reads_a_key_that_is_its_owners_alone(tmp_path):
    key = tmp_path / "exchange.example.key"
    key.write_text("secret")
    key.chmod(0o600)
    os.chown(key, 1000, 1000)
    tmp_path.chmod(0o755)
    done = subprocess.run(with_rights(SERVICES["proxy"], "cat", str(key)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "secret"), done.stderr


def with_rights(service, *command):
    """The line that begins a command as root of a container does: with the rights that compose leaves it."""
    assert service["cap_drop"] == ["ALL"]
    kept = ",".join(["-all", *(f"+{right.lower()}" for right in service["cap_add"])])
    return ["setpriv", f"--bounding-set={kept}", "--inh-caps=-all", "--no-new-privs", *command]


def test_a_restore_by_compose_begins_nothing_else_and_reaches_what_it_needs():
    restore = SERVICES["restore"]
    assert restore["depends_on"] == {}, "neither PostgreSQL nor `prepare` runs meanwhile"
    assert restore["profiles"] == ["restore"]
    volumes = dict(volume.split(":")[:2] for volume in restore["volumes"])
    assert volumes["db"] == SERVICES["db"]["volumes"][0].partition(":")[2]
    assert volumes["backup"] == "/var/backups/exchange"
    version = re.fullmatch(r"postgres:(\d+)-\w+", SERVICES["db"]["image"])[1]
    assert f"{volumes['db']}/{version}/docker" in restore["entrypoint"]
    assert f"ARG POSTGRES=postgres:{version}-" in (DEPLOY / "Dockerfile").read_text()


def test_commands_are_ours_and_each_unit_of_systemd_has_its_container():
    said = (DEPLOY / "compose" / "nightly.sh").read_text() + " ".join(
        " ".join(one["command"]) for one in OURS.values() if "command" in one
    )
    assert set(re.findall(r"manage\.py (\w+)", said)) <= COMMANDS
    units = {path.stem.removeprefix("exchange-").rstrip("@") for path in (DEPLOY / "systemd").glob("*.service")}
    assert units - {name.partition("-")[0] for name in SERVICES} == {
        *("backup", "drill", "verify"),  # these are `nightly`
        *("keys-archive", "keys-backup"),  # in compose the key service is for a trial
    }
    for name in ("worker", "webhooks", "connections"):
        unit = (DEPLOY / "systemd" / f"exchange-{name}.service").read_text()
        words = " ".join(SERVICES[name]["command"]).replace("=", " ")
        for option in ("--pool threads", "--without-gossip", "--without-mingle"):
            assert option in words, (name, option)
        for pattern in (r"--concurrency \d+", r"--queues \w+"):
            assert re.search(pattern, words)[0] == re.search(pattern, unit)[0], name


def test_the_proxy_finds_what_compose_runs():
    upstreams = (DEPLOY / "compose" / "upstreams.conf").read_text()
    assert set(re.findall(r"server ([\w-]+):8000", upstreams)) == {"web-a", "web-b", "streams"}
    written = re.findall(r"^upstream (\w+)", (DEPLOY / "nginx-upstreams.conf").read_text(), re.MULTILINE)
    assert re.findall(r"^upstream (\w+)", upstreams, re.MULTILINE) == written
    assert set(re.findall(r"proxy_pass http://(\w+)", (DEPLOY / "nginx.conf").read_text())) == set(written)


def test_nobody_who_begins_before_the_proxy_is_given_its_address():
    (front,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    own = ip_address(COMPOSE["services"]["proxy"]["networks"]["front"]["ipv4_address"])
    assert own in ip_network(front["subnet"])
    assert own not in ip_network(front["ip_range"])


def test_the_bill_of_materials_lists_each_library_with_all_its_files():
    spec = importlib.util.spec_from_file_location("sbom", DEPLOY / "sbom.py")
    sbom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sbom)
    lock = (DEPLOY / "requirements.lock").read_text()
    browser = (DEPLOY / "browser" / "package-lock.json").read_text()
    bill = sbom.bill(lock, "0.1.0", browser=browser)
    pinned = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    of_python = [one for one in bill["components"] if one["purl"].startswith("pkg:pypi/")]
    assert [(one["name"], one["version"]) for one in of_python] == [(name.lower(), at) for name, at in pinned]
    listed = [file["value"] for one in of_python for file in one["properties"]]
    assert sorted(listed) == sorted(re.findall(r"sha256:([0-9a-f]{64})", lock))
    django = next(one for one in bill["components"] if one["name"] == "django")
    assert django["purl"] == f"pkg:pypi/django@{django['version']}"
    assert "BSD" in django["licenses"][0]["license"]["name"]
    wanted = json.loads((DEPLOY / "browser" / "package.json").read_text())["dependencies"]
    bundled = {one["name"]: one for one in bill["components"] if one["purl"].startswith("pkg:npm/")}
    assert {name: bundled[name]["version"] for name in wanted} == wanted
    assert not {"esbuild", "axe-core"} & set(bundled), "they only build and try"
    (kept,) = bundled["@noble/curves"]["hashes"]
    locked = json.loads(browser)["packages"]["node_modules/@noble/curves"]["integrity"]
    assert (kept["alg"], kept["content"]) == ("SHA-512", base64.b64decode(locked.partition("-")[2]).hex())
    assert bundled["@noble/curves"]["purl"] == f"pkg:npm/%40noble/curves@{wanted['@noble/curves']}"


@pytest.mark.parametrize(
    ("url", "kind", "arguments"),
    [
        ("amqp://a@b//", "quorum", {"x-queue-type": "quorum"}),
        ("amqps://a@b//", "quorum", {"x-queue-type": "quorum"}),
        ("amqp://a@b//", "classic", {}),
        ("redis://b/0", "quorum", {}),
        ("pgmq://b", "quorum", {}),
    ],
)
def test_rabbitmq_alone_keeps_quorum_queues(url, kind, arguments):
    assert brokers.queue_arguments(url, kind) == arguments
