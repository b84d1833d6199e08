"""Appeals by token: tickets with a clock for whoever says it, no names, nothing of what the filer does not see."""

from __future__ import annotations

import re
import sys
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from typer.testing import CliRunner

from exchange import clock
from exchange.client import cli
from exchange.client.errors import Unusable
from indicators import publishing
from indicators.ending import revoking
from indicators.models import Appeal, Holding, Opinion, Ticket
from indicators.opinions import appealing, giving
from indicators.publishing.answering import Answer
from indicators.reports import reporting
from indicators.stix import making
from partners.caps import Caps
from partners.groups import steering
from partners.keys import auth
from partners.mailing import send_next
from partners.models import Mail, Partner
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, at, code, read
from tests.indicators.portal.test_pages import signed_in, text

pytestmark = pytest.mark.django_db
TOKEN = making.token("ab" * 32)


@pytest.fixture
def cast():
    made = build.the_cast()
    build.a_ring(made.aster, made.cygnus, slug="circle")
    return made


def published(cast, who="aster", **audience):
    made = making.account_pattern(carrier={"token": TOKEN})
    assert build.publish(cast.viewer(who), made, **(audience or {"groups": ("ring",)})).counts["accepted"] == 1
    return made["id"]


def token(**more):
    return {
        "subkind": "email",
        "scheme": TOKEN["scheme"],
        "key_epoch": TOKEN["key_epoch"],
        "value": TOKEN["value"],
        **more,
    }


def filed(cast, who="borealis", status=201, **more):
    sent = {"tokens": [token()], "reason": "victim", **more}
    answer = read(Caller(cast.keys[who]).send("POST", "appeals", sent), status)
    posted()
    return answer


def posted():
    """A worker sends what waits, and finds what the filer does not see."""
    while send_next():
        pass


@pytest.mark.parametrize("sent", [{}, {"psp_scope": ""}, {"psp_scope": "AB" * 16}, {"psp_scope": "ab"}])
def test_a_payment_fingerprint_without_its_scope_would_reach_nobody_and_is_refused(cast, sent):
    wish = {"tokens": [token(subkind="psp_fp", **sent)], "reason": "victim"}
    answer = Caller(cast.keys["borealis"]).send("POST", "appeals", wish)
    assert (code(answer, 422), at(answer)) == ("bad-tokens", "/tokens/0/psp_scope")
    assert not Appeal.unrestricted.exists()


def test_a_payment_fingerprint_reaches_its_publisher_within_its_scope_alone(cast):
    made = making.payment_fingerprint("psp_fp", carrier={"token": TOKEN}, extension={"psp_scope": "ab" * 16})
    assert build.publish(cast.viewer("aster"), made, groups=("ring",)).counts["accepted"] == 1
    assert filed(cast, tokens=[token(subkind="psp_fp", psp_scope="cd" * 16)])["tickets"] == []
    (ticket,) = filed(cast, tokens=[token(subkind="psp_fp", psp_scope="ab" * 16)])["tickets"]
    assert ticket["object"] == made["id"]


@pytest.mark.parametrize("words", [("psp_fp",), ("psp_fp", "--psp-scope", "zz"), ("email", "--psp-scope", "ab" * 16)])
def test_the_command_asks_for_the_scope_before_it_asks_for_the_value(words):
    said = CliRunner().invoke(cli.app, ["appeal", *words, "--reason", "victim"])
    assert isinstance(said.exception, Unusable) or said.exit_code == 2
    assert "--psp-scope" in f"{said.exception} {said.stderr}"


def test_the_form_has_a_field_for_the_scope(cast):
    assert 'id="scope"' in text(signed_in(cast.borealis, role=Role.ANALYST).get(reverse("portal-appeals")))


def tickets(cast, who, query=""):
    return read(Caller(cast.keys[who]).get(f"appeals/tickets{query}"))["tickets"]


def answered(cast, who, ticket, outcome):
    return Caller(cast.keys[who]).send("POST", f"appeals/tickets/{ticket['id']}", {"outcome": outcome})


