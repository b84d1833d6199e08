"""A push of many batches that breaks between two: what was answered is told, and a repeated command doubles nothing."""

import http.client
import http.server
import json
import threading
from urllib.parse import urlsplit

import pytest

from exchange.client import Client, Unreachable
from exchange.client.calls import connection, publishing
from indicators.stix import making
from tests import build
from tests.exchange.client.test_building import MAP, a_table, cast, run

__all__ = ["cast", "run"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def breaking(live_server, monkeypatch):
    """A way to the exchange that carries each request; from the second batch on the answers are lost, or a `page`."""
    monkeypatch.setattr(connection, "pause_s", lambda attempt, wished: 0)
    there = urlsplit(live_server.url)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.batches += self.path.startswith(("/api/v1/batches", "/api/v1/objects/"))
            way = http.client.HTTPConnection(there.hostname, there.port)
            way.request(self.command, self.path, body, dict(self.headers))
            answer = way.getresponse()
            content = answer.read()
            way.close()
            self.close_connection = True
            broken = server.breaks and server.batches > 1 and self.command == "POST" and "/token" not in self.path
            if broken and not server.page:
                return
            if broken:
                self.send_response(200)
                for name, value in server.page[0].items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(server.page[1])
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.batches, server.breaks, server.url = 0, True, f"http://127.0.0.1:{server.server_port}"
    server.page = ()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def counts(out: str) -> tuple[int, int]:
    said = json.loads(out)["counts"]
    return said["accepted"], said["unchanged"]


def test_of_a_file_what_was_answered_is_told_and_written_and_the_rest_is_sent_again(cast, run, breaking, tmp_path):
    made = [making.account_pattern() for _ in range(5)]
    file, report = tmp_path / "five.json", tmp_path / "report.json"
    file.write_text(json.dumps({"objects": [made[0], made[1] | {"confidence": 101}, *made[2:]]}))
    push = ("publish", str(file), "--group", "ring", "--batch-size", "2", "--no-validate", "--report", str(report))
    status, out, err = run(cast.aster, *push, "--url", breaking.url)
    assert status == 2
    assert "accepted" in out
    assert "five.json[1]" in err
    assert "2 answered, 3 not: send all again, nothing is doubled." in err.splitlines()
    written = json.loads(report.read_text())
    assert (written["counts"]["accepted"], written["unanswered"]) == (1, [2, 3, 4])
    assert "does not answer" in written["stopped"]
    assert [one["index"] for one in written["refused"]] == [1]
    status, out, _ = run(cast.aster, *push, "--json")
    assert (status, counts(out), "stopped" in json.loads(out)) == (1, (1, 3), False)


def test_of_a_table_the_ids_so_far_are_written_and_it_is_published_again_without_doubles(
    cast, run, breaking, live_server, tmp_path
):
    (tmp_path / "map.toml").write_text(MAP)
    table = a_table(tmp_path / "t.csv", *(("", "", "", f"198.51.100.{number}", "80") for number in range(1, 6)))
    ids = tmp_path / "ids"
    push = ("publish", "--csv", table, "--map", str(tmp_path / "map.toml"), "--group", "ring", "--batch-size", "2")
    status, out, _ = run(cast.aster, *push, "--ids", str(ids), "--json", "--url", breaking.url)
    told = json.loads(out)
    assert (status, counts(out), told["unanswered"]) == (2, (2, 0), [2, 3, 4])
    first = [json.loads(line) for line in ids.read_text().splitlines()]
    assert [one["line"] for one in first] == [2, 3]
    breaking.breaks = False
    status, out, _ = run(cast.aster, *push, "--ids", str(ids), "--json", "--url", breaking.url)
    assert (status, sum(counts(out))) == (0, 5)  # what it took without an answer may get a new version
    assert [json.loads(line) for line in ids.read_text().splitlines()][:2] == first
    with Client(live_server.url, cast.keys["aster"]) as client:
        assert len(list(client.objects(type="indicator"))) == 5


def test_what_ended_before_it_broke_is_told(cast, run, breaking, monkeypatch):
    monkeypatch.setattr(publishing, "_IDS", 2)
    made = [making.account_pattern() for _ in range(5)]
    build.publish(cast.viewer("aster"), *made, groups=("ring",))
    ids = [one["id"] for one in made]
    status, out, err = run(cast.aster, "withdraw", *ids, "--url", breaking.url)
    assert (status, out.splitlines()) == (2, [f"{one}  withdrawn" for one in ids[:2]])
    assert "2 answered, 3 not: send all again, nothing is doubled." in err.splitlines()
    status, out, _ = run(cast.aster, "withdraw", *ids)
    said = ["already withdrawn"] * 4 + ["withdrawn"]
    assert (status, out.splitlines()) == (0, [f"{one}  {word}" for one, word in zip(ids, said, strict=True)])


def test_in_python_the_error_carries_what_was_answered(cast, breaking):
    made = [making.account_pattern() for _ in range(3)]
    with Client(breaking.url, cast.keys["aster"]) as client, pytest.raises(Unreachable) as broken:
        client.publish(made, groups=["ring"], batch_size=2)
    assert broken.value.answered is not None
    assert (broken.value.answered.counts["accepted"], broken.value.answered.unanswered) == (2, [2])


PAGE = b"<html>We are back soon</html>"


@pytest.mark.parametrize(
    "page",
    [
        ({"Content-Type": "text/html; charset=utf-8"}, PAGE),
        ({"Content-Encoding": "gzip"}, PAGE),
        ({"Content-Type": "text/plain"}, b"back soon"),
        ({"Content-Type": "application/json"}, b"[]"),
    ],
    ids=["page", "gzip", "text", "list"],
)
def test_what_something_on_the_way_says_under_200_is_no_answer_and_loses_none(cast, breaking, page):
    breaking.page = page
    made = [making.account_pattern() for _ in range(3)]
    with Client(breaking.url, cast.keys["aster"], retries=1) as client, pytest.raises(Unreachable) as broken:
        client.publish(made, groups=["ring"], batch_size=2)
    assert broken.value.answered is not None
    assert (broken.value.answered.counts["accepted"], broken.value.answered.unanswered) == (2, [2])
    assert "soon" not in str(broken.value)


def test_a_page_is_tried_again_and_then_the_report_is_written(breaking, cast, run, tmp_path):
    breaking.page, made = ({"Content-Type": "text/html"}, PAGE), [making.account_pattern() for _ in range(3)]
    file, report = tmp_path / "three.json", tmp_path / "report.json"
    file.write_text(json.dumps({"objects": made}))
    push = ("publish", str(file), "--group", "ring", "--batch-size", "2", "--no-validate", "--report", str(report))
    status, _, err = run(cast.aster, *push, "--url", breaking.url)
    assert (status, breaking.batches) == (2, 7)
    assert "2 answered, 1 not: send all again, nothing is doubled." in err.splitlines()
    assert json.loads(report.read_text())["unanswered"] == [2]
