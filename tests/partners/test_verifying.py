"""The log over the API, and verifying it offline: by exports, heads and nothing else."""

from __future__ import annotations

import base64
import json
import shutil
from datetime import timedelta

import pytest
from django.db import connection
from typer.testing import CliRunner

from exchange.client import audit as offline
from exchange.client import merkle, statements
from exchange.client.api import Client
from exchange.client.cli import app
from partners.log import audit, logkeys, transparency
from partners.models import AuditLeaf, AuditRecord
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, another, at, code, read

pytestmark = pytest.mark.django_db
ALWAYS = timedelta(0)


def grow() -> None:
    """What the task does, without waiting for the next minute."""
    transparency.seal(every=ALWAYS)


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def counsel(cast):
    """A key of Aster's that may read the log."""
    return another(cast.aster, Scope.READ, Scope.ADMIN)


@pytest.fixture
def history(cast, counsel):
    """Batches of Aster and of Borealis, under a published head."""
    for _ in range(3):
        build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
        build.publish(cast.viewer("borealis"), build.an_indicator(), everyone=True)
    grow()


def exported(counsel, query: str = "") -> bytes:
    answer = counsel.get(f"log/export{query}")
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return b"".join(answer.streaming_content)


def pinned() -> list[str]:
    return [base64.b64encode(logkeys.public_key()).decode()]


@pytest.fixture
def keep(tmp_path):
    """Write what was fetched to a file."""
    number = iter(range(1_000))

    def write(content: bytes | dict):
        path = tmp_path / f"{next(number)}.json"
        if isinstance(content, dict):
            content = json.dumps({"type": "head", "format": offline.HEAD_FORMAT} | content).encode() + b"\n"
        path.write_bytes(content)
        return path

    return write


# --- The API


def test_a_partner_reads_its_own_records_and_nobody_elses(cast, counsel, history):
    seen = read(counsel.get("log/records"))["records"]
    mine = AuditRecord.objects.filter(partner=cast.aster)
    assert len(seen) == mine.count() < AuditRecord.objects.count()
    text = json.dumps(seen)
    for other in (cast.borealis, cast.cygnus):
        assert str(other.pk) not in text
        assert other.slug not in text
    batch = next(one for one in seen if one["verb"] == "batch.published")
    assert batch["details"]["shared"][0]["groups"] == ["ring"]
    assert merkle.leaf_hash(entry_of(batch, cast.aster)).hex() == batch["leaf"]


def entry_of(record: dict, partner) -> bytes:
    """RFC 8785 for what our records hold: sorted keys, no spaces."""
    document = {name: record[name] for name in ("at", "verb", "actor", "target", "details", "nonce")}
    document |= {"v": 1, "partner": str(partner.pk)}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_records_are_paged_and_filtered(counsel, history):
    def walk(query: str) -> list[dict]:
        found, cursor = [], ""
        while True:
            page = read(counsel.get(f"log/records?limit=2&cursor={cursor}{query}"))
            found += page["records"]
            cursor = page["next"] or ""
            if not cursor:
                return found

    everything = read(counsel.get("log/records"))["records"]
    assert walk("") == everything
    assert {one["verb"] for one in walk("&verb=batch.published")} == {"batch.published"}
    assert len(walk("&group=ring")) == 3
    assert walk("&group=nowhere") == walk("&until=2020-01-01") == walk("&since=2099-01-01") == []
    assert len(walk("&since=2020-01-01&until=9999-12-31")) == len(everything)
    page = read(counsel.get("log/records?limit=2"))
    assert code(counsel.get(f"log/records?verb=x&cursor={page['next']}"), 400) == "bad-cursor"
    assert at(counsel.get("log/records?since=yesterday")) == "/since"


