"""The database notes each id that several publishers hold."""

from __future__ import annotations

import pytest

from indicators.models import SharedId
from tests import build

pytestmark = pytest.mark.django_db


def test_an_id_that_two_publishers_hold_is_noted_once_the_second_tells_it():
    cast = build.the_cast()
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made)
    assert not SharedId.objects.exists()
    build.publish(cast.viewer("borealis"), build.an_indicator(id=made["id"]))
    assert [one.stix_id for one in SharedId.objects.all()] == [made["id"]]


def test_an_id_of_one_publisher_is_not_noted_however_often_it_is_revised():
    cast = build.the_cast()
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made)
    build.publish(cast.viewer("aster"), made | {"modified": build.later()})
    assert not SharedId.objects.exists()
