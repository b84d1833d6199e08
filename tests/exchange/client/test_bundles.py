"""Bundles from the command line: written whole or not at all; and the report on what a push lost."""

import http.server
import json
import threading
import uuid

import pytest
from typer.testing import CliRunner

from exchange.client import Client, Unreachable
from exchange.client.cli import app
from indicators.stix import making
from tests import build


@pytest.fixture
def run(live_server):
    """The command line of Aster."""
    cast = build.the_cast()

    def command(*words, who="aster"):
        environment = {"EXCHANGE_URL": live_server.url, "EXCHANGE_API_KEY": cast.keys[who]}
        return CliRunner().invoke(app, [str(word) for word in words], env=environment)

    return command


def a_relationship(source: str, target: str) -> dict:
    return {
        "type": "relationship",
        "spec_version": "2.1",
        "id": f"relationship--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "relationship_type": "related-to",
        "source_ref": source,
        "target_ref": target,
    }


@pytest.mark.django_db(transaction=True)
def test_what_was_exported_is_what_was_published(run, tmp_path):
    made = [making.account_pattern(tlp_word="green"), making.prompt_signature(tlp_word="green")]
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps({"objects": made}, indent=1))
    assert run("publish", source).exit_code == 0
    assert run("export", "-o", target, "--kind", "prompt-signature").exit_code == 0
    assert json.loads(target.read_text())["objects"] == [made[1]]
    assert json.loads(run("export", "-o", "-", who="cygnus").stdout)["objects"] == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.json", "out.json"]
    assert run("export", "-o", target, "--feed", "x").exit_code != 0


@pytest.mark.django_db(transaction=True)
def test_a_file_that_holds_nothing_is_published_with_all_counts_zero(run, tmp_path):
    source = tmp_path / "none.json"
    for nothing in ({"objects": []}, {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": []}):
        source.write_text(json.dumps(nothing))
        done = run("publish", source, "--json")
        assert done.exit_code == 0
        assert set(json.loads(done.stdout)["counts"].values()) == {0}
    source.write_text("{}")
    assert run("publish", source).exit_code == 1


@pytest.mark.django_db(transaction=True)
def test_the_report_looks_over_all_batches_of_a_push(run, tmp_path):
    first, last, refused = making.account_pattern(), making.account_pattern(), making.account_pattern()
    refused["valid_until"] = "yesterday"
    absent = f"tool--{uuid.uuid4()}"
    sloppy = {"type": "tool", "id": f"tool--{uuid.uuid4()}", "name": "x"}
    names = [a_relationship(first["id"], target) for target in (last["id"], refused["id"], absent)]
    source, report = tmp_path / "in.ndjson", tmp_path / "report.json"
    source.write_text("\n".join(json.dumps(one) for one in [first, *names, sloppy, refused, last]))
    done = run("publish", source, "--batch-size", 2, "--report", report)
    assert done.exit_code == 1
    told = json.loads(report.read_text())
    assert told["counts"] == {
        "accepted": 6,
        "unchanged": 0,
        "withdrawn": 0,
        "waiting": 0,
        "quarantined": 0,
        "refused": 1,
        "marked": 1,
    }
    assert [(one["index"], one["code"]) for one in told["refused"]] == [(5, "bad-timestamp")]
    assert {(one["index"], one["code"]) for one in told["marked"]} == {
        (4, "missing-property"),
        (4, "missing-spec-version"),
    }
    assert [(one["index"], one["ref"]) for one in told["unresolved"]] == [(3, absent)]
    assert [(one["index"], one["ref"]) for one in told["dangling"]] == [(2, refused["id"])]
    assert "reference that leads nowhere" in " ".join(done.stdout.split())


def test_a_bundle_that_breaks_off_leaves_no_file(tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"type":"bundle"')

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with Client(f"http://127.0.0.1:{server.server_port}", "exk_x") as client, pytest.raises(Unreachable):
            client.export(tmp_path / "out.json")
    finally:
        server.shutdown()
        server.server_close()
    assert list(tmp_path.iterdir()) == []