def test_who_says_it_gets_a_ticket_without_a_name_and_a_revocation_reaches_every_list(cast):
    theirs = published(cast)
    appeal = filed(cast)
    (mine,) = appeal["tickets"]
    assert (mine["object"], mine["state"], mine["publisher"]["slug"]) == (theirs, "open", "aster")
    answer = Caller(cast.keys["aster"]).get("appeals/tickets")
    assert b"orealis" not in answer.content
    (ticket,) = read(answer)["tickets"]
    assert (ticket["object"], ticket["reason"], ticket["overdue"]) == (theirs, "victim", False)
    assert "publisher" not in ticket
    assert read(answered(cast, "aster", ticket, "revoke"))["state"] == "ended"
    assert Holding.unrestricted.get(stix_id=theirs).state == "revoked"
    blocklist = b"".join(Caller(cast.keys["borealis"]).get("blocklists/all?format=jsonl").streaming_content)
    assert theirs.encode() not in blocklist
    (after,) = read(Caller(cast.keys["borealis"]).get(f"appeals/{appeal['id']}"))["tickets"]
    assert after["state"] == "ended"
    assert tickets(cast, "aster") == []
    assert code(answered(cast, "aster", ticket, "keep"), 409) == "already-decided"


def test_of_what_the_filer_does_not_see_it_learns_nothing_and_its_publisher_is_asked_all_the_same(cast):
    bare = filed(cast)
    hidden = published(cast, "cygnus", groups=("circle",))
    beside = filed(cast)
    assert {**beside, "id": "", "at": ""} == {**bare, "id": "", "at": ""}
    (ticket,) = tickets(cast, "cygnus")
    assert ticket["object"] == hidden
    answered(cast, "cygnus", ticket, "keep")
    assert read(Caller(cast.keys["borealis"]).get(f"appeals/{beside['id']}"))["tickets"] == []


def test_filing_costs_the_same_whether_there_is_something_unseen(cast):
    """Before a worker looks, nothing was done for it: neither the answer nor its time can tell."""
    caller = Caller(cast.keys["borealis"])
    sent = {"tokens": [token()], "reason": "victim"}

    def statements():
        with CaptureQueriesContext(connection) as queries:
            read(caller.send("POST", "appeals", sent), 201)
        posted()
        return [re.sub(r"'[^']*'|[0-9]+", "?", one["sql"]) for one in queries]

    statements()
    bare = statements()
    hidden = published(cast, "cygnus", groups=("circle",))
    assert statements() == bare
    assert [one["object"] for one in tickets(cast, "cygnus")] == [hidden]
    assert statements() == bare, "nor whether one waits"


def test_what_is_kept_is_told_and_what_was_narrowed_since_is_gone(cast):
    kept, narrowed = published(cast), published(cast)
    appeal = filed(cast)
    for ticket in tickets(cast, "aster"):
        answered(cast, "aster", ticket, "keep")
    moved = Caller(cast.keys["aster"]).send("PUT", f"objects/{narrowed}/audience", {"partners": ["cygnus"]})
    assert moved.status_code in (200, 204)
    found = read(Caller(cast.keys["borealis"]).get(f"appeals/{appeal['id']}"))["tickets"]
    assert {one["object"]: one["state"] for one in found} == {kept: "kept", narrowed: "gone"}
    assert all(one["decided_at"] is None for one in found if one["state"] == "gone")


def test_with_dissent_it_is_out_of_the_filers_lists_at_once(cast):
    theirs = published(cast)
    filed(cast, dissent=True, reason="false_positive")
    (judged,) = read(Caller(cast.keys["aster"]).get(f"objects/{theirs}/opinions"))["judged"]
    assert (judged["standing"], judged["opinions"][0]["reason"]) == ("disputed", "false_positive")


