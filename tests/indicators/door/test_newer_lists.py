"""The command that makes a newer snapshot, run whole: cloned over HTTP as from its source, and what is stored follows."""

from __future__ import annotations

import functools
import gzip
import json
import shutil
import subprocess
import threading
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from exchange import clock
from indicators.benign import service_hosts, suppressing
from indicators.door import snapshot
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.models import Carries, Progress
from indicators.stix import making
from tests import build
from tests.indicators.api.caller import Caller

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git, as the command's documentation does"),
]

HOST = "relay.shared-proxy.net"
NET = "185.220.101.0/24"
NAMES = [*(name for names in snapshot.USED.values() for name in names), snapshot.DISPOSABLE]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def source(tmp_path):
    """A repository as MISP's is laid out, served over HTTP; `commit` gives its lists other values."""
    repository = tmp_path / "misp-warninglists"
    repository.mkdir()

    def git(*words: str) -> None:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True)

    def commit(**grown: list[str]) -> None:
        bundled = json.loads(gzip.decompress(snapshot.BUNDLED.read_bytes()))
        held = {name: values for uses in bundled.values() for name, values in uses.items()}
        for name in NAMES:
            place = repository / "lists" / name / "list.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            values = held.get(name, ["mailbox.example"])[:50] + grown.get(name.replace("-", "_"), [])
            about = {
                "name": f"List of {name}",
                "version": 20261128,
                "type": "string",
                "matching_attributes": ["domain"],
            }
            place.write_text(json.dumps(about | {"list": values}))
        git("add", "-A")
        git("commit", "--allow-empty", "-qm", "Update")
        git("update-server-info")

    git("init", "-q")
    commit()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/misp-warninglists/.git", commit
        server.shutdown()


@pytest.fixture
def lists(settings, tmp_path, monkeypatch):
    settings.BENIGN_LISTS = str(tmp_path / "warninglists.json.gz")
    settings.ALLOW_EXAMPLE_VALUES = True
    shutil.copy(snapshot.BUNDLED, settings.BENIGN_LISTS)
    monkeypatch.setattr(service_hosts, "_remembered", None)
    monkeypatch.setattr(service_hosts, "_REMEMBERED_S", 0.0)
    suppressing.apply_pending()
    return Path(settings.BENIGN_LISTS)


def fetched(url, into):
    """As the documentation says: clone once, then pull."""
    words = ["git", "pull", "-q"] if into.exists() else ["git", "clone", "-q", url, str(into)]
    subprocess.run(words, cwd=into if into.exists() else None, check=True, capture_output=True)
    return into


def updated(checkout, **options):
    said = StringIO()
    call_command("benign_lists", str(checkout), stdout=said, **options)
    return said.getvalue()


@pytest.mark.slow
def test_a_list_that_grows_ends_entries_that_are_stored_and_one_that_shrinks_brings_them_back(
    source, lists, tmp_path, monkeypatch
):
    url, commit = source
    cast = build.the_cast()
    borealis = cast.viewer("borealis")
    made = [
        making.account_pattern("gateway_host", carrier={"value": HOST}),
        making.account_pattern("net", carrier={"value": NET}),
    ]
    published = build.publish(cast.viewer("aster"), *made, groups=("ring",))
    assert published.counts["accepted"] == 2, published.results
    assert listed(cast) == {HOST, NET}
    place = changes.since(borealis, Filter(), after=0, limit=99).reached
    assert "0 stored values are judged otherwise" in updated(fetched(url, tmp_path / "checkout"))
    commit(tranco10k=[HOST.upper()], fastly=["185.220.101.0/22"])
    assert "2 stored values are judged otherwise" in updated(fetched(url, tmp_path / "checkout"))
    assert listed(cast) == set()
    told = changes.since(borealis, Filter(), after=place, limit=99).changes
    assert {(one.op, one.reason, one.entries) for one in told} == {("upsert", "revised", "[]")}
    assert {one.stix_id for one in told} == {one["id"] for one in made}
    again = build.publish(cast.viewer("aster"), making.account_pattern("gateway_host", carrier={"value": HOST}))
    assert build.results(again)[0]["code"] == "benign-listed", "no process was started anew"
    commit()
    assert "2 stored values are judged otherwise" in updated(fetched(url, tmp_path / "checkout"))
    assert listed(cast) == {HOST, NET}


def listed(cast):
    content = b"".join(Caller(cast.keys["borealis"]).get("blocklists/all?format=text").streaming_content)
    return set(content.decode().split())


def test_what_an_old_process_let_in_meanwhile_is_judged_after_five_minutes(source, lists, tmp_path, monkeypatch):
    url, commit = source
    cast, old = build.the_cast(), service_hosts.read()
    commit(tranco10k=[HOST])
    updated(fetched(url, tmp_path / "checkout"))
    monkeypatch.setattr(service_hosts, "known", lambda: old)
    late = build.publish(cast.viewer("aster"), making.account_pattern("gateway_host", carrier={"value": HOST}))
    assert late.counts["accepted"] == 1
    assert suppressing.apply_pending() == 0
    then = clock.now() + timedelta(minutes=5)
    monkeypatch.setattr(clock, "now", lambda: then)
    assert suppressing.apply_pending() == 1
    assert suppressing.apply_pending() == 0
    held = Carries.unrestricted.filter(token_value__value=HOST)
    assert set(held.values_list("suppressed_by", flat=True)) == {"benign-listed"}


def test_after_an_upgrade_with_other_lists_what_is_stored_is_judged_by_itself(lists):
    cast = build.the_cast()
    build.publish(cast.viewer("aster"), making.account_pattern("gateway_host", carrier={"value": HOST}))
    found = json.loads(gzip.decompress(lists.read_bytes()))
    found["exact"]["tranco10k"].append(HOST)
    lists.write_bytes(gzip.compress(json.dumps(found).encode()))
    assert suppressing.apply_pending() == 1
    assert Progress.objects.get(name="benign lists").seq == snapshot.digest(service_hosts.read().lists)


def test_a_file_that_cannot_be_read_leaves_the_lists_of_before(lists):
    cast, before = build.the_cast(), service_hosts.known()
    for broken in (b"", b"\x1f\x8b not gzip", gzip.compress(b"{"), gzip.compress(b"{}"), gzip.compress(b"[1]")):
        lists.write_bytes(broken)
        assert service_hosts.known() == before
    lists.unlink()
    assert build.publish(cast.viewer("aster"), build.an_indicator()).counts["accepted"] == 1


def test_a_checkout_that_lacks_a_list_changes_nothing(source, lists, tmp_path):
    checkout, before = fetched(source[0], tmp_path / "checkout"), lists.read_bytes()
    (checkout / "lists" / "fastly" / "list.json").unlink()
    with pytest.raises(CommandError, match="fastly"):
        updated(checkout)
    (checkout / "lists" / "fastly" / "list.json").write_text("{")
    with pytest.raises(CommandError, match="cannot be read"):
        updated(checkout)
    assert lists.read_bytes() == before


def test_the_whole_bundled_snapshot_goes_through_the_command_and_comes_out_the_same(lists, tmp_path):
    bundled = json.loads(gzip.decompress(snapshot.BUNDLED.read_bytes()))
    for name in NAMES:
        of = {use: values[name] for use, values in bundled.items() if name in values}
        values = [f".{value}" if use == "suffix" else value for use, found in of.items() for value in found]
        place = tmp_path / "checkout" / "lists" / name / "list.json"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"name": name, "list": values}))
    updated(tmp_path / "checkout")
    assert json.loads(gzip.decompress(lists.read_bytes())) == bundled
