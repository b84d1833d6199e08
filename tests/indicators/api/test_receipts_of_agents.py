"""What an agent of `sync` really tells, and what its partner's health says of it."""

from __future__ import annotations

import pytest

from exchange.agent import following, jobs
from exchange.agent import policy as policies
from indicators.feeds import health
from tests import build
from tests.indicators.api.caller import read
from tests.indicators.api.test_start_over import Direct, classical

pytestmark = pytest.mark.django_db

MEANS = following.Means(say=lambda done: None, warn=pytest.fail)


class Acking(Direct):
    """The same, with acknowledgements."""

    def ack(self, feed, said):
        assert read(self._caller.send("POST", f"feeds/{feed}/acks", dict(said))) == {"equal": True}


@pytest.mark.parametrize(
    ("policy", "mode", "report"),
    [
        (policies.UNJUDGED, "enforcing", [("blocked", 2)]),
        (policies.Policy(), "nothing", []),
        (
            policies.Policy(mode=policies.Mode.SHADOW, without_floors=frozenset(policies.Floor)),
            "shadow",
            [("shadow", 2)],
        ),
    ],
)
def test_a_receipt_of_sync_says_what_its_list_blocks(cast, aster, borealis, tmp_path, policy, mode, report):
    for name in ("one.example", "two.example"):
        aster.push(classical(name))
    job = jobs.Job(path=tmp_path / "list.txt", state_dir=tmp_path / "state", policy=policy)
    following.once(Acking(borealis), job, MEANS)
    (one,) = health.instances(build.viewer_of(cast.borealis))
    assert (one.mode, one.report) == (mode, report)
    assert len(job.path.read_text().splitlines()) == one.counts["blocked"]