def test_with_dissent_it_is_given_on_all_that_is_seen_whatever_waits_there_already(cast, monkeypatch):
    monkeypatch.setattr(appealing, "MOST_TICKETS", 1)
    monkeypatch.setattr(appealing, "MOST_DISSENTS", 2)
    theirs = [published(cast) for _ in range(3)]
    hidden = published(cast, "aster", partners=("cygnus",))
    assert "dissents" not in filed(cast)
    assert [filed(cast, dissent=True)["dissents"] for _ in range(3)] == [
        {"given": 2, "left": 1, "stays": 0},
        {"given": 1, "left": 0, "stays": 0},
        {"given": 0, "left": 0, "stays": 0},
    ]
    standings = [
        read(Caller(cast.keys["aster"]).get(f"objects/{stix_id}/opinions"))["judged"][0]["standing"]
        for stix_id in (*theirs, hidden)
    ]
    assert standings == ["disputed"] * 3 + ["unreviewed"]


def test_with_dissent_what_a_colleague_says_otherwise_stays(cast):
    confirmed, own, unjudged = (published(cast) for _ in range(3))
    filer = cast.viewer("borealis")
    colleague = auth.viewer_of_user(build.a_user(cast.borealis))
    giving.give(colleague, confirmed, opinion="agree", reason="confirmed_here")
    giving.give(filer, own, opinion="agree", reason="confirmed_here")
    assert filed(cast, dissent=True)["dissents"] == {"given": 2, "left": 0, "stays": 1}
    said = {one.holding.stix_id: one.says for one in Opinion.unrestricted.select_related("holding")}
    assert said[confirmed] > 0
    assert said[own] < 0
    assert said[unjudged] < 0


def test_what_is_overdue_is_told_once(cast, monkeypatch):
    admin = build.a_user(cast.aster)
    theirs = published(cast)
    appeal = filed(cast)
    posted()
    moment = clock.now() + appealing.CLOCK + timedelta(minutes=1)
    monkeypatch.setattr(clock, "now", lambda: moment)
    assert (appealing.tell_overdue(), appealing.tell_overdue()) == (1, 0)
    posted()
    assert [message.subject for message in mail.outbox if admin.email in message.to] == [
        "An appeal waits for your answer",
        "An appeal is overdue",
    ]
    assert not any("orealis" in message.body + message.subject for message in mail.outbox)
    viewer = auth.viewer_of_user(build.a_user(cast.borealis))
    assert appealing.find(viewer, appeal["id"]).tickets[0].overdue
    assert appealing.statistics(cast.aster.pk)["late"] == 1
    revoking.revoke_each(auth.viewer_of_user(admin), [theirs], request=publishing.Request(b"late" * 8))
    said = appealing.statistics(cast.aster.pk)
    assert (said["ended"], said["late"]) == (1, 1), "ended at last, though by no answer"
    moment += timedelta(days=366)
    appealing.forget()
    assert not Appeal.unrestricted.exists()
    assert theirs


def test_an_appeal_is_not_lost_while_no_worker_is_there(cast, monkeypatch):
    """Two days later each publisher is mailed, and has the whole clock from then, whether or not the filer sees it."""
    published(cast)
    published(cast, "cygnus", groups=("circle",))
    admins = {build.a_user(cast.aster).email, build.a_user(cast.cygnus).email}
    with monkeypatch.context() as away:
        away.setattr(sys.modules[__name__], "send_next", lambda: False)
        filed(cast)
    moment = clock.now() + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: moment)
    posted()
    assert {message.to[0] for message in mail.outbox} == admins
    assert set(Ticket.unrestricted.values_list("publisher__slug", "due_at")) == {
        ("aster", moment + appealing.CLOCK),
        ("cygnus", moment + appealing.CLOCK),
    }


