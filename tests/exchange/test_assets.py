"""The portal's files: what templates name is looked for, collected by `prepare`, and missed by /readyz."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
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
