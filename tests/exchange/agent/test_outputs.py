"""Outputs that are told of differences: whatever fails between, what went leaves the receiver."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from exchange.agent import outputs
from tests.exchange.agent.receiver import Receiver


@pytest.fixture
def receiver():
    with closing(Receiver()) as made:
        yield made


@pytest.fixture
def another():
    with closing(Receiver()) as made:
        yield made


@pytest.fixture
def told(tmp_path):
    with closing(outputs.Told(tmp_path / "told.sqlite")) as made:
        yield made


def entries(values):
    return [outputs.Entry(f"net\0{v}", json.dumps({"subkind": "net", "value": v, "n": n})) for v, n in values.items()]


def test_what_half_a_telling_took_and_what_went_before_the_next_leaves_the_receiver(receiver, told):
    listed = {f"v{number}": 1 for number in range(1_500)}
    receiver.fails = {2}
    with pytest.raises(outputs.Failed):
        told.bring("w", receiver.sink, entries(listed), {})
    assert "v0" in receiver.holds
    del listed["v0"]
    told.bring("w", receiver.sink, entries(listed), {})
    assert receiver.holds == listed


@pytest.mark.parametrize("meanwhile", [{"a": 2, "b": 1}, {"b": 1}], ids=["changed", "gone"])
def test_what_a_failed_telling_changed_or_took_out_and_what_is_back_is_told(receiver, told, meanwhile):
    listed = {"a": 1, "b": 1}
    told.bring("w", receiver.sink, entries(listed), {})
    many = {f"v{number}": 1 for number in range(1_500)}
    receiver.fails = {receiver.heard + 2}
    with pytest.raises(outputs.Failed):
        told.bring("w", receiver.sink, entries(meanwhile | many), {})
    assert receiver.holds != listed
    told.bring("w", receiver.sink, entries(listed), {})
    assert receiver.holds == listed


def test_an_output_that_is_elsewhere_is_told_the_whole_list(receiver, another, told):
    told.bring("w", receiver.sink, entries({"a": 1, "b": 1}), {})
    assert told.bring("w", another.sink, entries({"a": 1, "b": 1}), {}) == (2, 0)
    assert another.holds == {"a": 1, "b": 1}
    assert told.bring("w", another.sink, entries({"a": 1, "b": 1}), {}) == (0, 0)


def test_outputs_that_change_places_lose_what_went_meanwhile(receiver, another, told):
    told.bring("webhook 1", receiver.sink, entries({"a": 1}), {})
    told.bring("webhook 2", another.sink, entries({}), {})
    told.bring("webhook 1", another.sink, entries({"b": 1}), {})
    told.bring("webhook 2", receiver.sink, entries({"b": 1}), {})
    assert receiver.holds == another.holds == {"b": 1}


def test_another_password_is_no_other_place():
    assert outputs.Redis("redis://u:p@db:1/0").place == outputs.Redis("redis://u:q/@db:1/0".replace("/@", "@")).place
    assert (
        outputs.Postgres("host=db password='p q' user=u").place == outputs.Postgres("host=db password=r user=v").place
    )
    assert outputs.Postgres("postgresql://u:p@db/lists").place == outputs.Postgres("postgresql://v:q@db/lists").place
    assert outputs.Postgres("postgresql://u@db/lists").place != outputs.Postgres("postgresql://u@db/lists", "t").place


def test_what_an_older_agent_told_by_the_name_of_an_output_is_taken_out(receiver, told, tmp_path):
    told.bring("w", receiver.sink, entries({"a": 1, "b": 1}), {})
    with closing(sqlite3.connect(tmp_path / "told.sqlite")) as file, file:
        file.execute("UPDATE told SET output = 'w'")
        file.execute("DELETE FROM place")
    told.bring("w", receiver.sink, entries({"b": 1}), {})
    assert receiver.holds == {"b": 1}
