"""The cast: Aster owns, Borealis shares a group with Aster, Cygnus is outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from indicators import matching, notifying
from tests.indicators.taxii.cast import Caller, a_caller, ring_of

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows the log is not of interest here."""
    monkeypatch.setattr(matching, "hint", lambda: None)
    monkeypatch.setattr(notifying, "hint", lambda: None)


@pytest.fixture
def cast(db: None) -> tuple[Caller, Caller, Caller]:
    aster, borealis, cygnus = a_caller("Aster"), a_caller("Borealis"), a_caller("Cygnus")
    ring_of(aster, borealis)
    return aster, borealis, cygnus


@pytest.fixture
def aster(cast: tuple[Caller, Caller, Caller]) -> Caller:
    return cast[0]


@pytest.fixture
def borealis(cast: tuple[Caller, Caller, Caller]) -> Caller:
    return cast[1]


@pytest.fixture
def cygnus(cast: tuple[Caller, Caller, Caller]) -> Caller:
    return cast[2]


@pytest.fixture
def count_queries(db: None) -> Callable[[Callable[[], Any]], int]:
    """How many queries a call makes."""

    def count(call: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as captured:
            call()
        return len(captured)

    return count
