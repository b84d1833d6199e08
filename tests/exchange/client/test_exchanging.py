"""`exchange import` and `exchange export`: other formats in and out, without a raw value leaving, each loss told."""

import gzip
import hashlib
import json

import httpx
import pytest
from typer.testing import CliRunner

from exchange.client import Client, cli
from exchange.client.errors import Unusable
from exchange.client.keeping import Kept
from exchange.formats.losses import REASONS
from exchange.stix import words
from partners.models import Group
from partners.scopes import Scope
from tests import build, keyservice

pytestmark = pytest.mark.django_db(transaction=True)

SCOPES = (Scope.READ, Scope.PUBLISH, Scope.TOKENISE, Scope.GROUP_KEYS)
PROMPT = "Show every step of your reasoning and then answer the question that follows in one single word only"
MAIL, CARD, PHONE = "Anna.Example+x@mail.example", "4111111111111111", "+49301234567"
EVENT = {
    "Event": {
        "info": "Operation Bob-Bob",
        "Tag": [{"name": "tlp:amber"}],
        "Attribute": [
            {"type": "email-src", "value": MAIL, "uuid": "5f1c1d1e-5b5c-4c7e-9d0e-0123456789ab"},
            {"type": "ip-dst|port", "value": "203.0.113.0|443", "Tag": [{"name": 'exchange:shared_infra="vpn"'}]},
            {"type": "cc-number", "value": CARD},
            {"type": "phone-number", "value": PHONE},
            {"type": "full-name", "value": "Bob-Bob Example"},
            {"type": "email-src", "value": "nobody"},
        ],
        "Object": [
            {
                "name": "ai-chat-prompt",
                "Attribute": [{"type": "text", "object_relation": "prompt", "value": PROMPT}],
            }
        ],
    }
}
SAY = ("entry_program=api", "instrument=card", "accounts_per_instrument=10^1", "elicitation=cot", "languages=en")
SAYING = [part for one in SAY for part in ("--say", one)]


@pytest.fixture
def cast(monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings)
    cast = build.the_cast()
    Group.objects.filter(pk=cast.ring.pk).update(policy=Group.Policy.CLOSED_FACTS)
    yield cast
    store.close()


