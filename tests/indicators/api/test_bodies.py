"""Every route validates its body by the serializer that the description shows, and what clients send fits it."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from uuid import uuid4

import jsonschema_rs
import pytest
from django.test import Client as DjangoClient

from exchange.client.api import Client
from exchange.errors import Refused
from exchange.shapes import Body
from indicators.api import description
from indicators.stix import making
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import API, Caller, at, read

DOCUMENT = json.loads(description.text())
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
READING = sorted(name for name, (_, _, operation) in OPERATIONS.items() if "requestBody" in operation)
#: Objects of STIX and streams of lines: read by `indicators.stix.parsing`, `campaigns.lines` and `excerpts`.
STREAMS = {"publish", "send_excerpt", "send_evidence", "send_prevalence"}
ROOT = Path(__file__).resolve().parents[3]


def shown(name: str) -> str:
    """The schema of an operation's small JSON body, by its name."""
    content = OPERATIONS[name][2]["requestBody"]["content"]
    return content.get("application/json", {"schema": {}})["schema"].get("$ref", "").rpartition("/")[2]


def shapes(one: type = Body) -> set[str]:
    return {each.__name__ for each in one.__subclasses__()}.union(*map(shapes, one.__subclasses__()))


def test_every_body_that_is_no_stream_is_described_by_a_shape():
    assert {name for name in READING if not shown(name)} == STREAMS
    for name in set(READING) - STREAMS:
        assert shown(name) in shapes(), f"{name} shows {shown(name)!r}, which validates nothing"
        assert DOCUMENT["components"]["schemas"][shown(name)]["additionalProperties"] is False
        assert OPERATIONS[name][2]["requestBody"]["required"] is True


@pytest.mark.django_db
def test_every_route_validates_its_body_by_the_shape_that_its_operation_shows(monkeypatch):
    def noted(cls, request):
        raise Refused("Read.", code="read", at=f"/{cls.__name__}")

    cast = build.the_cast()
    keys = {True: Caller(build.a_key(cast.operator, *Scope)), False: Caller(build.a_key(cast.aster, *Scope))}
    mine = making.account_pattern()
    read(keys[False].push(mine))
    feed = read(keys[False].send("POST", "feeds", {"name": "f"}), 201)
    user = build.a_user(cast.aster)
    made = read(keys[False].send("POST", "keys", {"name": "made", "scopes": ["read"]}), 201)
    own = {"stix_id": mine["id"], "feed": feed["id"], "slug": "ring", "user_id": user.pk, "public_id": made["id"]}
    monkeypatch.setattr(Body, "read", classmethod(noted))
    monkeypatch.setattr("indicators.campaigns.statements.visible", lambda viewer, campaign_id: None)
    for name in sorted(set(READING) - STREAMS):
        path, method, _ = OPERATIONS[name]
        where = re.sub(r"{(\w+)}", lambda found: str(own.get(found[1], uuid4())), path)
        answer = keys["/operator/" in path].send(method.upper(), where, {})
        assert answer.status_code == 422, f"{name} answers {answer.content!r}"
        assert at(answer) == f"/{shown(name)}"


def test_nothing_else_reads_the_body_of_a_request():
    allowed = {
        "exchange/shapes.py",
        "indicators/api/batches.py",
        "indicators/api/ending.py",
        "indicators/api/evidence.py",
        "indicators/api/excerpts.py",
        "indicators/taxii/views.py",
    }
    found = set()
    for path in [*ROOT.glob("exchange/*.py"), *ROOT.glob("partners/**/*.py"), *ROOT.glob("indicators/**/*.py")]:
        if "portal" in path.parts:  # pages send forms, and are described by themselves
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names = (node.value.id, node.attr)
                if names in {("bodies", "read"), ("request", "body"), ("request", "data"), ("request", "read")}:
                    found.add(str(path.relative_to(ROOT)))
    assert found == allowed


