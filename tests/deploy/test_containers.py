"""deploy/Dockerfile, deploy/compose.yaml and deploy/sbom.py: what they name is there, and the same as systemd runs."""

from __future__ import annotations

import importlib.util
import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from exchange import brokers

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one.get("image", "").startswith("exchange")}
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
    assert "deploy/requirements.lock" in taken


def test_commands_are_ours_and_each_unit_of_systemd_has_its_container():
    said = (DEPLOY / "compose" / "nightly.sh").read_text() + " ".join(
        " ".join(one["command"]) for one in OURS.values() if "command" in one
    )
    assert set(re.findall(r"manage\.py (\w+)", said)) <= COMMANDS
    units = {path.stem.removeprefix("exchange-").rstrip("@") for path in (DEPLOY / "systemd").glob("*.service")}
    assert units - {name.partition("-")[0] for name in SERVICES} == {"backup", "drill", "verify"}, "these are `nightly`"
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
    bill = sbom.bill(lock, "0.1.0")
    pinned = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    assert [(one["name"], one["version"]) for one in bill["components"]] == [(name.lower(), at) for name, at in pinned]
    listed = [file["value"] for one in bill["components"] for file in one["properties"]]
    assert sorted(listed) == sorted(re.findall(r"sha256:([0-9a-f]{64})", lock))
    django = next(one for one in bill["components"] if one["name"] == "django")
    assert django["purl"] == f"pkg:pypi/django@{django['version']}"
    assert "BSD" in django["licenses"][0]["license"]["name"]


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
