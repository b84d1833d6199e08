"""Traces: from a push over the log to each delivery, with ids alone, and of no stranger's choosing."""

from __future__ import annotations

import gzip
import http.server
import json
import subprocess
import sys
import threading

import pytest
from celery import current_app
from django.db import connection
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from exchange import outbound, tracing
from exchange.hints import Sender
from indicators.log import traced
from indicators.models import Traced
from indicators.stix import making
from indicators.telling import notifying, subscribing
from tests import build, sending
from tests.waiting import until

SECRET = "5e" * 32
STRANGERS = "00-11111111111111111111111111111111-2222222222222222-01"


@pytest.fixture
def spans():
    """What is recorded; returns a function that says the finished spans of a name."""
    exporter = InMemorySpanExporter()
    tracing.record(exporter, at_once=True)
    yield lambda name="": [one for one in exporter.get_finished_spans() if one.name == name or not name]
    tracing.end()


@pytest.fixture
def collector():
    """A collector of traces at an address of this machine, as TRACES_ENDPOINT names one; `heard` are its spans."""

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            server.asked.append((self.path, self.headers["Content-Type"]))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                (service,) = [
                    one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
                ]
                assert service == "exchange"
                server.heard += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.asked, server.heard = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    tracing.end()
    server.shutdown()
    server.server_close()


@pytest.fixture
def sent(monkeypatch):
    """What receivers were sent; they answer 200."""
    messages = []

    def post(url, body, *, headers, **_):
        messages.append((json.loads(body), dict(headers)))
        return outbound.Reply(200, None, b"")

    sending.answer_by(monkeypatch, post)
    monkeypatch.setattr(notifying, "hint", lambda: None)
    return messages


def push(client, key, *objects, **headers):
    answer = client.post(
        "/api/v1/batches?groups=ring",
        json.dumps({"objects": list(objects)}),
        content_type="application/json",
        headers=build.bearer(key) | headers,
    )
    assert answer.json()["counts"]["accepted"] == len(objects), answer.content


@pytest.mark.django_db(transaction=True)
def test_a_delivery_links_to_each_push_that_it_tells_of_and_to_no_other(client, spans, sent):
    cast = build.the_cast()
    subscription = subscribing.subscribe(cast.viewer("borealis"), url="https://receiver.example/hook", feed_id=None)[0]
    key = build.a_key(cast.aster, *build.viewer_of(cast.aster).scopes)
    push(client, key, build.an_indicator(carrier={"token": making.token(SECRET)}))
    push(client, key, *(build.an_indicator() for _ in range(12)), traceparent=STRANGERS)
    build.publish(cast.viewer("cygnus"), build.an_indicator(), groups=())  # to nobody but Cygnus
    assert notifying.dispatch(subscription.pk) is not None
    assert sending.send_next().delivered

    pushes, appended = spans("POST"), spans("log.append")
    assert len(pushes) == 2
    assert [one.kind for one in pushes] == [SpanKind.SERVER] * 2
    assert len({one.context.trace_id for one in pushes}) == 2
    assert f"{pushes[1].context.trace_id:032x}" not in STRANGERS, "whoever calls chooses no trace"
    (delivery,) = spans("delivery")
    own = {one.context.trace_id for one in pushes}
    assert {one.context.span_id for one in delivery.links} == {one.context.span_id for one in pushes}
    assert [one.parent.span_id for one in appended[:2]] == [one.context.span_id for one in pushes]
    assert delivery.attributes["http.response.status_code"] == 200
    assert {dict(one.attributes)["http.route"] for one in pushes} == {"batches"}
    assert {dict(one.attributes)["exchange.partner"] for one in pushes} == {"aster"}

    said = "".join(one.to_json() for one in spans())
    assert SECRET not in said
    assert "receiver.example" not in said
    assert "aster" not in delivery.to_json(), "of one partner's span, no other's name"
    message, headers = sent[0]
    traces = {f"{trace:032x}" for trace in own}
    assert not [one for one in traces if one in json.dumps(message) + json.dumps(headers)], "no partner learns a trace"


