"""The API does what its OpenAPI description says: every operation is tried with made-up requests, in process."""

from __future__ import annotations

import json
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from django.urls import get_resolver
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.config import SchemathesisConfig

from indicators.api import description
from indicators.feeds import ranging
from indicators.models import FeedSet
from indicators.reports import reporting
from indicators.stix import making
from indicators.telling import notifying
from partners.groups import membership, proposing
from partners.keys import auth
from partners.log import transparency
from partners.scopes import Role, Scope
from tests import build, casting
from tests.indicators.api.caller import API, Caller, read
from tests.strategies import examples

pytestmark = pytest.mark.django_db

schemathesis.serializer.alias("application/x-ndjson", "text/plain")

DOCUMENT = json.loads(description.text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=SchemathesisConfig.from_dict({}))
SCHEMA.app = get_wsgi_application()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
CONFORM = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)


def test_the_description_is_public_and_openapi_3_1():
    answer = Client().get(f"{API}schema")
    assert answer.headers["Content-Type"] == "application/vnd.oai.openapi+json"
    assert answer.headers["Cache-Control"].startswith("public")
    assert read(answer)["openapi"].startswith("3.1")


def test_every_route_of_the_api_is_described():
    def walk(patterns, prefix=""):
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            yield from walk(pattern.url_patterns, path) if hasattr(pattern, "url_patterns") else [(path, pattern.name)]

    routes = {name for path, name in walk(get_resolver().url_patterns) if path.startswith("api/v1/")}
    assert len(DOCUMENT["paths"]) == len(routes - {"schema", "api-index"})
    ids = [DOCUMENT["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(set(ids)) == len(ids)


def test_the_index_has_every_address_of_the_description(client):
    index = client.get(API).json()
    assert index["templates"]["blocklists/{feed}"] == f"{API}blocklists/{{feed}}"
    listed = {*index["resources"].values(), *index["templates"].values()}
    assert set(DOCUMENT["paths"]) <= listed


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_is_summed_up_and_names_its_problems(path, method):
    operation = DOCUMENT["paths"][path][method]
    assert operation["summary"].endswith(".")
    assert operation["security"] == [{"bearer": []}, {"basic": []}]
    assert {"401", "403", "422"} <= set(operation["responses"])
    assert all(answer["description"] for answer in operation["responses"].values())


def test_the_example_of_a_batch_is_accepted(db):
    caller = Caller(build.a_key(build.a_partner("Aster")))
    body = DOCUMENT["paths"][f"{API}batches"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert read(caller.send("POST", "batches", body["examples"][0]))["counts"]["accepted"] == 1


def a_report(cast):
    """A package that was released to Aster, under a published head."""
    root = {
        "type": "campaign",
        "spec_version": "2.1",
        "id": "campaign--5b0ff6f3-5ed3-4c4f-8d0a-8b9a3b9e6d10",
        "created": "2026-11-01T00:00:00.000Z",
        "modified": "2026-11-01T00:00:00.000Z",
        "name": "A campaign",
    }
    build.publish(cast.viewer("borealis"), root, everyone=True)
    preparer, counsel = (auth.viewer_of_user(build.a_user(cast.borealis, role=Role.COUNSEL)) for _ in range(2))
    package = reporting.prepare(preparer, recipient="aster", root=root["id"])
    reporting.release(counsel, package.pk)
    transparency.seal(every=timedelta(0))
    return package.pk


def the_ranges(caller):
    """Those of its first list, which a worker makes."""
    caller.get("feeds/all/ranges")
    for pk in FeedSet.unrestricted.values_list("pk", flat=True):
        ranging.make(pk)
    return read(caller.get("feeds/all/ranges"))


COLLECTION = f"https://cti.example.org/api1/collections/{UUID(int=0)}/"


@casting.once
def one_of_everything():
    """A partner that has it, so that answers have something in them, and what its paths are."""
    cast = build.the_cast()
    caller, other = Caller(build.a_key(cast.aster, *Scope)), Caller(cast.keys["borealis"])
    shared = {"token": making.token("ab" * 32)}
    mine = making.account_pattern(carrier=shared)
    batch = read(caller.push(mine, build.an_indicator() | {"labels": ["TLP:RED"]}))
    other.push(making.account_pattern(carrier=shared), making.prompt_signature())
    feed = read(caller.send("POST", "feeds", {"name": "f", "filter": {"kinds": ["account-pattern"]}}), 201)
    subscription = read(caller.send("POST", "subscriptions", {"url": "http://127.0.0.1:9/"}), 201)
    other.push(build.an_indicator())
    delivery = notifying.dispatch(UUID(subscription["id"]))
    key = read(caller.send("POST", "keys", {"name": "made", "scopes": ["read"]}), 201)
    proposal = membership.renew(
        auth.viewer_of_user(build.a_user(cast.borealis)), cast.ring, proposing.Basis("x", "", date(2026, 1, 1))
    )
    own = {
        "batch_id": batch["id"],
        "feed": "all",
        "feed_id": feed["id"],
        "stix_id": mine["id"],
        "subscription_id": subscription["id"],
        "connection_id": read(
            caller.send("POST", "connections", {"name": "c", "kind": "taxii", "direction": "pull", "url": COLLECTION}),
            201,
        )["id"],
        "delivery_id": str(delivery),
        "public_id": key["id"],
        "user_id": build.a_user(cast.aster).pk,
        "entry": read(caller.get("quarantine"))["quarantined"][0]["entry"],
        "invitation_id": read(
            caller.send("POST", "invitations", {"email": "new@aster.example", "role": "analyst"}), 201
        )["id"],
        "host_id": read(caller.send("POST", "service-hosts", {"values": ["api.aster.example"]}), 201)["hosts"][0]["id"],
        "slug": "ring",
        "campaign_id": str(uuid4()),  # who has one is asked in `campaigns/test_campaigns.py`
        "code": read(caller.send("POST", "detectors", {"name": "mine"}), 201)["id"],
        "excerpt": str(uuid4()),
        "proposal_id": str(proposal.pk),
        "appeal_id": read(
            caller.send(
                "POST",
                "appeals",
                {
                    "reason": "victim",
                    "tokens": [
                        {
                            "subkind": "email",
                            **{
                                k: v
                                for k, v in making.token("ab" * 32).items()
                                if k in ("scheme", "key_epoch", "value")
                            },
                        }
                    ],
                },
            ),
            201,
        )["id"],
        "ticket_id": str(uuid4()),
        "terms_id": str(uuid4()),  # the operator's: tests/partners/test_terms.py
        "schedule_id": read(
            caller.send(
                "POST",
                "report-schedules",
                {"name": "s", "recipient": "dorado", "every": "week", "day": 1, "hour": 8, "feed": feed["id"]},
            ),
            201,
        )["id"],
        "recall_id": read(caller.send("POST", "recalls", {"ids": [mine["id"]]}), 201)["id"],
        "report_id": str(a_report(cast)),
        "name": the_ranges(caller)["name"],
        "number": 0,
        "address": read(caller.send("POST", "feeds/all/addresses", {"name": "edge"}), 201)["token"],
    }
    return caller, own


@pytest.fixture
def furnished(db):
    made = one_of_everything()
    for signal in (request_started, request_finished):  # as Django's own test client does
        signal.disconnect(close_old_connections)
    yield made
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@given(data=st.data())
@settings(max_examples=examples(6), suppress_health_check=list(HealthCheck), database=None)
def test_an_operation_answers_as_described_whatever_it_is_asked(furnished, path, method, data):
    operation = SCHEMA[path][method.upper()]
    mode = data.draw(st.sampled_from(GenerationMode), label="mode")
    case = data.draw(operation.as_strategy(generation_mode=mode), label="case")
    if case.query and "wait" in case.query:
        case.query = {name: value for name, value in case.query.items() if name != "wait"}  # nobody waits here
    caller, own = furnished
    if case.path_parameters and data.draw(st.booleans(), label="of its own"):
        case.path_parameters = {name: own[name] for name in case.path_parameters}
    assume(case.formatted_path == path or case.formatted_path not in DOCUMENT["paths"])  # `withdraw` is no object's id
    case.call_and_validate(
        headers={"Authorization": f"Bearer {caller.key}", "Accept-Encoding": "identity"}, checks=list(CONFORM)
    )