def test_an_appeal_outlives_that_its_filer_is_suspended(cast, monkeypatch):
    """Who got a ticket is mailed at once; who is to get one of what the filer does not see, when the filer is back."""
    published(cast)
    published(cast, "cygnus", groups=("circle",))
    aster, cygnus = build.a_user(cast.aster).email, build.a_user(cast.cygnus).email
    with monkeypatch.context() as away:
        away.setattr(sys.modules[__name__], "send_next", lambda: False)
        filed(cast)
    Partner.objects.filter(pk=cast.borealis.pk).update(state=Partner.State.SUSPENDED)
    posted()
    assert [message.to for message in mail.outbox] == [[aster]]
    start = clock.now()
    for days in (1, 2):
        monkeypatch.setattr(clock, "now", lambda days=days: start + timedelta(days=days))
        posted()
    assert len(mail.outbox) == 1
    Partner.objects.filter(pk=cast.borealis.pk).update(state=Partner.State.ACTIVE)
    monkeypatch.setattr(clock, "now", lambda: start + timedelta(days=3))
    posted()
    assert [message.to for message in mail.outbox] == [[aster], [cygnus]]
    assert Ticket.unrestricted.get(publisher=cast.cygnus).due_at == clock.now() + appealing.CLOCK
    assert not Mail.objects.exists()


def test_what_is_narrowed_before_a_worker_looks_gives_no_second_ticket(cast, monkeypatch):
    hidden = published(cast)
    with monkeypatch.context() as away:
        away.setattr(sys.modules[__name__], "send_next", lambda: False)
        filed(cast)
    assert (
        Caller(cast.keys["aster"]).send("PUT", f"objects/{hidden}/audience", {"groups": ["circle"]}).status_code == 204
    )
    posted()
    assert Ticket.unrestricted.count() == 1
    assert not Mail.objects.exists()


def test_of_many_appeals_in_a_day_a_publisher_is_mailed_once(cast):
    build.a_user(cast.aster)
    for who in ("borealis", "cygnus", "borealis"):
        published(cast)
        filed(cast, who)
    assert len(tickets(cast, "aster")) == 1 + 2 + 2, "each filer asks about what it has not asked about"
    assert [message.subject for message in mail.outbox] == ["An appeal waits for your answer"]
    Appeal.unrestricted.update(at=F("at") - timedelta(hours=25))
    published(cast)
    filed(cast)
    assert len(mail.outbox) == 2


def test_no_member_floods_another_with_appeals(cast, monkeypatch):
    for _ in range(4):
        published(cast)
    monkeypatch.setattr(appealing, "MOST_TICKETS", 3)
    filed(cast)
    assert len(tickets(cast, "aster")) == 3
    filed(cast)
    assert len(tickets(cast, "aster")) == 4, "one that waits already is not asked again"
    monkeypatch.setattr(appealing, "MOST_OPEN", 4)
    published(cast)
    filed(cast)
    assert len(tickets(cast, "aster")) == 4
    monkeypatch.setattr(appealing, "MOST_A_DAY", 3)
    answer = Caller(cast.keys["borealis"]).send("POST", "appeals", {"tokens": [token()], "reason": "stale"})
    assert code(answer, 429) == "too-many-appeals"
    filed(cast, "cygnus")
    assert Ticket.unrestricted.filter(appeal__partner=cast.cygnus).count() == 3, "another's share is another's"


def test_unseen_tickets_take_no_room_from_seen_ones(cast, monkeypatch):
    monkeypatch.setattr(appealing, "MOST_TICKETS", 1)
    published(cast, groups=("circle",))
    theirs = published(cast)
    (ticket,) = filed(cast)["tickets"]
    assert ticket["object"] == theirs


def test_what_has_ended_by_itself_takes_no_room_from_what_is_asked_later(cast, monkeypatch):
    monkeypatch.setattr(appealing, "MOST_OPEN", 2)
    first = [published(cast), published(cast)]
    filed(cast)
    read(Caller(cast.keys["aster"]).send("POST", "objects/revoke", {"ids": first}))
    published(cast)
    assert len(filed(cast)["tickets"]) == 1
    published(cast)
    assert len(filed(cast)["tickets"]) == 1
    published(cast)
    assert filed(cast)["tickets"] == [], "two wait"


