"""No credential and no refused value reaches a log, whichever way it is logged."""

import io
import json
import logging
import re
from pathlib import Path

import pytest
import structlog
from django.conf import settings
from django.urls import get_resolver

from exchange import logs

ROOT = Path(__file__).parents[2]
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


#: Addresses that hold a secret, each with what it must be called by in no log.
TOLD = {
    "/digest/end/IkFBIg:1vX-_y:Zz0.9": "IkFBIg",
    "https://exchange.example/digest/end/IkFBIg:1vX-_y:Zz0.9?x=1": "IkFBIg",
    "/account/invitation/?token=abcDEF-_123": "abcDEF",
    "/account/password/link/?a=b&token=abcDEF-_123": "abcDEF",
    "/account/sign-on/1/callback/?code=abcDEF&state=xyzXYZ": "abcDEF",
    "/account/sign-on/1/callback/?state=xyzXYZ&code=abcDEF": "xyzXYZ",
    f"/api/v1/lists/{KEY.replace('exk', 'exl')}": KEY[4:],
}


@pytest.mark.parametrize("address", TOLD)
def test_a_secret_in_an_address_is_blanked_in_each_log(lines, address):
    structlog.get_logger().info("thing", path=address, nested=[address])
    logging.getLogger("library").warning("GET %s failed", address)
    access = logs.blanked(logs.as_json({"event": "request", "path": address}))
    said = [json.dumps(lines()), access]
    assert [text for text in said if TOLD[address] in text] == []
    assert json.loads(access)["path"].startswith(address.partition("?")[0][:12]), "the rest of the line stays"


def test_no_route_with_a_token_in_its_path_is_forgotten():
    """Neither by what is blanked here, nor by the proxy, which keeps no log of such addresses."""
    place = re.search(r"location ~ (\^/\(api.*\)) \{", (ROOT / "deploy/nginx.conf").read_text())[1]
    found = [route for route in _routes(get_resolver()) if "token" in re.findall(r"<str:(\w+)>", route)]
    assert found, "there are such routes"
    for route in found:
        address = "/" + route.replace("<str:token>", "exl_4gx7k2mq_abcdef")
        assert "abcdef" not in logs.blanked(address), route
        assert re.search(place, address), route


def _routes(resolver, before=""):
    for one in resolver.url_patterns:
        route = before + str(one.pattern)
        if hasattr(one, "url_patterns"):
            yield from _routes(one, route)
        else:
            yield route


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
