"""An empty or unknown feed, and an empty filter, is an error: a variable that was not set must not mean everything."""

import uuid

import pytest

from tests.indicators.api.caller import at, code

pytestmark = pytest.mark.django_db
FOLLOWED = ("changes", "events", "feeds/preview", "bundle", "export?format=csv")
FILTERED = ("changes", "events", "feeds/preview", "bundle", "blocklists/all", "objects")


def asked(path, query):
    return f"{path}{'&' if '?' in path else '?'}{query}"


@pytest.mark.parametrize("path", FOLLOWED)
def test_an_empty_feed_is_refused(aster, path):
    for empty in ("feed=", "feed=%20"):
        answer = aster.get(asked(path, empty))
        assert (code(answer, 422), at(answer)) == ("bad-parameter", "/feed")


@pytest.mark.parametrize("path", FOLLOWED)
def test_a_feed_that_is_not_there_is_not_found(aster, path):
    assert aster.get(asked(path, f"feed={uuid.uuid4()}")).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["blocklists/{}", "feeds/{}/delta", "feeds/{}/snapshot", "feeds/{}/ranges", "feeds/{}/addresses", "feeds/{}"],
)
def test_a_path_of_no_feed_is_not_found(aster, path):
    for feed in ("", "%20", "x", uuid.uuid4()):
        assert aster.get(path.format(feed)).status_code == 404, feed


@pytest.mark.parametrize("path", FILTERED)
@pytest.mark.parametrize("name", ["kind", "-kind", "publisher", "filter", "min_confidence"])
def test_an_empty_filter_is_refused(aster, path, name):
    answer = aster.get(asked(path, f"{name}="))
    assert (code(answer, 422), at(answer)) == ("bad-parameter", f"/{name}")


@pytest.mark.parametrize(("path", "name"), [("bundle", "id"), ("objects", "q"), ("objects", "mark")])
def test_an_empty_selection_is_refused(aster, path, name):
    for empty in ("", ",", "%20,%20,"):
        assert code(aster.get(asked(path, f"{name}={empty}")), 422) == "bad-parameter"


def test_a_subscription_to_an_empty_feed_is_refused(aster):
    sent = {"url": "https://receiver.example/hook", "feed": ""}
    assert code(aster.send("POST", "subscriptions", sent), 422) == "wrong-type"
