"""OpenTelemetry traces for the operator, from a push over the log to each delivery. Off unless TRACES_ENDPOINT is set.

A span says which step it was, how long it took, and ids that the log lines say as well: no value, no query, no address
of a partner's. What a push began ends elsewhere: one message of a webhook tells of several pushes, and a hint may be
lost. So the log keeps in the store under which trace a commit was made (`carried`), and who tells of it *links* there.
A link is two numbers; a span of one partner's names no other.

Whoever calls chooses no trace: `traceparent` is read from the networks of TRACES_PROXIES alone, and sent to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from celery.signals import before_task_publish, task_postrun, task_prerun
from django.conf import settings
from django.http import HttpRequest
from structlog.contextvars import get_contextvars

from exchange import origins

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanKind

#: Links of one span at most; a message names a hundred changes.
MOST_LINKS = 32
#: Of a task: the one that sent it, and what it is about.
_PARENT, _ABOUT = "exchange-trace", "exchange-trace-links"
#: What a log line says of a request, and so may its span.
_SAID = ("request_id", "partner")


class Span(Protocol):
    """What callers use of a span."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Say a fact that is known only now."""


class _Off:
    """A span that nobody records."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Nothing."""


class _Traces:
    """The tracer of this process; made with the first exporter."""

    def __init__(self, exporter: SpanExporter, *, share: float, at_once: bool) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra that most do without
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

        resource = Resource.create({"service.name": "exchange"})
        self.provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
        self.provider.add_span_processor((SimpleSpanProcessor if at_once else BatchSpanProcessor)(exporter))
        self.tracer = self.provider.get_tracer("exchange")


_traces: _Traces | None = None
#: What a task that is sent now is about (`about`).
_about: ContextVar[tuple[str, ...]] = ContextVar("exchange-trace-about", default=())


def begin() -> None:
    """Send spans to TRACES_ENDPOINT from now on, from a thread of this process; nothing where it is not set."""
    if not settings.TRACES_ENDPOINT or _traces is not None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    record(OTLPSpanExporter(endpoint=settings.TRACES_ENDPOINT, timeout=10), share=settings.TRACES_PERCENT / 100)


def record(exporter: SpanExporter, *, share: float = 1.0, at_once: bool = False) -> None:
    """Give spans to `exporter`, `share` of all traces; in the background unless `at_once`."""
    global _traces  # noqa: PLW0603 - one of a process
    _traces = _Traces(exporter, share=share, at_once=at_once)
    before_task_publish.connect(_sent)
    task_prerun.connect(_begun)
    task_postrun.connect(_ended)


def end() -> None:
    """Give away what is left, and record no more."""
    global _traces  # noqa: PLW0603 - one of a process
    if _traces is not None:
        _traces.provider.shutdown()
    _traces = None
    for signal, receiver in ((before_task_publish, _sent), (task_prerun, _begun), (task_postrun, _ended)):
        signal.disconnect(receiver)


def is_on() -> bool:
    """Whether spans are recorded at all."""
    return _traces is not None


def span(
    name: str, *, links: Iterable[str] = (), parent: str = "", kind: str = "internal", **facts: Any
) -> AbstractContextManager[Span]:
    """A step, as long as the context is open: below the step that is open, or below `parent`, another process's.

    `links` are the traces (`carried`) that it is about. An exception marks it by its class alone: its words may quote.
    """
    return nullcontext(_Off()) if _traces is None else _opened(name, links=links, parent=parent, kind=kind, facts=facts)


@contextmanager
def _opened(name: str, *, links: Iterable[str], parent: str, kind: str, facts: Mapping[str, Any]) -> Iterator[Span]:
    from opentelemetry.trace import Link, SpanKind, StatusCode  # noqa: PLC0415

    assert _traces is not None
    about = [Link(found) for each in list(dict.fromkeys(links))[:MOST_LINKS] if (found := _place_of(each)) is not None]
    how: SpanKind = SpanKind[kind.upper()]
    with _traces.tracer.start_as_current_span(
        name,
        context=_context_of(parent),
        kind=how,
        attributes=dict(facts),
        links=about,
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        try:
            yield opened
        except BaseException as error:
            opened.set_status(StatusCode.ERROR)
            opened.set_attribute("error.type", type(error).__name__)
            raise


def carried() -> str:
    """The open span as a `traceparent` (W3C), to be written down where others will look; "" where nobody records it."""
    if _traces is None:
        return ""
    from opentelemetry import trace  # noqa: PLC0415

    place = trace.get_current_span().get_span_context()
    if not place.is_valid or not place.trace_flags.sampled:
        return ""
    return f"00-{place.trace_id:032x}-{place.span_id:016x}-01"


def of_request(request: HttpRequest) -> AbstractContextManager[Span]:
    """The step of answering a request; the caller's `traceparent` counts where a trusted proxy says it."""
    if _traces is None:
        return nullcontext(_Off())
    method = request.method if request.method in _METHODS else "OTHER"
    return span(method or "OTHER", parent=_vouched(request), kind="server", **{"http.request.method": method})


_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def note_answer(opened: Span, request: HttpRequest, *, status: int) -> None:
    """Say of a request's span what its log line says: route, status, request id, partner."""
    if _traces is None:
        return
    match = request.resolver_match
    route = (match.view_name if match is not None else None) or "none"
    opened.set_attribute("http.route", route)
    opened.set_attribute("http.response.status_code", status)
    bound = get_contextvars()
    for name in _SAID:
        if name in bound:
            opened.set_attribute(f"exchange.{name}", str(bound[name]))


@contextmanager
def about(traces: Iterable[str]) -> Iterator[None]:
    """Tasks that are sent meanwhile are about these (`carried`)."""
    before = _about.set(tuple(dict.fromkeys(each for each in traces if each))[:MOST_LINKS])
    try:
        yield
    finally:
        _about.reset(before)


def _vouched(request: HttpRequest) -> str:
    direct = origins.parsed(request.META.get("REMOTE_ADDR", ""))
    if direct is None or not settings.TRACES_PROXIES or not origins.inside(direct, settings.TRACES_PROXIES):
        return ""
    return str(request.META.get("HTTP_TRACEPARENT", ""))


def _context_of(parent: str) -> Any:
    if not parent:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _place_of(carried: str) -> Any:
    from opentelemetry import trace  # noqa: PLC0415

    found = _context_of(carried)
    place = trace.get_current_span(found).get_span_context() if found else None
    return place if place is not None and place.is_valid else None


# Celery: a task goes on below who sent it. A hint is of many, and below nobody: it links.


def _sent(headers: Any = None, **_: Any) -> None:
    if isinstance(headers, dict):
        headers[_PARENT] = carried()
        headers[_ABOUT] = list(_about.get())


_OPEN = "_exchange_span"


def _begun(task: Any = None, **_: Any) -> None:
    asked = task.request
    parent, links = asked.get(_PARENT) or "", asked.get(_ABOUT) or ()
    opened = span(task.name, links=[str(each) for each in links], parent=str(parent), kind="consumer")
    opened.__enter__()
    setattr(asked, _OPEN, opened)


def _ended(task: Any = None, state: Any = None, **_: Any) -> None:
    opened = getattr(task.request, _OPEN, None)
    if opened is not None:
        setattr(task.request, _OPEN, None)
        opened.__exit__(None, None, None)