def test_a_place_is_told_only_under_a_published_head(cast, counsel, history):
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    newest = read(counsel.get("log/records?limit=1"))["records"][0]
    transparency.seal(every=timedelta(hours=1))
    assert read(counsel.get("log/records?limit=1"))["records"][0]["index"] is None
    assert code(counsel.get(f"log/proof/inclusion?leaf={newest['leaf']}"), 404) == "not-found"
    grow()
    assert read(counsel.get("log/records?limit=1"))["records"][0]["index"] is not None
    assert read(counsel.get(f"log/proof/inclusion?leaf={newest['leaf']}"))["entry"]


def test_proofs_over_the_api_hold(counsel, history):
    head = read(counsel.get("log/head"))["head"]
    for record in read(counsel.get("log/records"))["records"]:
        proof = read(counsel.get(f"log/proof/inclusion?leaf={record['leaf']}&size={head['size']}"))
        assert proof["index"] == record["index"]
        assert merkle.leaf_hash(proof["entry"].encode()).hex() == record["leaf"]
        assert merkle.includes(
            bytes.fromhex(record["leaf"]),
            proof["index"],
            head["size"],
            proof=[bytes.fromhex(one) for one in proof["proof"]],
            root=bytes.fromhex(head["root"]),
        )


def test_heads_keys_and_consistency_are_for_any_key(cast, counsel, history):
    first = read(counsel.get("log/head"))["head"]
    build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    for caller in (Caller(cast.keys["cygnus"]), another(cast.dorado, Scope.READ), another(cast.aster, Scope.PUBLISH)):
        later = read(caller.get(f"log/head?first={first['size']}"))
        assert (
            later["consistency"]["proof"]
            == read(caller.get(f"log/proof/consistency?first={first['size']}&second={later['head']['size']}"))["proof"]
        )
        assert read(caller.get("log/keys"))["keys"] == later["keys"]
        assert code(caller.get(f"log/head?first={first['size'] - 1}"), 404) == "not-found", "no such head was published"
    assert code(caller.get("log/proof/consistency?first=0&second=3"), 422) == "bad-parameter"
    assert code(caller.get(f"log/proof/consistency?first={later['head']['size']}&second={first['size']}"), 422)


def test_absent_and_foreign_records_are_the_same_answer(cast, counsel, history):
    foreign = AuditRecord.objects.filter(partner=cast.borealis).order_by("-pk")[0]
    hidden = counsel.get(f"log/proof/inclusion?leaf={bytes(foreign.leaf_hash).hex()}")
    absent = counsel.get(f"log/proof/inclusion?leaf={'ab' * 32}")
    assert hidden.status_code == absent.status_code == 404
    drop = "request_id"
    assert {k: v for k, v in hidden.json().items() if k != drop} == {
        k: v for k, v in absent.json().items() if k != drop
    }


@pytest.mark.parametrize("path", ["records", "export", f"proof/inclusion?leaf={'ab' * 32}"])
def test_a_key_without_audit_reads_no_log(cast, history, path):
    assert code(Caller(cast.keys["aster"]).get(f"log/{path}"), 403) == "missing-scope"


def test_an_export_costs_the_same_queries_however_many_records_it_holds(
    cast, counsel, history, django_assert_max_num_queries
):
    with django_assert_max_num_queries(12):
        exported(counsel)
    for _ in range(20):
        build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    with django_assert_max_num_queries(12):
        assert exported(counsel).count(b"\n") > 25


# --- Offline


def test_an_export_verifies_offline_with_a_pinned_key_and_with_its_own(counsel, history, keep):
    export = keep(exported(counsel))
    report = offline.verify(export, public_keys=pinned())
    assert report.ok
    assert report.notes == []
    assert len(report.verified) == 3
    assert offline.verify(export).notes, "the user is told that nobody vouched for the key"
    stranger = base64.b64encode(bytes(range(32))).decode()
    assert not offline.verify(export, public_keys=[stranger]).ok