def test_whether_an_unseen_one_waits_is_not_told_once_it_is_seen(cast):
    hidden = published(cast, "cygnus", groups=("circle",))
    filed(cast)
    moved = Caller(cast.keys["cygnus"]).send("PUT", f"objects/{hidden}/audience", {"partners": ["borealis"]})
    assert moved.status_code in (200, 204)
    (ticket,) = filed(cast)["tickets"]
    assert (ticket["object"], ticket["state"]) == (hidden, "open")
    assert filed(cast)["tickets"] == []


def test_what_was_revoked_for_an_appeal_and_comes_back_waits_for_an_answer_again(cast):
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    steering.change(admin, replace(steering.settings_of(cast.aster), caps=Caps(ends=1)))
    published(cast), published(cast)
    appeal = filed(cast)
    ones = tickets(cast, "aster")
    assert [read(answered(cast, "aster", one, "revoke"))["state"] for one in ones] == ["ended", "ended"]
    (back,) = read(Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {}))["undone"]
    assert back["brought_back"] == 1
    (again,) = tickets(cast, "aster")
    seen = read(Caller(cast.keys["borealis"]).get(f"appeals/{appeal['id']}"))["tickets"]
    assert sorted(one["state"] for one in seen) == ["ended", "open"]
    assert read(answered(cast, "aster", again, "keep"))["state"] == "kept"
    assert tickets(cast, "aster") == []


def test_what_comes_back_unanswered_is_overdue_like_every_other(cast, monkeypatch):
    """Its revocation was undone: no answer, so its publisher is told, and no report counts it as one in time."""
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    steering.change(admin, replace(steering.settings_of(cast.aster), caps=Caps(ends=1)))
    published(cast), published(cast)
    filed(cast)
    for one in tickets(cast, "aster"):
        read(answered(cast, "aster", one, "revoke"))
    read(Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {}))
    moment = clock.now() + appealing.CLOCK + timedelta(minutes=1)
    monkeypatch.setattr(clock, "now", lambda: moment)
    said = appealing.statistics(cast.aster.pk)
    assert (said["open"], said["ended"], said["late"]) == (1, 1, 1)
    assert [one.overdue for one in appealing.received(admin, everything=True)].count(True) == 1
    assert (appealing.tell_overdue(), appealing.tell_overdue()) == (1, 0)


def test_where_the_revocation_is_refused_the_ticket_waits_still(cast, monkeypatch):
    published(cast)
    filed(cast)
    (ticket,) = tickets(cast, "aster")
    said = b'[{"status":"refused","code":"group-suspended","message":"Not now.","field":""}]'
    with monkeypatch.context() as refusing:
        refusing.setattr(revoking, "revoke_each", lambda *_, **__: Answer(uuid.uuid4(), clock.now(), {}, said))
        assert code(answered(cast, "aster", ticket, "revoke"), 422) == "group-suspended"
    assert [one["state"] for one in tickets(cast, "aster")] == ["open"]
    assert read(answered(cast, "aster", ticket, "revoke"))["state"] == "ended"


@pytest.mark.parametrize(
    ("sent", "why", "field"),
    [
        ({"tokens": []}, "bad-tokens", "/tokens"),
        ({"tokens": [{"value": "anna@example.org"}]}, "bad-tokens", "/tokens/0"),
        ({"tokens": [token(value="anna@example.org")]}, "bad-tokens", "/tokens/0/value"),
        ({"tokens": [token(subkind="net")]}, "bad-tokens", "/tokens/0"),
        ({"tokens": [token()] * 17}, "bad-tokens", "/tokens"),
        ({"reason": "confirmed_here"}, "bad-reason", "/reason"),
    ],
)
def test_a_raw_value_is_refused_and_never_repeated(cast, sent, why, field):
    answer = Caller(cast.keys["borealis"]).send("POST", "appeals", {"tokens": [token()], "reason": "victim", **sent})
    assert (code(answer, 422), at(answer)) == (why, field)
    assert b"anna" not in answer.content
    assert not Appeal.unrestricted.exists()


