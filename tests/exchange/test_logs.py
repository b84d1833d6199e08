"""No credential and no refused value reaches a log, whichever way it is logged."""

import io
import json
import logging

import pytest
import structlog
from django.conf import settings

from exchange import logs

KEY = "exk_abcdefgh_" + "a2" * 16 + "bcdefgh"
SECRET = "whsec_" + "QUJD" * 10 + "=="


@pytest.fixture
def lines():
    """What is logged while the test runs, as objects."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure({"level": "INFO"})
    sink = io.StringIO()
    root.handlers[0].setStream(sink)
    yield lambda: [json.loads(line) for line in sink.getvalue().splitlines()]
    root.handlers, root.level = before
    structlog.contextvars.clear_contextvars()
    logs.configure(settings.LOGGING)


@pytest.mark.parametrize(
    "name", ["api_key", "token", "Authorization", "client_secret", "body", "value", "password", "cookie"]
)
def test_a_field_named_like_a_secret_is_hidden(lines, name):
    structlog.get_logger().info("thing", **{name: "hunter2"})
    (line,) = lines()
    assert line[name] == "[hidden]"
    assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize("secret", [KEY, SECRET, f"Bearer {KEY}", "Basic dXNlcjpwYXNzd29yZA=="])
def test_what_is_shaped_like_a_credential_is_blanked_in_any_field(lines, secret):
    structlog.get_logger().info("thing", path=f"/x?y={secret}", nested={"deep": [secret]})
    logging.getLogger("library").warning("failed for %s", secret)
    said = json.dumps(lines())
    assert len(lines()) == 2
    for part in secret.split(" "):
        assert part in {"Bearer", "Basic"} or part not in said


def test_a_credential_in_an_exception_is_blanked(lines):
    try:
        raise ValueError(f"bad key {KEY}")
    except ValueError:
        logging.getLogger("library").exception("it failed")
    (line,) = lines()
    assert "ValueError" in line["exception"]
    assert KEY not in json.dumps(line)


def test_the_row_that_postgresql_quotes_is_blanked(lines):
    quoted = "null value in column\nDETAIL:  Failing row contains (1, jane@victim.example,\n4111).\nCONTEXT:  COPY"
    try:
        raise ValueError(quoted)
    except ValueError:
        logging.getLogger("library").exception("it failed")
    (line,) = lines()
    assert "victim" not in line["exception"]
    assert "4111" not in line["exception"]
    assert line["exception"].endswith("CONTEXT:  COPY")


def test_request_id_and_partner_are_on_every_line(lines):
    structlog.contextvars.bind_contextvars(request_id="r-1234567", partner="aster")
    structlog.get_logger().info("ours")
    logging.getLogger("library").warning("theirs")
    assert [(line["request_id"], line["partner"]) for line in lines()] == [("r-1234567", "aster")] * 2


def test_what_is_no_json_is_logged_all_the_same(lines):
    structlog.get_logger().info("thing", odd={1: 2**70, "half": "\ud800"})
    (line,) = lines()
    assert line["odd"]["half"] == "\ud800"
