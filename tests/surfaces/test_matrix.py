"""One rule, every route: each route of the URLconf x everybody x a visible and an invisible object.

The routes come from the URLconf itself; a route that has no row here fails the build. A row says how to ask, who
is let in, and whether objects show. What is asserted is the same for all:

- nobody's answer holds anything of an object that it may not see: no id, no title, no value;
- whoever may see an object finds it where the row says that objects show;
- what belongs to one partner (batches, feeds, subscriptions, …) is to every other partner as if it were not there;
- absent and invisible are the same answer.
"""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.db import transaction
from django.test import override_settings
from django.urls import get_resolver

from indicators import detectors
from indicators.models import Subscription
from tests import keyservice
from tests.surfaces.matrix import pages, rest, taxii
from tests.surfaces.matrix import scene as scenes
from tests.surfaces.matrix.row import EVERYBODY, let_in

pytestmark = pytest.mark.django_db

#: One row a route; a new route has its own in `matrix/`.
MATRIX = rest.ROWS | taxii.ROWS | pages.ROWS
#: And more of some.
ROWS = MATRIX | taxii.MORE


def routes():
    def walk(patterns):
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns)
            else:
                yield pattern.name

    return list(walk(get_resolver().url_patterns))


@pytest.mark.core
def test_every_route_is_in_the_matrix_and_no_other():
    names = routes()
    assert None not in names, "a route without a name"
    assert sorted(names) == sorted(MATRIX), "a new route needs a row; an old row a route"


@pytest.fixture(scope="module")
def key_service(django_db_setup):
    with pytest.MonkeyPatch.context() as patched, override_settings():
        store = keyservice.served(patched, settings)
        yield
        store.close()


@pytest.fixture
def scene(key_service) -> scenes.Scene:
    return scenes.the_scene()


@pytest.mark.core
@pytest.mark.parametrize("route", sorted(ROWS))
def test_a_route_lets_in_whom_its_row_says_and_shows_each_object_to_exactly_those_who_may_see_it(scene, route):
    """One answer is judged by all that is asserted: to ask is what the matrix takes its time for."""
    row = ROWS[route]
    for who in EVERYBODY:
        answers = {}  # where the path names no object, all of them are looked for in one answer
        for name in scene.objects if row.method == "get" else ("ring",):
            path = scene.path(row.path, thing=name)
            if path not in answers:
                answers[path] = asked_and_undone(scene, row, who, path)
            shows_to_whom_it_may(scene, route, who, name, *answers[path])
        response, answer = answers[scene.path(row.path)]
        assert is_refused(response) != let_in(row, who), (who, response.status_code)
        if row.method == "get" and row.absent and not let_in(row, who):
            absent_as_invisible(scene, row, who, response, answer)


@pytest.mark.parametrize("route", sorted(name for name, row in ROWS.items() if row.method != "get"))
def test_what_is_done_shows_to_exactly_those_who_may_see_it(scene, route):
    """And stays: for whoever asks next, and for oneself once more."""
    row = ROWS[route]
    for who in EVERYBODY:
        for _ in range(1 + let_in(row, who)):
            answers = {}
            for name in scene.objects:
                path = scene.path(row.path, thing=name)
                if path not in answers:
                    response = scene.ask(who, path, method=row.method)
                    answers[path] = response, scenes.content(response)
                shows_to_whom_it_may(scene, route, who, name, *answers[path])


@pytest.mark.parametrize("route", sorted(name for name, row in ROWS.items() if row.absent and row.method != "get"))
def test_absent_and_invisible_are_the_same_answer(scene, route):
    """To what reads, too: the answers of the test above are judged there."""
    row = ROWS[route]
    for who in EVERYBODY:
        if not let_in(row, who):
            invisible = scene.ask(who, scene.path(row.path), method=row.method)
            absent_as_invisible(scene, row, who, invisible, scenes.content(invisible))


def asked_and_undone(scene, row, who, path):
    """The answer, and its text. What somebody does is undone before the next asks."""
    with transaction.atomic():
        response = scene.ask(who, path, method=row.method)
        answer = scenes.content(response)
        transaction.set_rollback(row.method != "get")
    return response, answer


def is_refused(response) -> bool:
    return response.status_code in (401, 403, 404) or (
        response.status_code == 302 and "/account/login/" in response.headers["Location"]
    )


def shows_to_whom_it_may(scene, route, who, name, response, answer):
    """What somebody is answered who asked for the object of this name, or for all."""
    row, stix = ROWS[route], scene.objects[name]
    assert response.status_code < 500 or route == "readyz", (who, name, answer)
    asked_by_id = "{object}" in row.path
    for other, hidden in scene.objects.items():
        if who in scene.sees[other]:
            continue
        # What the caller itself wrote into the path may come back in an error, nothing else may.
        betrayed = [mark for mark in scenes.marks(hidden)[asked_by_id and other == name :] if mark in answer]
        assert not betrayed or (hidden["name"] not in answer and scenes.shared_value(scene, who, betrayed)), (
            who,
            other,
        )
    shown = who in scene.sees[name] and (not row.only or (name in row.only and let_in(row, who)))
    if row.shows and shown:
        assert stix["id"] in answer or stix["name"] in answer, (who, name)
    if row.only and not shown and not asked_by_id:
        assert stix["id"] not in answer, (who, name)
    if row.shows and asked_by_id:
        assert (response.status_code == 200) == shown, (who, name)


def absent_as_invisible(scene, row, who, invisible, answer):
    """What is not there is answered as what may not be seen was."""
    absent = scene.ask(who, scene.path(row.absent), method=row.method)
    assert invisible.status_code == absent.status_code, who
    assert scenes.without_ids(answer) == scenes.without_ids(scenes.content(absent)), who
    drop = {"X-Request-ID", "Content-Length", "Expires"}  # the last is the second of the answer
    # The way back from signing in is what was asked for.
    paths = [scene.path(row.path), scene.path(row.absent)]
    first, second = (
        {k: scenes.without_ids(v.replace(path, "path")) for k, v in response.headers.items() if k not in drop}
        for response, path in zip((invisible, absent), paths, strict=True)
    )
    assert first == second, who


@pytest.mark.parametrize("route", sorted(name for name, row in ROWS.items() if row.also))
def test_nobody_changes_what_is_anothers(scene, route):
    row = ROWS[route]
    for method in row.also:
        for who in EVERYBODY:
            if who == "aster":
                continue
            response = scene.ask(who, scene.path(row.path), method=method, body=row.body)
            assert response.status_code in (401, 403, 404), (who, method)
        if row.method == "get":  # it is still there
            assert scene.ask("aster", scene.path(row.path)).status_code == 200, method
    mine = scene.cast.viewer("aster")
    assert [one.retired_at for one in detectors.listed(mine)] == [None]
    assert Subscription.objects.of(scene.cast.viewer("aster")).get().state == "active"


@pytest.mark.parametrize(
    "route", sorted(name for name, row in ROWS.items() if row.who == "owner" and row.method == "get")
)
def test_a_get_changes_nothing(scene, route):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    scene.ask("aster", scene.path(ROWS[route].path))
    with CaptureQueriesContext(connection) as queries:
        scene.ask("aster", scene.path(ROWS[route].path))
    changed = [q["sql"] for q in queries if re.match(r"\s*(INSERT|UPDATE|DELETE)", q["sql"])]
    signing_in = re.compile(r'\S+ (INTO |FROM )?"(django_session|partners_session|partners_user)"')  # what `ask` does
    assert not [sql for sql in changed if not signing_in.match(sql)]
