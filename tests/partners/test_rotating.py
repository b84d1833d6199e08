"""Each key is changed by a command, and what was signed or made under the one before stays good."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from partners.log import logkeys, transparency
from partners.models import AuditKey, AuditRecord, GroupKey, TreeHead
from partners.scopes import Scope
from partners.tokens import groupkeys
from tests import build

pytestmark = pytest.mark.django_db
NEW = "7b" * 32


@pytest.fixture
def cast():
    return build.the_cast()


def rotate(*line: str) -> str:
    said = io.StringIO()
    call_command("rotate", *line, stdout=said)
    return said.getvalue()


@pytest.mark.parametrize(("kind", "name", "least"), [("sealing", "SECRET_KEY", 50), ("log", "AUDIT_SIGNING_KEY", 64)])
def test_a_new_key_is_printed_for_the_settings(kind, name, least):
    one, other = rotate(kind, "--new"), rotate(kind, "--new")
    assert one != other
    assert one.startswith(f"{name}=")
    assert len(one.strip().partition("=")[2]) >= least


def test_the_key_of_the_log_is_changed_and_heads_of_before_stay_proven(cast, settings):
    transparency.seal(every=timedelta(0))
    before, key = TreeHead.objects.latest("size"), logkeys.key_id()
    with pytest.raises(CommandError, match="Nothing was changed"):
        rotate("log")
    old, settings.AUDIT_SIGNING_KEY = settings.AUDIT_SIGNING_KEY, bytes.fromhex(NEW)
    said = rotate("log")
    assert f"{logkeys.key_id()} signs the log, and {key} did before" in said
    head = TreeHead.objects.latest("size")
    assert head.size > before.size
    assert (before.key_id, head.key_id) == (key, logkeys.key_id())
    assert AuditRecord.objects.filter(verb="log-key.used", target=f"log-key:{head.key_id}").exists()
    assert not list(transparency.verify())
    assert transparency.consistency_proof(before.size, head.size)
    assert [one["id"] for one in transparency.key_documents()] == [key, head.key_id]
    assert rotate("log").endswith(said.splitlines()[-1] + "\n"), "again: the same"
    assert AuditKey.objects.count() == 2
    settings.AUDIT_SIGNING_KEY = old
    with pytest.raises(CommandError, match="is one of before"):
        rotate("log")


def test_a_key_of_the_log_that_signs_for_long_already_is_no_change(cast, settings, monkeypatch):
    transparency.seal(every=timedelta(0))
    settings.AUDIT_SIGNING_KEY = bytes.fromhex(NEW)
    rotate("log")
    monkeypatch.setattr("partners.management.commands.rotate._JUST_CHANGED", timedelta(0))
    with pytest.raises(CommandError, match="Nothing was changed"):
        rotate("log")


def test_while_another_process_seals_the_change_is_not_said_to_be_done(cast, settings, monkeypatch):
    transparency.seal(every=timedelta(0))
    settings.AUDIT_SIGNING_KEY = bytes.fromhex(NEW)
    with monkeypatch.context() as held:
        held.setattr(transparency, "_alone", lambda: False)
        with pytest.raises(CommandError, match="Run this again"):
            rotate("log")
    assert "signs the log, and" in rotate("log")


def test_keys_of_a_group_get_successors_at_once_and_those_of_before_are_handed_out_on(cast):
    borealis = build.viewer_of(cast.borealis, Scope.GROUP_KEYS)
    before = groupkeys.hand_out(borealis, "ring")
    living = GroupKey.objects.filter(replaced_at=None).count()
    said = rotate("group-keys", "ring", "--why", "A laptop was stolen.")
    assert said.startswith(f"{living} keys of ring have successors")
    after = groupkeys.hand_out(borealis, "ring")
    assert {one.epoch for one in before} < {one.epoch for one in after}, "tokens of before are found on"
    assert after[-1].publishes
    assert after[-1].epoch not in {one.epoch for one in before}
    record = AuditRecord.objects.get(verb="group-keys.replaced")
    assert (record.actor, record.details) == ("command", {"keys": living, "why": "A laptop was stolen."})


def test_what_is_asked_wrongly_is_a_sentence(cast):
    with pytest.raises(CommandError, match="no group of this slug"):
        rotate("group-keys", "none")
    with pytest.raises(CommandError, match="makes keys of groups itself"):
        rotate("group-keys", "ring", "--new")