def test_a_later_export_proves_that_it_extends_a_kept_one(cast, counsel, history, keep):
    earlier, head = keep(exported(counsel)), keep(read(counsel.get("log/head")))
    build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    size = offline.read_head(earlier).size
    later = keep(exported(counsel, f"?first={size}"))
    for kept in (earlier, head):
        report = offline.verify(later, kept=kept)
        assert report.ok, report.problems
    assert any("all" in line and "earlier export" in line for line in offline.verify(later, kept=earlier).verified)
    newer_head = keep(read(counsel.get(f"log/head?first={size}")))
    assert offline.verify(earlier, kept=newer_head).ok
    without = offline.verify(keep(exported(counsel)), kept=head)
    assert any("--since" in line for line in without.problems)


def test_an_export_of_another_partner_shows_nothing_of_this_one(cast, history):
    theirs = another(cast.cygnus, Scope.READ, Scope.ADMIN)
    text = exported(theirs).decode()
    assert cast.aster.slug not in text
    assert str(cast.aster.pk) not in text
    assert str(cast.borealis.pk) not in text
    assert "batch.published" not in text


def lines_of(content: bytes) -> list[dict]:
    return [json.loads(line) for line in content.splitlines()]


def as_file(lines: list[dict]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_an_export_that_was_changed_is_found_out(counsel, history, keep):
    content = exported(counsel)
    lines = content.splitlines(keepends=True)

    def problems(changed: list[bytes]) -> list[str]:
        report = offline.verify(keep(b"".join(changed)), public_keys=pinned())
        assert not report.ok
        return report.problems

    rewritten = lines[3].replace(b'\\"actor\\":\\"', b'\\"actor\\":\\"x')
    assert any("is not what the log holds" in line for line in problems([*lines[:3], rewritten, *lines[4:]]))
    assert any("as it was signed" in line for line in problems([*lines[:3], *lines[4:]]))
    assert any("out of order" in line for line in problems([lines[0], lines[2], lines[1], *lines[3:]]))
    assert any("cut off" in line for line in problems(lines[:-1]))
    assert any("behind the signed end" in line for line in problems([*lines, lines[1]]))
    head = lines[0].replace(b'"size":', b'"size":1')
    assert any("not signed" in line for line in problems([head, *lines[1:]]))
    end = json.loads(lines[-1]) | {"records": 1}
    assert problems([*lines[:-1], json.dumps(end).encode() + b"\n"])


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"[]\n", b'{"head": 1}\n', b'{"type":"header"}\n'])
def test_a_file_that_is_no_export_is_said_to_be_none(keep, content):
    with pytest.raises(offline.Unusable):
        offline.verify(keep(content))


def test_a_signature_of_one_thing_is_none_of_another():
    text = statements.head_text(size=1, root="00" * 32, at="x")
    assert not text.startswith(statements.export_text(records=1, sha256="00" * 32)[:12])
    signed = logkeys.sign_text(text)
    other = statements.export_text(records=1, sha256="00" * 32)
    assert not statements.is_signed(other, signature=signed, public_key=logkeys.public_key())


# --- A database that somebody has been at, seen from outside


def by_hand(*changes: tuple[str, list]) -> None:
    tables = ("partners_auditrecord", "partners_auditleaf", "partners_auditnode", "partners_treehead")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for sql, values in changes:
            cursor.execute(sql, values)
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


REWRITE = "UPDATE partners_auditrecord SET details = '{\"counts\": {}}' WHERE id = %s"


def a_leaf(cast) -> AuditLeaf:
    """Of a batch of Aster's, in the middle of the log."""
    return AuditLeaf.objects.filter(record__partner=cast.aster, record__verb="batch.published").order_by("index")[1]


def new_hash(leaf: AuditLeaf) -> bytes:
    record = AuditRecord.objects.get(pk=leaf.record_id)
    record.details = {"counts": {}}
    return merkle.leaf_hash(audit.canonical(record))


