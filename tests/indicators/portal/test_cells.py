"""Lines of the list of indicators: what a partner wrote stays text, and only the columns that are asked for are drawn."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from exchange import clock
from indicators.portal import cells, looks
from indicators.portal.rows import Row
from partners.portal.letters import VEILED, Lab

_HOSTILE = "<b onclick='x'>\"&{0}"


@pytest.fixture
def row():
    return Row(
        object_id=1,
        stix_id="indicator--00000000-0000-4000-8000-000000000001",
        publisher_slug="aster",
        value="mail.example",
        is_title=False,
        title="account-pattern: email_domain",
        kind="account-pattern",
        subkind="email_domain",
        severity="high",
        labs=[Lab("A", "Aster", "us"), VEILED],
        confidence=70,
        standing="disputed",
        did="Banned",
        valid_until=clock.now() + timedelta(days=9),
        most_days=90.0,
        matches=1_200,
        campaign=("Hydra", "00000000-0000-4000-8000-000000000002"),
        tlp="amber+strict",
        added=clock.now(),
        state="live",
        own=True,
        marked=False,
        suspended=False,
    )


def test_what_anybody_wrote_stays_text(row):
    hostile = replace(
        row,
        value=_HOSTILE,
        title=_HOSTILE,
        subkind=_HOSTILE,
        publisher_slug=_HOSTILE,
        did=_HOSTILE,
        state=_HOSTILE,
        labs=[Lab(_HOSTILE, _HOSTILE, "named")],
        campaign=(_HOSTILE, "00000000-0000-4000-8000-000000000002"),
    )
    (drawn,) = cells.lines([hostile], tuple(looks.COLUMNS), chosen=True)
    assert "<b" not in drawn
    assert "onclick=&#x27;" in drawn
    assert drawn.count("&lt;b") == 12


def test_only_the_columns_that_are_shown_are_drawn(row):
    for columns in (tuple(looks.COLUMNS), ("tlp", "added"), ()):
        (drawn,) = cells.lines([row], columns, chosen=False)
        assert re.findall(r'<td class="c-(\w+)', drawn) == list(columns)
        assert 'type="checkbox"' not in drawn


def test_each_line_says_what_is_its_own(row):
    rows = [
        row,
        replace(row, severity="", labs=[], confidence=None, did="", matches=0, campaign=None, own=False),
        replace(row, state="revoked", marked=True, suspended=True, title="Of a relay", standing="refuted"),
        replace(row, is_title=True, value="A title"),
    ]
    first, bare, ended, titled = cells.lines(rows, tuple(looks.COLUMNS), chosen=True)
    assert all(
        word in first for word in ("1,200", ">Hydra</a>", "Aster, you", "AMBER+STRICT", "data-own", "&#10;account")
    )
    assert bare.count('<span class="none">') == 6
    assert "data-own" not in bare
    assert all(word in ended for word in ("badge bad", "marked", "publisher suspended", ">Of a relay<", "Refuted"))
    assert 'class="title words"' in titled
    assert "&#10;" not in titled
