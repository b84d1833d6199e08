"""What all tests share. Run by `make test`, or alone: then the embedded PostgreSQL is started here."""

import atexit
import functools
import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from exchange import embedded
from tests import postgres
from tests.waiting import DEADLINE_S

pytest_plugins = ["tests.drilling", "tests.scheduling"]

gc.disable()  # until all is collected
atexit.register(gc.freeze)  # a process ends without looking for rubbish once more

# Of tldextract. Python would ask it at each `open`, import and `id`: 3 % of what the tests compute.
with pytest.MonkeyPatch.context() as patched:
    patched.setattr(sys, "addaudithook", lambda hook: None)
    import filelock  # noqa: F401

if os.environ.get("EXCHANGE_MODE") != "test":
    os.environ |= postgres.environment()

# The same examples each time, so that what fails was broken by what changed. `make long` tries more of them
# (`house`), `--hypothesis-profile=deep` many more and others each time.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", derandomize=True, max_examples=25, **_COMMON)
settings.register_profile("house", derandomize=True, max_examples=100, **_COMMON)
settings.register_profile("deep", max_examples=2_000, **_COMMON)
settings.load_profile("quick")


def pytest_collection_finish():
    """What was collected stays: nobody looks through it again for what could be forgotten."""
    if (typing_at := sys.modules.get("typer.testing")) is not None:
        # The commands of a program are made of its functions once, not for each line that a test types: 0.2 s a line.
        typing_at._get_command = functools.cache(typing_at._get_command)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.fixture(scope="session")
def first_database():
    """The name of the database to which the settings lead, before there is a copy."""
    from django.db import connection

    return connection.settings_dict["NAME"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings, first_database, django_db_blocker):
    """The test's store begins as a copy; and threads of a test wait for a connection as long as it takes."""
    from django.db import connection

    from tests import templates

    connection.settings_dict["OPTIONS"]["pool"]["timeout"] = DEADLINE_S
    with django_db_blocker.unblock():
        connection.settings_dict["TEST"]["TEMPLATE"] = templates.name()
        connection.settings_dict["TEST"]["MIGRATE"] = False  # the template is; to find that out takes seconds


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, first_database, django_db_blocker):
    """Of the copy: static files as they are now, and the rows of the cast, recorded. `prepare` made all else.

    pytest-django makes no copy where no test that is run is marked `django_db`, as those of `test_unseen.py` are not.
    """
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import setup_databases

    from tests import build

    call_command("collectstatic", interactive=False, verbosity=0)
    with django_db_blocker.unblock():
        if connection.settings_dict["NAME"] == first_database:
            setup_databases(verbosity=0, interactive=False, aliases={"default"})
        build.record_the_cast()