def rewrite(leaf: AuditLeaf, how: str) -> list[tuple[str, list]]:
    new = new_hash(leaf)
    steps = {
        "record": (REWRITE, [leaf.record_id]),
        "hash": ("UPDATE partners_auditrecord SET leaf_hash = %s WHERE id = %s", [new, leaf.record_id]),
        "leaf": ("UPDATE partners_auditleaf SET leaf_hash = %s WHERE index = %s", [new, leaf.index]),
    }
    order = list(steps)
    return [steps[name] for name in order[: order.index(how) + 1]]


@pytest.mark.parametrize("how", ["record", "hash", "leaf"])
def test_an_export_of_a_rewritten_record_does_not_verify(cast, counsel, history, keep, how):
    by_hand(*rewrite(a_leaf(cast), how))
    report = offline.verify(keep(exported(counsel)), public_keys=pinned())
    assert any("is not what the log holds" in line for line in report.problems)


def test_a_log_that_was_made_anew_and_signed_anew_is_found_out_by_a_kept_export(cast, counsel, history, keep):
    """Somebody with the database and with the exchange itself: all hashes are right again, and the head is signed."""
    kept = keep(exported(counsel))
    leaf = a_leaf(cast)
    rows = AuditLeaf.objects.order_by("index").values_list("record_id", flat=True)
    order = list(rows)
    by_hand(
        (REWRITE, [leaf.record_id]),
        ("UPDATE partners_auditrecord SET leaf_hash = %s WHERE id = %s", [new_hash(leaf), leaf.record_id]),
        ("DELETE FROM partners_treehead", []),
        ("DELETE FROM partners_auditnode", []),
        ("DELETE FROM partners_auditleaf", []),
        ("INSERT INTO partners_auditwaiting SELECT unnest(%s::bigint[])", [order]),
    )
    grow()
    assert list(transparency.verify()) == [], "nothing inside the database tells"
    same_size = offline.verify(keep(exported(counsel)), kept=kept)
    assert not same_size.ok
    assert any("no proof leads" in line for line in same_size.problems)
    assert any("gone or differ" in line for line in same_size.problems)
    build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    newer = exported(counsel)
    report = offline.verify(keep(newer), kept=kept)
    assert any("no proof leads" in line for line in report.problems), "no head of that size is published any more"


def test_a_deleted_record_is_missed_by_a_kept_export(cast, counsel, history, keep):
    kept = keep(exported(counsel))
    leaf = AuditLeaf.objects.filter(record__partner=cast.aster, record__verb="batch.published").order_by("-index")[0]
    # Its leaf may be in the proofs of others, so that it is not deleted but is nobody's any more.
    by_hand(("UPDATE partners_auditrecord SET partner_id = NULL WHERE id = %s", [leaf.record_id]))
    assert list(transparency.verify())
    report = offline.verify(keep(exported(counsel)), kept=kept)
    assert any(f"records {leaf.index} of the earlier export are gone" in line for line in report.problems)


# --- The command line


@pytest.fixture
def command(cast, counsel, monkeypatch, tmp_path):
    """`exchange audit …`, its requests answered in process."""
    import httpx
    from django.test import Client as Django

    def answer(request: httpx.Request) -> httpx.Response:
        found = Django().get(request.url.raw_path.decode(), headers=dict(request.headers))
        body = b"".join(found.streaming_content) if found.streaming else found.content
        kept = {name: found[name] for name in ("Content-Type", "Content-Encoding") if name in found}
        return httpx.Response(found.status_code, content=body, headers=kept)

    def connected(url: str, key: str) -> Client:
        client = Client(url, key)
        client._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, transport=httpx.MockTransport(answer)
        )
        return client

    monkeypatch.setattr("exchange.client.terminal.Client", connected)
    monkeypatch.setenv("EXCHANGE_URL", "http://testserver")
    monkeypatch.setenv("EXCHANGE_API_KEY", counsel.key)
    monkeypatch.chdir(tmp_path)
    return lambda line: CliRunner().invoke(app, line.split())


