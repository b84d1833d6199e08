"""Requests that build on one another's answers (schemathesis, stateful): whatever came before, an answer is as described.

Of each operation alone `tests/indicators/api/test_description.py` tries made-up requests; here a made id, cursor or key
goes on into the next request. The seed is fixed, so that a run repeats; EXCHANGE_SEED sets another one, and what failed
under it is in `.data/fuzz/sequences`, tried first until it is mended. Hypothesis forgets it then: copy it before that
to `tests/fuzz/sequences`, of which nothing is forgotten, and commit it with what mends it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase, MultiplexedDatabase, ReadOnlyDatabase
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import checks
from schemathesis.config import SchemathesisConfig

from indicators.api import description
from partners.scopes import Scope
from tests import build

pytestmark = [pytest.mark.django_db, pytest.mark.long]

ROOT = Path(__file__).parents[2]
FOUND, KEPT = ROOT / ".data" / "fuzz" / "sequences", ROOT / "tests" / "fuzz" / "sequences"
SEED = int(os.environ.get("EXCHANGE_SEED", "19"))
#: How many sequences, and how many requests in each.
SEQUENCES, STEPS = int(os.environ.get("EXCHANGE_SEQUENCES", "25")), 12
CONFORM = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

schemathesis.serializer.alias("application/x-ndjson", "text/plain")


def known(found: Path, kept: Path) -> MultiplexedDatabase:
    """Sequences that fail, and those that once did."""
    return MultiplexedDatabase(
        DirectoryBasedExampleDatabase(found), ReadOnlyDatabase(DirectoryBasedExampleDatabase(kept))
    )


@pytest.fixture
def in_process():
    """Requests and this test share a connection, as with Django's own test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def test_an_answer_is_as_described_whatever_was_asked_before(in_process):
    cast = build.the_cast()
    key = build.a_key(cast.aster, *Scope)
    schema = schemathesis.openapi.from_dict(json.loads(description.text()), config=SchemathesisConfig.from_dict({}))
    schema.app = get_wsgi_application()
    asked: dict[str, int] = {}
    followed: dict[str, int] = {}

    class Partner(schema.as_state_machine()):
        """One partner's pipeline; what one sequence stored is gone before the next."""

        def setup(self):
            self.point = transaction.savepoint_create()

        def teardown(self):
            transaction.savepoint_rollback(self.point)
            super().teardown()

        def before_call(self, case):
            if case.query and "wait" in case.query:  # nobody waits here
                case.query = {name: value for name, value in case.query.items() if name != "wait"}

        def get_call_kwargs(self, case):
            return {"headers": {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}}

        def validate_response(self, response, case, additional_checks=None, **kwargs):
            label = case.operation.label
            asked[label] = asked.get(label, 0) + 1
            if response.status_code < 400 and case.path_parameters:
                followed[label] = followed.get(label, 0) + 1
            case.validate_response(response, checks=CONFORM, transport_kwargs=kwargs)

    tried = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        deadline=None,
        database=known(FOUND, KEPT),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    machine = seed(SEED)(Partner)
    run_state_machine_as_test(machine, settings=tried)
    assert len(asked) >= 20, asked
    assert followed, "no request went on from an answer before it"


def test_what_is_kept_is_tried_when_it_is_mended_too(tmp_path):
    found, kept = tmp_path / "found", tmp_path / "kept"
    DirectoryBasedExampleDatabase(kept).save(b"drill", b"once")
    both = known(found, kept)
    both.save(b"drill", b"now")
    for sequence in (b"once", b"now"):
        both.delete(b"drill", sequence)  # as hypothesis does with what fails no more
    assert set(both.fetch(b"drill")) == {b"once"}