@pytest.mark.django_db(transaction=True)
def test_a_collector_gets_the_spans_from_push_to_delivery(client, collector, sent, settings):
    """By OTLP over HTTP, as a process begins and ends them: nothing of what was pushed is in them."""
    tracing.begin()
    assert not tracing.is_on(), "without an address nothing begins"
    settings.TRACES_ENDPOINT, settings.TRACES_PERCENT = collector.url, 100.0
    tracing.begin()
    tracing.begin()
    cast = build.the_cast()
    subscription = subscribing.subscribe(cast.viewer("borealis"), url="https://receiver.example/hook", feed_id=None)[0]
    key = build.a_key(cast.aster, *build.viewer_of(cast.aster).scopes)
    push(client, key, build.an_indicator(carrier={"token": making.token(SECRET)}))
    assert notifying.dispatch(subscription.pk) is not None
    assert sending.send_next().delivered
    tracing.end()
    assert set(collector.asked) == {("/v1/traces", "application/x-protobuf")}
    (pushed,), (delivery,) = ([one for one in collector.heard if one.name == name] for name in ("POST", "delivery"))
    assert [link.span_id for link in delivery.links] == [pushed.span_id]
    assert SECRET not in repr(collector.heard)
    said = len(collector.heard)
    push(client, key, build.an_indicator())
    assert len(collector.heard) == said, "what has ended tells nothing more"


@pytest.mark.django_db(transaction=True)
def test_where_nobody_records_nothing_is_written_and_what_was_written_is_forgotten(client, spans, sent):
    cast = build.the_cast()
    key = build.a_key(cast.aster, *build.viewer_of(cast.aster).scopes)
    push(client, key, build.an_indicator())
    assert Traced.objects.count() == 1
    traced.forget_old()
    assert Traced.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("UPDATE indicators_traced SET written_at = now() - interval '4 days'")
    traced.forget_old()
    assert Traced.objects.count() == 0
    tracing.end()
    push(client, key, build.an_indicator())
    assert (Traced.objects.count(), traced.of([1, 2, 3])) == (0, [])


@pytest.mark.django_db
def test_a_trace_goes_on_from_a_trusted_proxy_alone(client, spans, settings):
    for trusted, expected in ((["192.0.2.0/24"], False), (["127.0.0.0/8"], True)):
        settings.TRACES_PROXIES = trusted
        assert client.get("/livez", headers={"traceparent": STRANGERS}).status_code == 200
        assert (f"{spans('GET')[-1].context.trace_id:032x}" == "1" * 32) is expected
    client.get("/livez", headers={"traceparent": "00-nonsense"})
    assert spans("GET")[-1].context.trace_id


def test_an_error_is_told_by_its_class_alone(spans):
    with pytest.raises(ValueError, match=SECRET), tracing.span("step"):
        raise ValueError(SECRET)
    (step,) = spans("step")
    assert step.status.status_code == StatusCode.ERROR
    assert (step.attributes["error.type"], SECRET in step.to_json()) == ("ValueError", False)


def test_a_hint_of_many_pushes_is_a_task_that_links_to_each_of_them(spans):
    app = current_app
    heard = []

    @app.task(name="tests.looks")
    def looks():
        with tracing.span("within"):
            pass

    class Hint:
        name = "tests.looks"

        def delay(self):
            """As Celery does, without a broker: the headers go with the message."""
            headers = {}
            tracing._sent(headers=headers)
            heard.append(headers)

    sender = Sender()
    with tracing.span("first push"):
        sender.send_soon(Hint())
    with tracing.span("second push"):
        sender.send_soon(Hint())
    links = until(lambda: [link for each in list(heard) for link in each[tracing._ABOUT]])
    until(lambda: len([link for each in list(heard) for link in each[tracing._ABOUT]]) == 2)
    links = [link for each in heard for link in each[tracing._ABOUT]]
    looks.push_request(**{tracing._ABOUT: links, tracing._PARENT: heard[0][tracing._PARENT]})
    tracing._begun(task=looks)
    looks.run()
    tracing._ended(task=looks)
    (task,), (within,) = spans("tests.looks"), spans("within")
    assert within.parent.span_id == task.context.span_id
    pushes = {one.context.span_id for one in (*spans("first push"), *spans("second push"))}
    assert {link.context.span_id for link in task.links} == pushes
    with tracing.span("sweep") as step:
        headers = {}
        tracing._sent(headers=headers)
        assert f"{step.get_span_context().span_id:016x}" in headers[tracing._PARENT], "who is woken goes on below it"


def test_off_costs_no_library():
    """A process that sends no traces loads no exporter; what redis loads by itself is its own."""
    asked = "import exchange.requests, exchange.hints, sys; assert 'opentelemetry.exporter' not in sys.modules"
    subprocess.run([sys.executable, "-c", f"import django; django.setup(); {asked}"], check=True)
