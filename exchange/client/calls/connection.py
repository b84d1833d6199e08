"""One connection of a key to an exchange: how a call is made, and tried again where that is safe."""

from __future__ import annotations

import gzip
import json
import random
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

import httpx

from exchange.client.calls import bounded
from exchange.client.errors import ApiError, Unreachable, Unusable, retry_after_s

RETRIED = frozenset({429, 502, 503, 504})
#: Answers of these statuses that no retry within a minute changes.
_FINAL = frozenset({"no-key-service", "quota"})
_GZIP_FROM = 2_048
_LONGEST_WAIT_S = 30.0
_NOT_MODIFIED = 304


class Connection:
    """A connection of one key to one exchange. Safe to use from several threads."""

    def __init__(self, base_url: str, api_key: str, *, timeout_s: float = 60.0, retries: int = 5) -> None:
        self._retries = retries
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            timeout=timeout_s,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "exchange-client/0.1"},
            follow_redirects=False,
            verify=_trusted(base_url),
        )
        self._heads = bounded.Heads()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The exchange's address."""
        return str(self._http.base_url)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Any call of the API that is safe to repeat, with the retries of all others; its JSON answer, {} if none."""
        headers = {"Content-Type": content_type} if body else {}
        came = self._call(method, path, params=params, body=body, headers=headers)
        return self._document(came) if came.content else {}

    def _get(self, path: str, **params: str) -> dict[str, Any]:
        return self._document(self._call("GET", path, params=given(**params)))

    def _send(self, method: str, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json"}
        return self._document(self._call(method, path, body=body, headers=headers, retried=False))

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        """The JSON object of an answer. Raises Unreachable for anything else: something on the way answered."""
        try:
            document = answer.json()
        except (ValueError, RecursionError) as error:
            raise Unreachable(f"{self._http.base_url} gives no answer of an exchange: no JSON") from error
        if not isinstance(document, dict):
            raise Unreachable(f"{self._http.base_url} gives no answer of an exchange: no JSON object")
        return document

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        retried: bool = True,
        max_bytes: int = bounded.DOCUMENT_BYTES,
    ) -> httpx.Response:
        """One request, tried again where that is safe and may help."""
        sent = dict(headers or {})
        if len(body) >= _GZIP_FROM:
            body, sent["Content-Encoding"] = gzip.compress(body, compresslevel=1), "gzip"
        attempt = 0
        while True:
            attempt += 1
            again = retried and attempt <= self._retries
            try:
                with self._asked(method, path, params=params, content=body or None, headers=sent) as coming:
                    answer = bounded.whole(coming, max_bytes=max_bytes)
                _refuse_page(answer)
            except (httpx.TransportError, httpx.DecodingError) as error:
                if not again or isinstance(error, bounded.TooMuch):
                    raise Unreachable(f"{self._http.base_url} does not answer: {error}") from error
                time.sleep(pause_s(attempt, None))
                continue
            if answer.status_code in RETRIED and again and _code(answer) not in _FINAL:
                time.sleep(pause_s(attempt, answer.headers.get("Retry-After")))
                continue
            if answer.is_error or (answer.is_redirect and answer.status_code != _NOT_MODIFIED):
                raise refused(answer, asked_of(path, params or {}))
            return answer

    def _asked(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> AbstractContextManager[httpx.Response]:
        """A request whose answer is still to be read (`bounded`)."""
        coded = bounded.CODING | dict(headers or {})
        return self._http.stream(method, path, headers=coded, extensions={"trace": self._heads}, **more)

    def _stream(self, path: str, write: Callable[[bytes], Any], filters: Mapping[str, str]) -> int:
        size, asked = 0, {**filters, "feed": narrowed_to(filters.get("feed", "all"))}
        try:
            with self._asked("GET", path, params=given(**asked)) as answer:
                if answer.is_error or answer.is_redirect:
                    raise refused(bounded.whole(answer, max_bytes=bounded.REFUSAL_BYTES), asked_of(path, filters))
                _refuse_page(answer)
                for piece in bounded.pieces(answer, max_bytes=None):
                    write(piece)
                    size += len(piece)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Unreachable(f"{self._http.base_url} broke off: {error}") from error
        return size


def _trusted(base_url: str) -> ssl.SSLContext | bool:
    """Whose certificates are believed: nobody's where no TLS is spoken, as to read all authorities' takes a while."""
    return True if base_url.lower().startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _refuse_page(answer: httpx.Response) -> None:
    """Raises DecodingError for a web page under 200, as a proxy says that it is being serviced: no call answers one.

    An answer without a body may call itself one.
    """
    empty = answer.is_closed and not answer.content
    if answer.is_success and not empty and answer.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise httpx.DecodingError("a web page, no answer of an exchange", request=answer.request)


def asked_of(path: str, params: Mapping[str, str]) -> str:
    """What a path and the parameters that name a thing ask for, in the words of the API."""
    named = [f"{name} {params[name]}" for name in ("feed", "id") if params.get(name)]
    return " ".join([path.removeprefix("/api/v1/"), *named])


def feed_named(feed: str) -> str:
    """The id of a feed, or `all`. Raises Unusable for an empty one: a variable that was not set is not everything."""
    if not feed.strip():
        raise Unusable("Which feed? Its id, or all.")
    return feed


def narrowed_to(feed: str) -> str:
    """The parameter `feed` of what takes one: nothing for `all`. Raises Unusable."""
    return "" if feed_named(feed) == "all" else feed


def given(**params: str) -> dict[str, str]:
    """Of these parameters those that have a value."""
    return {name: value for name, value in params.items() if value}


def pause_s(attempt: int, retry_after: str | None) -> float:
    """What the server asked for, else twice as long each time, with jitter so that clients do not march in step."""
    if asked := retry_after_s(retry_after):
        return min(asked, _LONGEST_WAIT_S) * random.uniform(1.0, 1.2)  # noqa: S311 - as below
    return min(0.25 * float(2**attempt), _LONGEST_WAIT_S) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def refused(answer: httpx.Response, asked: str) -> ApiError:
    """What an answer that refuses says."""
    retry_after = answer.headers.get("Retry-After")
    return ApiError(answer.status_code, problem_of(answer), asked=asked, retry_after=retry_after)


def _code(answer: httpx.Response) -> str:
    return str(problem_of(answer).get("code", ""))


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The problem document of an answer, or its status in words."""
    try:
        document = answer.json()
    except (ValueError, RecursionError):
        return {"detail": f"The server answered {answer.status_code}."}
    return document if isinstance(document, dict) else {}