def test_the_command_line_exports_keeps_and_verifies(cast, history, command, tmp_path):
    (tmp_path / "log.pub").write_text(pinned()[0] + "\n")
    assert command("audit export -o first.jsonl").exit_code == 0
    assert command("audit head -o head.json").exit_code == 0
    build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    assert command("audit export -o second.jsonl --since head.json").exit_code == 0
    done = command("audit verify second.jsonl --head first.jsonl --public-key log.pub")
    assert done.exit_code == 0, done.output
    assert "All that was checked holds." in done.output
    broken = (tmp_path / "second.jsonl").read_text().replace('"index":', '"index":1', 1)
    (tmp_path / "second.jsonl").write_text(broken)
    done = command("audit verify second.jsonl")
    assert done.exit_code == 1
    assert "WRONG" in done.output


def gone_back(steps: int) -> None:
    """As a restore leaves it: the last records, with their leaves and the heads over them, are not there any more."""
    heads = transparency.TreeHead.objects.order_by("size").values_list("size", flat=True)
    size = list(heads)[-1 - steps]
    records = list(AuditLeaf.objects.filter(index__gte=size).values_list("record_id", flat=True))
    by_hand(
        ("DELETE FROM partners_treehead WHERE size > %s", [size]),
        ("DELETE FROM partners_auditleaf WHERE index >= %s", [size]),
        ("DELETE FROM partners_auditwaiting", []),
        ("DELETE FROM partners_auditnode WHERE (index + 1) * power(2, level) > %s", [size]),
        ("DELETE FROM partners_auditrecord WHERE id = ANY(%s)", [records]),
    )


@pytest.mark.parametrize("what", ["head", "export"])
def test_who_keeps_a_head_is_told_that_the_log_went_back_by_an_exit_status_of_its_own(
    cast, history, command, tmp_path, what
):
    build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    assert command(f"audit {what} -o kept.json").exit_code == 0
    assert command(f"audit {what} -o same.json --since kept.json").exit_code == 0
    nightly = f"audit {what} -o nightly.json --since nightly.json"
    shutil.copy(tmp_path / "kept.json", tmp_path / "nightly.json")
    assert command(nightly).exit_code == 0
    assert not (tmp_path / "nightly.json.new").exists()
    before = (tmp_path / "nightly.json").read_bytes()
    gone_back(1)
    done = command(nightly)
    assert (done.exit_code, "the log went back" in done.output) == (3, True), done.output
    assert (tmp_path / "nightly.json").read_bytes() == before, "it proves what the log was"
    assert offline.read_head(tmp_path / "nightly.json.new").size < offline.read_head(tmp_path / "nightly.json").size
    done = command(f"audit {what} -o now.json --since kept.json")
    assert (done.exit_code, "the log went back" in done.output) == (3, True), done.output
    for _ in range(5):  # it grows beyond the kept head, and is another log
        build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    done = command(f"audit {what} -o later.json --since kept.json")
    assert (done.exit_code, "has lost its head" in done.output) == (3, True), done.output


def test_verify_tells_a_later_head_that_is_smaller_from_an_earlier_one(cast, counsel, history, keep, command):
    first = keep(exported(counsel))
    for _ in range(2):
        build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    size = offline.read_head(first).size
    second = keep(exported(counsel, f"?first={size}"))
    done = command(f"audit verify {first} --head {second}")
    assert done.exit_code == 0, "an earlier file under a later head that proves it"
    gone_back(1)
    build.publish(cast.viewer("aster"), build.an_indicator())
    grow()
    third = keep(exported(counsel))
    assert size < offline.read_head(third).size < offline.read_head(second).size
    done = command(f"audit verify {third} --head {second} --json")
    assert (done.exit_code, json.loads(done.output)["went_back"]) == (3, True)