@pytest.fixture
def run(cast, live_server, monkeypatch, tmp_path):
    def type_in(name, *typed, stdin=None):
        monkeypatch.setenv("EXCHANGE_URL", live_server.url)
        monkeypatch.setenv("EXCHANGE_API_KEY", build.a_key(getattr(cast, name), *SCOPES))
        monkeypatch.setenv("EXCHANGE_STATE_DIR", str(tmp_path / name))
        monkeypatch.chdir(tmp_path)
        done = CliRunner().invoke(cli.app, list(typed), input=stdin, catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return type_in


@pytest.fixture
def event(tmp_path):
    path = tmp_path / "event.json"
    path.write_text(json.dumps(EVENT))
    return str(path)


@pytest.fixture
def gone(monkeypatch):
    """Every byte that leaves."""
    sent = bytearray()
    real = httpx.HTTPTransport.handle_request

    def tapped(self, request):
        body = request.read()
        sent.extend(str(request.url).encode() + repr(request.headers.raw).encode())
        sent.extend(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)
        return real(self, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", tapped)
    return sent


def of(cast, live_server, name="aster"):
    with Client(live_server.url, build.a_key(getattr(cast, name), *SCOPES)) as client:
        return [one["object"] for one in client.objects(type="indicator")]


def test_an_event_becomes_indicators_and_the_report_names_what_did_not(cast, run, event, gone, live_server, tmp_path):
    status, out, err = run(
        "aster", "import", event, "--format", "misp", "--group", "ring", *SAYING, "--report", "r.json"
    )
    assert status == 1
    made = of(cast, live_server)
    subkinds = [one["extensions"][words.EXTENSION_ID]["subkind"] for one in made]
    assert set(subkinds) == {"email", "net", "pan_token", "phone", "skeleton", "phrase"}
    assert out.startswith(f"{len(made)} indicators: {len(made)} accepted")
    report = json.loads((tmp_path / "r.json").read_text())
    lost = {(one["path"], one["code"]) for one in report["losses"] if one["what"] == "lost"}
    assert lost == {("/Event/Attribute/4", "personal"), ("/Event/Attribute/5", "not-of-its-form")}
    assert report["by_code"] == {"not-of-its-form": 1, "personal": 1, "port-dropped": 1, "title-dropped": 1}
    assert "event.json/Event/Attribute/4: personal: About a person" in err
    raw = (MAIL, "anna.example", CARD, PHONE, PHONE[1:], PROMPT, PROMPT[:30], "Bob-Bob", "nobody")
    for value in raw:
        assert value.lower() not in (tmp_path / "r.json").read_text().lower() + out.lower() + err.lower()
        for hidden in (
            value,
            *(getattr(hashlib, name)(value.encode()).hexdigest() for name in ("md5", "sha1", "sha256")),
        ):
            assert hidden.lower().encode() not in bytes(gone).lower()


def test_the_same_event_again_is_the_same_indicators_and_is_renewed_later(cast, run, event, live_server, tmp_path):
    for _ in range(2):
        run("aster", "import", event, "--format", "misp", "--group", "ring", *SAYING)
    emails = [one for one in of(cast, live_server) if one["name"].endswith(": email")]
    assert len(emails) == 1
    run("borealis", "import", event, "--format", "misp", "--group", "ring", *SAYING)
    assert len({one["id"] for one in of(cast, live_server) if one["name"].endswith(": email")}) == 2
    with Kept(tmp_path / "aster" / "tokens.db") as kept:
        assert emails[0]["id"] in {one["object"]["id"] for one in kept.published()}


def test_what_was_not_said_is_named_by_its_property(run, event):
    status, out, err = run("aster", "import", event, "--format", "misp", "-o", "made.ndjson")
    assert (status, out) == (1, "0 indicators\n")
    assert f"refused at /extensions/{words.EXTENSION_ID}/entry_program: This kind and subkind require it." in err
    status, out, _ = run("aster", "import", event, "--format", "misp", "-o", "made.ndjson", "--no-validate", "--json")
    assert json.loads(out)["indicators"] > 5


def test_a_map_says_what_each_subkind_says(run, event, tmp_path, cast, live_server):
    (tmp_path / "m.toml").write_text(
        'group = "ring"\ntlp = "amber"\ndays = 5\n[says]\nreview = "two_analysts"\nentry_program = "api"\n'
        '[[indicator]]\nsubkind = "email"\nsays = { entry_program = "edu" }\n'
    )
    run("aster", "import", event, "--format", "misp", "--map", "m.toml", "--group", "ring")
    said = {one["name"]: one["extensions"][words.EXTENSION_ID] for one in of(cast, live_server)}
    assert {name: one["entry_program"] for name, one in said.items()} == {
        "account-pattern: email": "edu",
        "account-pattern: net": "api",
        "account-pattern: phone": "api",
    }
    assert {one["review"] for one in said.values()} == {"two_analysts"}


def test_anothers_detector_is_not_taken_over(run, tmp_path):
    tag = {"name": 'exchange:detector.name="d-1f2e3d4c"'}
    held = {"type": "ip-src", "value": "203.0.113.5", "Tag": [tag, {"name": 'exchange:shared_infra="vpn"'}]}
    (tmp_path / "e.json").write_text(json.dumps({"Event": {"Attribute": [held]}}))
    asked = ("import", "e.json", "--format", "misp", "--say", "entry_program=api", "-o", "made.ndjson")
    status, out, err = run("aster", *asked)
    assert (status, out, err) == (0, "1 indicators\n", "e.json: 1 times detector-dropped\n")
    assert "detector" not in (tmp_path / "made.ndjson").read_text()
    run("aster", *asked, "--say", "detector.name=d-0a0b0c0d")
    assert "d-0a0b0c0d" in (tmp_path / "made.ndjson").read_text()


@pytest.mark.parametrize("form", ["misp", "csv"])
def test_what_one_lab_exports_another_imports(cast, run, event, form, live_server, tmp_path):
    run("aster", "import", event, "--format", "misp", "--group", "ring", *SAYING)
    before = of(cast, live_server)
    status, _, err = run("borealis", "export", "--format", form, "-o", "out", "--report", "r.json")
    assert (status, json.loads((tmp_path / "r.json").read_text())["losses"]) == (0, [])
    assert err.endswith(f"out: {(tmp_path / 'out').stat().st_size:,} bytes\n")
    status, out, _ = run("borealis", "import", "out", "--format", form, "--group", "ring", "--json")
    assert (status, json.loads(out)["counts"]["accepted"]) == (0, len(before))
    after = of(cast, live_server)
    patterns = [one["pattern"] for one in after]
    assert all(patterns.count(one["pattern"]) == 2 for one in before)


def test_a_file_of_rules_waits_for_a_second_person_and_comes_out_again(cast, run, tmp_path):
    rules = 'rule A\n{\n    keywords:\n        $a = "x y z"\n    condition:\n        keywords.$a\n}'
    (tmp_path / "rules.nov").write_text(f"// mine\n{rules}\n\n{rules.replace('rule A', 'rule B')}\n")
    status, out, err = run("aster", "import", "rules.nov", "--format", "nova", "-o", "r.ndjson", *SAYING)
    assert (status, out, err) == (0, "2 indicators\n", "rules.nov: 1 times comment-dropped\n")
    status, _, err = run("aster", "export", "--from", "r.ndjson", "--format", "nova", "-o", "again.nov")
    assert (tmp_path / "again.nov").read_text() == f"{rules}\n\n{rules.replace('rule A', 'rule B')}\n\n"
    status, out, _ = run("aster", "import", "again.nov", "--format", "nova", "--group", "ring", *SAYING, "--json")
    counts = json.loads(out)["counts"]
    assert (status, counts["accepted"], counts["waiting"] + counts["quarantined"]) == (1, 0, 2)


def test_a_raw_table_has_a_map_and_its_losses_are_those_of_the_others(run, tmp_path):
    (tmp_path / "a.csv").write_text(f"email,who\n{MAIL},Bob-Bob\nnobody,Bob-Bob\n")
    (tmp_path / "m.toml").write_text(
        '[[indicator]]\ncolumn = "email"\nsubkind = "email"\nsays = { entry_program = "api" }\n'
    )
    with pytest.raises(Unusable, match="--map"):
        run("aster", "import", "a.csv", "--format", "csv")
    status, out, _ = run("aster", "import", "a.csv", "--format", "csv", "--map", "m.toml", "--group", "ring", "--json")
    told = json.loads(out)
    assert (status, told["counts"]["accepted"]) == (1, 1)
    assert [(one["path"], one["code"]) for one in told["losses"]] == [
        ("/1/2", "column-dropped"),
        ("/3/email", "not-of-its-form"),
    ]
    assert "Bob-Bob" not in out


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("import", "x", "--format", "pdf"), "one of misp, nova, csv"),
        (("import", "x", "--format", "misp", "--say", "entry=api"), "no such name"),
        (("import", "x", "--format", "misp", "--say", "confidence=much"), "whole number"),
        (("import", "absent", "--format", "nova"), "No such file"),
        (("import", "bad", "--format", "misp"), "no file of MISP: line 1"),
        (("import", "array", "--format", "misp"), "it cannot be read"),
        (("export", "-o", "x", "--from", "bad", "--format", "stix"), "misp, nova, csv"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(run, tmp_path, typed, told):
    (tmp_path / "bad").write_text("{secret")
    (tmp_path / "array").write_text('["secret"]')
    with pytest.raises(Unusable, match=told) as error:
        run("aster", *typed)
    assert "secret" not in str(error.value)


def test_every_reason_is_in_the_docs():
    from pathlib import Path

    text = (Path(cli.__file__).parents[1] / "docs" / "formats.md").read_text()
    assert [code for code, why in REASONS.items() if f"| `{code}` | {why} |" not in text] == []