def test_a_report_says_how_appeals_were_answered(cast):
    root = {
        "type": "campaign", "spec_version": "2.1", "id": "campaign--5b0ff6f3-5ed3-4c4f-8d0a-8b9a3b9e6d10",
        "created": "2026-11-01T00:00:00.000Z", "modified": "2026-11-01T00:00:00.000Z", "name": "A campaign",
    }  # fmt: skip
    build.publish(cast.viewer("aster"), root, everyone=True)
    published(cast)
    filed(cast)
    answered(cast, "aster", tickets(cast, "aster")[0], "keep")
    person = auth.viewer_of_user(build.a_user(cast.aster, role=Role.COUNSEL))
    package = reporting.prepare(person, recipient="dorado", root=root["id"])
    assert (package.appeals["received"], package.appeals["kept"], package.appeals["late"]) == (1, 1, 0)


def test_anothers_ticket_is_as_absent_as_one_that_is_not_there(cast):
    published(cast)
    filed(cast)
    (ticket,) = tickets(cast, "aster")
    absent = {"id": "00000000-0000-4000-8000-000000000000"}
    for outcome in ("keep", "revoke"):
        first, second = (answered(cast, "cygnus", one, outcome) for one in (ticket, absent))
        assert (first.status_code, code(first, 404)) == (second.status_code, code(second, 404))
    assert [one["state"] for one in tickets(cast, "aster")] == ["open"]


def test_who_may_not_judge_files_none_and_who_may_not_publish_answers_none(cast):
    reader = Caller(build.a_key(cast.borealis, Scope.READ))
    assert code(reader.send("POST", "appeals", {"tokens": [token()], "reason": "victim"}), 403) == "missing-scope"
    assert code(reader.get("appeals/tickets"), 403) == "missing-scope"


@pytest.mark.slow
def test_in_the_portal_one_is_filed_by_tokens_and_says_what_the_filer_sees_alone(cast):
    theirs, hidden = published(cast), published(cast, "cygnus", groups=("circle",))
    browser = signed_in(cast.borealis, role=Role.ANALYST)

    def sent(**more):
        wish = {"tokens": [token()], "reason": "victim", "dissent": True, **more}
        return browser.post("/organisation/appeals/file", wish, content_type="application/json")

    assert sent().json() == {"address": "/organisation/appeals/"}
    posted()
    shown = text(browser.get("/organisation/appeals/"))
    assert "Filed. You see 1 indicator that names it." in shown
    assert "You dissent from 1 more." in shown
    assert theirs in shown
    assert hidden not in shown
    assert [one["object"] for one in tickets(cast, "cygnus")] == [hidden]
    assert read(Caller(cast.keys["aster"]).get(f"objects/{theirs}/opinions"))["judged"][0]["standing"] == "disputed"
    raw = "anna@mail.example"
    for wrong in (
        {"tokens": []},
        {"tokens": raw},
        {"tokens": [raw]},
        {"tokens": [token(value=raw)]},
        {"tokens": [token()] * 17},
        {"reason": "confirmed_here"},
        {"reason": None},
    ):
        answer = sent(**wrong)
        assert answer.status_code == 422, wrong
        assert raw not in answer.content.decode()
    for body in (b"", b"[", b"[]", b"1"):
        assert browser.post("/organisation/appeals/file", body, content_type="application/json").status_code in (
            400,
            422,
        )
    assert Appeal.unrestricted.count() == 1


def test_who_may_not_judge_files_none_in_the_portal_and_is_shown_no_form(cast):
    browser = signed_in(cast.borealis, role=Role.COUNSEL)
    wish = {"tokens": [token()], "reason": "victim"}
    assert browser.post("/organisation/appeals/file", wish, content_type="application/json").status_code == 403
    assert 'id="appeal"' not in text(browser.get("/organisation/appeals/"))
    assert Appeal.unrestricted.count() == 0
