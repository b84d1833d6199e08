"""The inbox: what concerns a partner, and nothing that it may not see."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exchange import clock
from indicators.opinions import giving
from indicators.stix import making
from indicators.telling.inbox import inbox
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_opinions_on_mine_and_matches_with_mine(cast):
    aster, borealis, cygnus = (cast.viewer(name) for name in ("aster", "borealis", "cygnus"))
    since = clock.now() - timedelta(hours=1)
    token = {"token": making.token("a" * 64)}
    mine, theirs = (making.account_pattern(carrier=token, tlp_word="green") for _ in range(2))
    build.publish(aster, mine, groups=("ring",))
    build.publish(borealis, theirs, groups=("ring",))
    giving.give(borealis, mine["id"], opinion="disagree", reason="false_positive")
    found = inbox(aster, since=since)
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    assert {(one.kind, one.about, one.says, one.by) for one in found} == {
        ("opinion", mine["id"], "false_positive", "Borealis"),
        ("match", mine["id"], "email", "Borealis"),
    }
    assert [(one.kind, one.about) for one in inbox(borealis, since=since)] == [("match", theirs["id"])]
    assert inbox(cygnus, since=since) == []
    assert inbox(aster, since=clock.now() + timedelta(seconds=1)) == []
    assert len(inbox(aster, since=since, limit=1)) == 1
