"""The portal's files: what templates name is looked for, collected by `prepare`, and missed by /readyz."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.base import ContentFile

from exchange import assets

ROOT = Path(__file__).resolve().parents[2]


def test_each_file_that_a_template_names_is_looked_for():
    templates = [path for room in ("exchange", "partners", "indicators") for path in (ROOT / room).rglob("*.html")]
    named = {name for path in templates for name in re.findall(r"{% static '([^']+)'", path.read_text())}
    tags = (ROOT / "exchange" / "templatetags").glob("*.py")
    named |= {name for path in tags for name in re.findall(r'static\("([^"]+)"\)', path.read_text())}
    assert named == set(assets.NAMED)


def test_all_are_there():
    assert assets.absent() == []


def test_what_was_not_collected_is_absent_and_makes_the_process_not_ready(client, db, monkeypatch, tmp_path):
    storage = ManifestStaticFilesStorage(location=tmp_path)
    monkeypatch.setattr(assets, "staticfiles_storage", storage)
    assert assets.absent() == list(assets.NAMED)
    assert client.get("/readyz").json()["checks"]["assets"] == "absent"


@pytest.mark.parametrize("lost", assets.NAMED)
def test_one_lost_file_is_found(lost, monkeypatch, tmp_path):
    storage = ManifestStaticFilesStorage(location=tmp_path)
    storage.hashed_files = {name: name for name in assets.NAMED}
    for name in assets.NAMED:
        if name != lost:
            storage._save(name, ContentFile(b"x"))
    monkeypatch.setattr(assets, "staticfiles_storage", storage)
    assert assets.absent() == [lost]


#: Acts that end something, and lead to a page that asks, or ask for a reason or a name first.
_ASKED_ELSEWHERE = {
    ("list.html", "revoke"),  # to act.html, which counts them
    ("act.html", "revoke"),
    ("end_page.html", "revoke"),
    ("end_page.html", ""),
    ("overview.html", "leave"),  # one's own short name is typed
    ("account.html", ""),  # of sessions: one signs in again
}


def test_what_ends_something_asks_first():
    silent = set()
    for path in (path for room in ("exchange", "partners", "indicators") for path in (ROOT / room).rglob("*.html")):
        for said in re.findall(
            r'<button((?:[^>{]|{[{%].*?[%}]})*class="[^"]*\bdanger\b(?:[^>{]|{[{%].*?[%}]})*)>', path.read_text()
        ):
            if "data-confirm" not in said:
                silent.add((path.name, (re.findall(r'value="(\w+)"', said) or [""])[0]))
    assert silent == _ASKED_ELSEWHERE


def test_no_id_stands_twice_on_a_page():
    """Those of the frame are on each page that has it."""
    frame = set(_ids(ROOT / "exchange" / "templates" / "exchange" / "base.html")) - {"main"}  # which some write anew
    twice = set()
    for path in (path for room in ("exchange", "partners", "indicators") for path in (ROOT / room).rglob("*.html")):
        own = _ids(path)
        if path.name != "base.html":
            twice |= {(path.name, one) for one in own if one in frame or own.count(one) > 1}
    assert twice == set()


def _ids(path: Path) -> list[str]:
    return re.findall(r'\sid="([\w-]+)"', path.read_text())


#: Script of one page, compressed as it travels; the picture of a campaign is drawn by the server.
_MOST_SCRIPT = 300_000


def test_no_page_asks_for_more_script_than_is_quick_to_load():
    """Workers' scripts included: a page names them all. What a reader of five minutes would wait for is caught here."""
    templates = [path for room in ("exchange", "partners", "indicators") for path in (ROOT / room).rglob("*.html")]
    named = {path: set(re.findall(r"{% static '([^']+\.js)'", path.read_text())) for path in templates}
    (base,) = (path for path in templates if path.name == "base.html")
    assert len(named[base]) >= 3
    for path, scripts in named.items():
        packed = {name: len(gzip.compress(Path(finders.find(name)).read_bytes())) for name in scripts | named[base]}
        assert sum(packed.values()) < _MOST_SCRIPT, (path, packed)


@pytest.mark.slow
def test_cookies_of_production_are_bound_to_this_host_and_secure():
    """`__Host-` (RFC 6265bis §4.1.3): secure, of the whole host, and no neighbouring name can plant one."""
    told = subprocess.run(
        [sys.executable, "-c", _COOKIES],
        env=os.environ | _PRODUCTION,
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    session, token, secure, path, domain = json.loads(told.stdout)
    assert session.startswith("__Host-")
    assert token.startswith("__Host-")
    assert (secure, path, domain) == ([True, True], ["/", "/"], [None, None])


_PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "exchange.settings",
    "EXCHANGE_MODE": "production",
    "SECRET_KEY": "k3-" + "abcdefghijklmnopqrstuvwxyz0123456789" * 2,
    "AUDIT_SIGNING_KEY": "0123456789abcdef" * 4,
    "ALLOWED_HOSTS": "exchange.example",
    "BASE_URL": "https://exchange.example",
}
_COOKIES = """
import json
from django.conf import settings as s
print(json.dumps([s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, [s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE],
                  [s.SESSION_COOKIE_PATH, s.CSRF_COOKIE_PATH], [s.SESSION_COOKIE_DOMAIN, s.CSRF_COOKIE_DOMAIN]]))
"""
