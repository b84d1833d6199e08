"""What a batch may name by the thousand, keys and detectors that are not there, costs the door no more than one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import clock, sealing
from exchange.stix import words
from exchange.tokens import epochs
from indicators.door import gates
from indicators.stix import making
from partners.scopes import Scope
from partners.tokens import groupkeys
from tests import build

MAKERS = {"phrase": making.prompt_signature, "signup_template": making.account_pattern}


@pytest.fixture
def cost(monkeypatch):
    """Of a push: its queries, the doors that were made for it, and the keys that were opened."""
    made, opened = [], []
    door, unseal = gates.Door, sealing.unseal
    monkeypatch.setattr(gates, "Door", lambda **given: made.append(1) or door(**given))
    monkeypatch.setattr(sealing, "unseal", lambda *given, **more: opened.append(1) or unseal(*given, **more))

    def of(viewer, pushed):
        made.clear()
        opened.clear()
        with CaptureQueriesContext(connection) as captured:
            answer = build.publish(viewer, *pushed, groups=("ring",))
        return {"queries": len(captured), "doors": len(made), "opened": len(opened)}, build.results(answer)

    return of


@pytest.mark.django_db
@pytest.mark.parametrize("subkind", sorted(words.OF_GROUP_KEY))
def test_a_thousand_invented_epochs_cost_the_queries_and_the_doors_of_one(subkind, cost):
    cast = build.the_cast()
    viewer = build.viewer_of(cast.aster, Scope.PUBLISH, Scope.GROUP_KEYS)
    (key,) = groupkeys.hand_out(viewer, "ring")
    quarter = epochs.quarter_of(clock.now())

    def naming(*names):
        tokens = [
            {"scheme": words.GROUP_KEY, "key_epoch": name, "norm_version": "2", "value": "ab" * 32} for name in names
        ]
        return MAKERS[subkind](subkind, carrier={"tokens": tokens}, tlp_word="amber")

    def invented(most):
        return [naming(epochs.of_group(f"invented-{number}", quarter, 1)) for number in range(most)]

    few, _ = cost(viewer, [naming(key.epoch), *invented(1)])
    many, results = cost(viewer, [naming(key.epoch), *invented(1_000)])
    assert len(results) == 1_001
    assert many["queries"] <= few["queries"]
    assert many["doors"] == few["doors"] <= 4
    assert many["opened"] == few["opened"] == (1 if subkind == "phrase" else 0)


@pytest.mark.django_db
def test_a_hundred_invented_detectors_cost_the_queries_and_the_doors_of_one(cost):
    viewer = build.the_cast().viewer("aster")

    def naming(number):
        return making.account_pattern(extension={"detector": {"name": f"d-{number:08x}", "version": "3.2.0"}})

    few, _ = cost(viewer, [naming(0)])
    many, results = cost(viewer, list(map(naming, range(1, 101))))
    assert {one["code"] for one in results} == {"unregistered-detector"}
    assert many["queries"] <= few["queries"]
    assert many["doors"] == few["doors"] <= 4
