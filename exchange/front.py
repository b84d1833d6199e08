"""What the web server asks before a request reaches Django (`exchange.web`): whose share it is of, and how much it may.

Who asks is a matter of the partners, which this ground does not know: `settings.PEERS` names their module.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from http import HTTPStatus
from importlib import import_module
from typing import Any, Protocol, cast
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest
from django.http.cookie import parse_cookie
from psycopg_pool import PoolTimeout

from exchange import bodies, counting, credentials, errors, problems
from exchange.origins import origin_of
from exchange.web.hooks import Hooks
from exchange.web.shares import Stranger


class Peers(Protocol):
    """Partners by their keys, their people by their sessions."""

    def known(self, authorization: str) -> UUID | None:
        """Whose key it is, where that was asked lately."""

    def ask(self, request: HttpRequest) -> UUID | None:
        """Whose key a request came with, if it is good; one query."""

    def known_people(self, session_key: str) -> Hashable | None:
        """Whose session it is, where that was asked lately."""

    def ask_people(self, session_key: str) -> Hashable | None:
        """Whose session it is, if somebody is signed in; one query."""


class Front(Hooks):
    """The exchange's."""

    at_once = frozenset({"/livez"})
    aside = frozenset({"/readyz"})

    def __init__(self) -> None:
        self._peers = cast("Peers", import_module(settings.PEERS))

    def known(self, environ: Mapping[str, Any]) -> Hashable | None:
        """The partner of a key, the people of a session; the network where there is neither. None: ask."""
        if authorization := _authorization(environ):
            return self._peers.known(authorization)
        session_key = _session_key(environ)
        return self._peers.known_people(session_key) if session_key else self.network(environ)

    def ask(self, environ: Mapping[str, Any]) -> Hashable | None:
        """The partner of a good key, the people of a session that is open."""
        try:
            if authorization := _authorization(environ):
                return self._peers.ask(_request({**environ, "HTTP_AUTHORIZATION": authorization}))
            return self._peers.ask_people(_session_key(environ))
        except (DatabaseError, PoolTimeout):
            return None  # whatever asks the store next says so
        finally:
            self.step_done()

    def network(self, environ: Mapping[str, Any]) -> Stranger:
        """Where a stranger comes from: behind proxies, what the nearest trusted one says."""
        return Stranger(origin_of(_request(environ)).network(bits4=24, bits6=64))

    def most_bytes(self, environ: Mapping[str, Any], *, stranger: bool) -> int:
        """A batch's for a partner's key, a form's for anybody else."""
        is_form = stranger or not _authorization(environ)
        return settings.DATA_UPLOAD_MAX_MEMORY_SIZE if is_form else bodies.MAX_BATCH_BYTES

    def refusal(
        self, environ: Mapping[str, Any], status: HTTPStatus, *, code: str, detail: str
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """As the path's readers expect it."""
        counting.note_turned_away(status=int(status))
        error = _ERRORS.get(status, errors.Malformed)(detail, code=code)
        taxii = str(environ.get("PATH_INFO", "")).startswith(problems.TAXII_PATH)
        response = problems.answer_in_taxii(error) if taxii else problems.answer(error)
        response["Content-Length"] = str(len(response.content))
        return response.status_code, list(response.items()), response.content

    def step_done(self) -> None:
        """Gives the connection of the database back: who reads slowly holds none."""
        if not connection.in_atomic_block:
            connection.close()


_ERRORS: dict[HTTPStatus, type[errors.ExchangeError]] = {
    HTTPStatus.REQUEST_TIMEOUT: errors.TooSlow,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.TooLarge,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: errors.HeadTooLarge,
    HTTPStatus.TOO_MANY_REQUESTS: errors.TooMany,
}


#: How Django's keys of sessions look: what else a cookie says asks nobody.
_SESSION_KEY = re.compile("[a-z0-9]{32}")


def _authorization(environ: Mapping[str, Any]) -> str:
    """What a request says of who asks: its header, or the token in the address of a list, as if that were sent so."""
    path = str(environ.get("PATH_INFO", ""))
    if path.startswith(credentials.LISTS + credentials.OF_LIST):
        return f"Bearer {path.removeprefix(credentials.LISTS)}"
    return str(environ.get("HTTP_AUTHORIZATION", ""))


def _session_key(environ: Mapping[str, Any]) -> str:
    """What the session's cookie says, if it has the form of a session's key; else empty."""
    sent = parse_cookie(str(environ.get("HTTP_COOKIE", ""))).get(settings.SESSION_COOKIE_NAME, "")
    return sent if _SESSION_KEY.fullmatch(sent) else ""


def _request(environ: Mapping[str, Any]) -> HttpRequest:
    """The head alone, as Django has it."""
    request = HttpRequest()
    request.META = cast("dict[str, Any]", environ)
    return request
