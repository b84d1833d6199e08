"""Invalid keys on every plane and with every verb: the same words, and shut out by the same count."""

from __future__ import annotations

import itertools
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from partners import keys
from partners.keys import lockout
from partners.models import ApiKey, Partner
from tests import build

pytestmark = pytest.mark.django_db

PLANES = {
    "rest": ("get", "/api/v1/me"),
    "push": ("post", "/api/v1/batches"),
    "delete": ("delete", "/api/v1/feeds/00000000-0000-0000-0000-000000000000"),
    "keys": ("post", "/api/v1/keys"),
    "delta": ("get", "/api/v1/changes"),
    "long-poll": ("get", "/api/v1/changes?wait=25"),
    "events": ("get", "/api/v1/events"),
    "blocklist": ("get", "/api/v1/blocklists/all"),
    "taxii": ("get", "/taxii2/"),
    "taxii-objects": ("get", "/taxii2/exchange/collections/everything/objects/"),
    "taxii-push": ("post", "/taxii2/exchange/collections/everything/objects/"),
}


@pytest.fixture
def cast():
    return build.the_cast()


def ask(plane: str, authorization: str, *, address: str = "192.0.2.1"):
    method, path = PLANES[plane]
    return getattr(Client(), method)(path, headers={"Authorization": authorization}, REMOTE_ADDR=address)


def without_id(answer) -> bytes:
    return answer.content.replace(answer.headers["X-Request-ID"].encode(), b"id")


def end(how: str, cast) -> None:
    held = ApiKey.objects.filter(public_id=keys.public_id_of(cast.keys["aster"]))
    if how == "revoked":
        keys.revoke(held.get())
    elif how == "suspended":
        Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.SUSPENDED)
    elif how == "left":
        Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.LEFT)
    else:
        held.update(networks=["10.0.0.0/8"])


@pytest.mark.parametrize("how", ["revoked", "suspended", "left", "elsewhere"])
@pytest.mark.parametrize("plane", sorted(PLANES))
def test_a_key_that_holds_no_more_is_refused_on_every_plane_like_no_key_at_all(cast, plane, how):
    end(how, cast)
    refused = ask(plane, f"Bearer {cast.keys['aster']}")
    nonsense = ask(plane, "Bearer nonsense")
    assert refused.status_code == nonsense.status_code == 401
    assert without_id(refused) == without_id(nonsense)
    assert refused.headers["WWW-Authenticate"] == nonsense.headers["WWW-Authenticate"]
    assert b"invalid-key" in refused.content


@pytest.mark.parametrize("authorization", ["Bearer", "Basic !!!", "Basic bm90aGluZw==", "Digest x", "Bearer exk_a_b"])
def test_whatever_is_no_key_is_refused_in_the_same_words(cast, authorization):
    assert without_id(ask("rest", authorization)) == without_id(ask("rest", "Bearer nonsense"))


def test_all_planes_and_verbs_count_together_and_each_is_shut(cast):
    planes = itertools.cycle(sorted(PLANES))
    for _ in range(lockout.PER_NETWORK):
        assert ask(next(planes), "Bearer nonsense").status_code == 401
    for plane in PLANES:
        answer = ask(plane, "Bearer nonsense")
        assert answer.status_code == 429, plane
        assert 0 < int(answer.headers["Retry-After"]) <= 300
        assert b"too-many-invalid-keys" in answer.content
    assert ask("rest", f"Bearer {cast.keys['aster']}", address="192.0.2.2").status_code == 200


def test_no_key_at_all_is_not_counted(cast):
    for _ in range(lockout.PER_NETWORK + 5):
        assert Client().get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("plane", ["rest", "taxii", "delta"])
def test_a_key_is_authenticated_by_one_query(cast, plane):
    ask(plane, f"Bearer {cast.keys['aster']}")
    with CaptureQueriesContext(connection) as captured:
        assert ask(plane, f"Bearer {cast.keys['aster']}").status_code == 200
    about = f"_apikey|_refusedcr|{keys.public_id_of(cast.keys['aster'])}"
    assert sum(bool(re.search(about, one["sql"])) for one in captured) == 1


def test_the_callers_address_is_the_one_that_our_own_proxies_saw(cast, settings):
    settings.PROXY_COUNT = 1
    ApiKey.objects.filter(public_id=keys.public_id_of(cast.keys["aster"])).update(networks=["203.0.113.0/24"])

    def status(forwarded: str) -> int:
        headers = build.bearer(cast.keys["aster"]) | {"X-Forwarded-For": forwarded}
        return Client().get("/api/v1/me", headers=headers, REMOTE_ADDR="10.0.0.1").status_code

    assert status("203.0.113.9") == 200
    assert status("203.0.113.9, 198.51.100.1") == 401, "what the caller himself wrote there is not believed"
    assert status("198.51.100.1, 203.0.113.9") == 200
    settings.PROXY_COUNT = 0
    assert status("203.0.113.9") == 401, "without a proxy nobody may say where he is"
    settings.PROXY_COUNT = 2
    assert status("203.0.113.9, 10.0.0.7") == 200
    assert status("203.0.113.9") == 401, "too few: it came around a proxy"
