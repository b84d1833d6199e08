"""The page of connections: what it asks for by kind and way, and what it makes of what was typed before."""

from __future__ import annotations

import pytest

from indicators.models import Connection
from tests import build

pytestmark = pytest.mark.django_db

FORM = {
    "name": "theirs", "kind": "misp", "direction": "pull", "url": "https://misp.example.org/",
    "authorization": "the-key", "strictest": "green", "says": "entry_program=api\n\nshared_infra = none\n",
}  # fmt: skip


@pytest.fixture
def browser(client):
    cast = build.the_cast()
    client.force_login(build.a_user(cast.aster))
    return client


def sent(browser, **other):
    return browser.post("/organisation/connections/", FORM | other, follow=True).content.decode()


def test_a_misp_is_connected_with_what_is_said_of_all_and_its_key_is_not_shown(browser):
    page = sent(browser)
    made = Connection.unrestricted.get()
    assert (made.kind, made.says) == ("misp", {"entry_program": "api", "shared_infra": "none"})
    assert "the-key" not in page
    assert '<code class="break">shared_infra=none</code>' in page
    assert page.count("Key of its user in MISP") == 2  # in the form, and to have another


COLLECTION = f"https://cti.example.org/api1/collections/{'0' * 8}-0000-4000-8000-{'0' * 12}/"


@pytest.mark.parametrize(
    "other", [{"kind": "taxii", "url": COLLECTION, "authorization": "Bearer x"}, {"direction": "push"}]
)
def test_what_was_typed_for_another_kind_or_way_is_left_out(browser, other):
    sent(browser, **other)
    assert Connection.unrestricted.get().says == {}


def test_each_part_of_the_form_says_when_it_is_asked_for(browser):
    page = browser.get("/organisation/connections/").content.decode()
    assert "indicators/connections" in page, "the style that shows them by what is chosen"
    for name in ("of-pull", "of-push", "of-misp", "of-taxii"):
        assert name in page
    again = sent(browser, url="nowhere")
    assert 'role="alert"' in again
    assert '<option value="misp" selected>' in again
    assert "entry_program=api" in again


def test_an_empty_field_keeps_the_credential_that_there_is(browser):
    sent(browser)
    one = Connection.unrestricted.get()
    path = f"/organisation/connections/{one.pk}/act"
    page = browser.post(path, {"do": "credential", "authorization": " "}, follow=True).content.decode()
    assert "Type the new credential first." in page
    assert "It has another credential." not in page
    assert Connection.unrestricted.get().credential == one.credential
    browser.post(path, {"do": "credential", "authorization": "other"}, follow=True)
    assert Connection.unrestricted.get().credential != one.credential