SENT = {
    "publish": lambda client: client.publish([making.account_pattern()], groups=["ring"]),
    "ack": lambda client: client.ack(
        "all",
        {"instance": "i", "version": "1", "cursor": "c", "set_count": 0, "set_hash": "00", "blocked": 1, "lag_s": None},
    ),
    "revoke": lambda client: client.revoke(["indicator--x"]),
    "withdraw": lambda client: client.withdraw(["indicator--x"]),
    "send_excerpt": lambda client: client.send_excerpt({"type": "x-exchange-excerpt"}),
    "register_detector": lambda client: client.register_detector("n", version="1.0.0", sha256="ab"),
    "change_detector": lambda client: client.change_detector("d-00000000", name="n"),
    "prepare_recall": lambda client: client.prepare_recall(ids=["indicator--x"], since="2026-11-24T11:00:00Z"),
    "decide_recall": lambda client: client.decide_recall(str(uuid4()), "undo"),
    "file_appeal": lambda client: client.file_appeal(
        [{"subkind": "email", "scheme": "oprf-ristretto255-sha512", "key_epoch": "2026q4", "value": "ab" * 32}],
        reason="victim",
    ),
    "decide_ticket": lambda client: client.decide_ticket(str(uuid4()), "keep"),
    "add_service_hosts": lambda client: client.add_service_hosts(["api.aster.example"]),
    "check_service_host": lambda client: client.check_service_host(str(uuid4())),
    "confirm_service_host": lambda client: client.confirm_service_host(str(uuid4())),
    "connect": lambda client: client.connect(
        {
            "name": "n",
            "kind": "taxii",
            "direction": "pull",
            "url": "https://taxii.example/api1/collections/c/",
            "authorization": "Bearer x",
            "groups": ["ring"],
            "tlp": "amber",
        }
    ),
    "change_connection": lambda client: client.change_connection(str(uuid4()), {"state": "paused"}),
    "run_connection": lambda client: client.run_connection(str(uuid4())),
    "record_terms": lambda client: client.record_terms(
        "authority",
        {"jurisdiction": "DE", "reference": "BDSG 22", "from": "2026-11-01", "strictest": "amber", "forms": ["csv"]},
    ),
    "end_terms": lambda client: client.end_terms("authority", str(uuid4()), why="terms-ended"),
    "make_report_schedule": lambda client: client.make_report_schedule(
        {"name": "n", "recipient": "authority", "root": "campaign--x", "every": "week", "day": 1, "hour": 6}
    ),
    "change_report_schedule": lambda client: client.change_report_schedule(str(uuid4()), {"state": "paused"}),
    "undo": lambda client: client.undo([str(uuid4())]),
    "readdress": lambda client: client.readdress("indicator--x", groups=["ring"], tlp="amber"),
    "give_opinion": lambda client: client.give_opinion("indicator--x", "agree", reason="confirmed_here"),
    "report_sighting": lambda client: client.report_sighting(
        "indicator--x", count=3, first_seen="2026-11-24T11:00:00Z"
    ),
    "save_feed": lambda client: client.save_feed("n", {"kind": ["account-pattern"]}),
    "change_feed": lambda client: client.change_feed(str(uuid4()), name="n", filters="kind:account-pattern"),
    "make_list_address": lambda client: client.make_list_address(
        "all", "edge", form="edl-ip", networks=["203.0.113.0/24"], minutes=60
    ),
    "subscribe": lambda client: client.subscribe("https://aster.example/hook"),
    "pause": lambda client: client.pause(str(uuid4())),
    "resume": lambda client: client.resume(str(uuid4())),
    "rotate_secret": lambda client: client.rotate_secret(str(uuid4())),
    "replay": lambda client: client.replay(str(uuid4()), since="2026-11-24T11:00:00Z", everything=True),
    "issue_key": lambda client: client.issue_key("n", scopes=["read"], groups=["ring"], expires_in_minutes=60),
    "rotate_key": lambda client: client.rotate_key("aaaaaaaa", overlap_minutes=10),
    "evaluate": lambda client: client.evaluate("email", "2026q4", [bytes(32)] * 16),
}


class Sent(Exception):
    pass


def test_every_call_of_the_client_that_sends_a_body_is_tried_here():
    sending = {
        name
        for name, method in inspect.getmembers(Client, inspect.isfunction)
        if re.search(r"body=|self\._(send|end|push)\(", inspect.getsource(method)) and not name.startswith("_")
    }
    assert sending - {"request"} == set(SENT)


@pytest.mark.parametrize("name", sorted(SENT))
def test_what_the_client_sends_is_as_the_description_says(monkeypatch, name):
    def call(self, method, path, *, params=None, body=b"", headers=None, retried=True):
        raise Sent(method, path, body, headers["Content-Type"])

    monkeypatch.setattr(Client, "_call", call)
    with Client("http://127.0.0.1:1", "exk_x") as client, pytest.raises(Sent) as sent:
        SENT[name](client)
    method, path, body, media = sent.value.args
    schema = schema_of(method, path, media)
    jsonschema_rs.validator_for(schema | {"components": DOCUMENT["components"]}).validate(json.loads(body))


def schema_of(method: str, path: str, media: str) -> dict:
    """What the description says of a body at this address; the template with fewest holes is the address's own."""
    fitting = [
        template
        for template in DOCUMENT["paths"]
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path) and method.lower() in DOCUMENT["paths"][template]
    ]
    template = min(fitting, key=lambda one: one.count("{"))
    body = DOCUMENT["paths"][template][method.lower()].get("requestBody")
    return body["content"][media]["schema"] if body else {"const": {}}


class Generated:
    """A client that knows nothing but the description: where an operation is, how it is authorised, what it takes."""

    def __init__(self, document: dict, key: str) -> None:
        self.operations = {
            one["operationId"]: (path, method, one)
            for path, methods in document["paths"].items()
            for method, one in methods.items()
        }
        scheme = document["components"]["securitySchemes"]["bearer"]["scheme"].capitalize()
        self.http = DjangoClient(headers={"Authorization": f"{scheme} {key}"})

    def call(self, name: str, body: object = None, **parameters: str) -> dict:
        path, method, operation = self.operations[name]
        places = {one["name"]: one["in"] for one in operation.get("parameters", ())}
        media = next(iter(operation["requestBody"]["content"])) if body is not None else ""
        answer = self.http.generic(
            method.upper(),
            path.format(**{one: value for one, value in parameters.items() if places[one] == "path"}),
            json.dumps(body) if body is not None else "",
            content_type=media,
            query_params={one: value for one, value in parameters.items() if places[one] == "query"},
        )
        assert str(answer.status_code) in operation["responses"]
        return answer.json()


@pytest.mark.django_db
def test_a_client_made_from_the_description_alone_publishes_and_judges():
    cast = build.the_cast()
    document = json.loads(DjangoClient().get(f"{API}schema").content)
    aster, borealis = (Generated(document, build.a_key(one, *Scope)) for one in (cast.aster, cast.borealis))
    example = aster.operations["publish"][2]["requestBody"]["content"]["application/json"]["schema"]["examples"][0]
    answer = aster.call("publish", example, groups="ring")
    assert answer["counts"]["accepted"] == 1
    stix_id = answer["results"][0]["id"]
    assert borealis.call("lookup", {"ids": [stix_id]})["objects"][0]["id"] == stix_id
    given = borealis.call("give_opinion", {"opinion": "agree", "reason": "confirmed_here"}, stix_id=stix_id)
    assert given["status"] == "accepted"