@pytest.fixture(scope="session", autouse=True)
def static_files_listed_once():
    """Each new client of a test makes the middleware anew, which would look at every static file again."""
    from whitenoise.middleware import WhiteNoiseMiddleware

    def once(really):
        found = {}

        def add(self, *where):
            key = (*where, self.static_prefix, self.max_age)
            if key not in found:
                others, self.files = self.files, {}
                really(self, *where)
                found[key], self.files = self.files, others
            self.files |= found[key]

        return add

    with pytest.MonkeyPatch.context() as patched:
        for name in ("update_files_dictionary", "add_files_from_finders"):
            patched.setattr(WhiteNoiseMiddleware, name, once(getattr(WhiteNoiseMiddleware, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def middleware_made_once():
    """Each new client of a test makes the middleware anew: the same, where no setting is another than at first."""
    from django.conf import settings
    from django.test.client import ClientHandler

    made = {}
    names = ("_view_middleware", "_template_response_middleware", "_exception_middleware", "_middleware_chain")
    at_first, really = settings._wrapped, ClientHandler.load_middleware

    def load(self, is_async=False):
        if is_async or settings._wrapped is not at_first:
            really(self, is_async)
            return
        if not made:
            really(self)
            made.update((name, getattr(self, name)) for name in names)
        vars(self).update(made)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ClientHandler, "load_middleware", load)
        yield


@pytest.fixture(scope="session", autouse=True)
def authorities_read_once():
    """Each client of HTTP would read the certificates of all authorities again: 20 ms, often in a loop that waits."""
    from httpx._transports import default

    made = {}

    def once(verify=True, cert=None, trust_env=True):
        asked = (verify, cert, trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        if verify is not True or cert is not None:
            return really(verify=verify, cert=cert, trust_env=trust_env)
        if asked not in made:
            made[asked] = really(verify=verify, cert=cert, trust_env=trust_env)
        return made[asked]

    really = default.create_ssl_context
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(default, "create_ssl_context", once)
        yield


@pytest.fixture(scope="session", autouse=True)
def emptied_quickly():
    """After each test that committed."""
    from django.test import TransactionTestCase

    from tests import emptying

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty)
        yield


@pytest.fixture(scope="session")
def memories(django_db_setup):
    """All that a process remembers of what it read."""
    from django.urls import get_resolver

    from exchange.memory import Memory

    assert get_resolver().url_patterns  # all that answers requests is loaded
    gc.unfreeze()
    found = [one for one in gc.get_objects() if type(one) is Memory]  # asking a lazy object for its class would make it
    gc.freeze()
    return found


@pytest.fixture(autouse=True)
def nothing_remembered(request):
    """The same partners and keys are in each test: what was remembered of them is of another."""
    if "django_db_setup" in request.fixturenames or request.node.get_closest_marker("django_db"):
        for memory in request.getfixturevalue("memories"):
            memory._held.clear()


@pytest.fixture(autouse=True)
def incarnation_known(monkeypatch):
    """What a process remembers of the store's incarnation is of this test's store: one that was never restored."""
    monkeypatch.setattr("exchange.incarnation._known", "")


@pytest.fixture(autouse=True)
def hints(monkeypatch):
    """No broker in tests unless asked for: what is hinted is counted, and followers are called by hand."""
    from exchange.hints import SENDER
    from indicators.log import following
    from indicators.telling import notifying
    from partners import mailing

    told = {"notifying": 0}

    def count(name):
        told[name] += 1

    monkeypatch.setattr(notifying, "hint", lambda: count("notifying"))
    monkeypatch.setattr(SENDER, "send_soon", lambda task: None)
    monkeypatch.setattr(following, "MOST_S", 600.0)  # nobody is there to go on
    monkeypatch.setattr(mailing, "hint", mailing.post)  # whatever is told by e-mail is sent at once
    return told


@pytest.fixture(autouse=True)
def told_at_once(request, monkeypatch):
    """A test that commits nothing has no after the commit: a batch is told in one portion, however large."""
    from indicators.log import appending

    marker = request.node.get_closest_marker("django_db")
    if not (marker and marker.kwargs.get("transaction")) and "transactional_db" not in request.fixturenames:
        monkeypatch.setattr(appending, "PORTION", 2**31 - 1)


@pytest.fixture(autouse=True)
def nobodys_hosts(monkeypatch):
    """No partner has made hosts known until a test does, so that no push asks for them."""
    from indicators.benign import service_hosts
    from indicators.door.benign import Known

    monkeypatch.setattr(service_hosts, "_remembered", service_hosts._Remembered(Known(examples=True), float("inf")))


@pytest.fixture(autouse=True)
def short_streams(monkeypatch):
    """A stream of events that is read to its end ends soon, and leaves no listener on the test's database."""
    from indicators.api import events
    from indicators.log import waking

    monkeypatch.setattr(events, "LONGEST_S", 0.1)
    monkeypatch.setattr(waking.LISTENER, "_start", lambda: None)


@pytest.fixture(autouse=True)
def looked_at_here(monkeypatch):
    """What `/readyz` looks at, it looks at in the test's own transaction, and anew each time."""
    from exchange import health

    monkeypatch.setattr(health, "FRESH_S", 0.0)
    for look in (health.LOOK, health.STORE, health.KEYS, health.BROKER):
        monkeypatch.setattr(look, "_start", look._look)


@pytest.fixture
def data_dir():
    """Where a PostgreSQL may live. Not `tmp_path`: pytest closes it to other users, and as root PostgreSQL is one."""
    with tempfile.TemporaryDirectory(prefix="exchange-") as place:
        yield Path(place) / "data"
        embedded.stop(Path(place) / "data")
