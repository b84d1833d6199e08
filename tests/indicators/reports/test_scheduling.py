"""Schedules of drafts, and terms of recipients: what two people release, when, within which terms, and what ends it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import clock
from exchange.client import audit as offline
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from indicators.models import Holding, ReportPackage, ReportSchedule, StixObject
from indicators.reading import gathering
from indicators.reports import reporting, scheduling
from indicators.telling import inbox, subscribing
from partners import keys, terms
from partners.groups import life
from partners.identity import people
from partners.keys import auth
from partners.models import ApiKey, AuditRecord, Partner, User
from partners.scopes import Role, Scope
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import Caller, code, read
from tests.indicators.reports.test_reporting import Scene, files_of, grow

WEEK, MONTH = ReportSchedule.Every.WEEK, ReportSchedule.Every.MONTH
State = ReportPackage.State


@pytest.fixture
def scene(db):
    return Scene()


@pytest.fixture
def dorado(scene):
    return Caller(scene.cast.keys["dorado"])


def schedule(scene, **more) -> ReportSchedule:
    wish = {"name": "weekly", "recipient": "dorado", "every": WEEK, "day": 1, "hour": 8, "root": scene.campaign["id"]}
    return scheduling.make(scene.preparer, scheduling.Wish(**(wish | more)))


def run(one: ReportSchedule) -> ReportSchedule:
    """At the moment that it is due."""
    one.refresh_from_db()
    scheduling.run_due(at=max(one.due_at, clock.now()))
    return ReportSchedule.unrestricted.get(pk=one.pk)


def drafts(state=State.DRAFTED) -> list[ReportPackage]:
    return list(ReportPackage.unrestricted.filter(state=state).order_by("pk"))


def in_force(scene, **more):
    operator = build.viewer_of(scene.cast.operator, Scope.ADMIN)
    wish = {"jurisdiction": "DE", "reference": "BSIG", "basis_until": None, "strictest": Tlp.AMBER}
    today = clock.now().date()
    return terms.record(operator, scene.cast.dorado, **(wish | {"basis_from": today} | more))


def ended(scene, made):
    return terms.end(build.viewer_of(scene.cast.operator, Scope.ADMIN), scene.cast.dorado, made.pk, why="Repealed.")


# --- When


@pytest.mark.parametrize(
    ("every", "day", "zone", "after", "due"),
    [
        (WEEK, 1, "UTC", "2026-11-29T14:00", "2026-11-30T09:00"),  # Sunday to Monday
        (WEEK, 7, "UTC", "2026-11-29T08:59", "2026-11-29T09:00"),
        (WEEK, 7, "UTC", "2026-11-29T09:00", "2026-12-06T09:00"),
        (WEEK, 1, "Europe/Berlin", "2026-10-19T12:00", "2026-10-26T08:00"),  # winter time since the day before
        (MONTH, 1, "UTC", "2026-12-01T09:00", "2027-01-01T09:00"),
        (MONTH, 28, "America/New_York", "2026-02-28T14:00", "2026-03-28T13:00"),
        (MONTH, 1, "Pacific/Kiritimati", "2026-11-30T18:00", "2026-11-30T19:00"),  # there it is the first already
    ],
)
def test_it_is_due_by_the_clock_on_the_wall(every, day, zone, after, due):
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    found = scheduling.next_due(every, day=day, hour=9, time_zone=zone, after=moment)
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


@given(
    st.sampled_from([WEEK, MONTH]),
    st.integers(1, 28),
    st.integers(0, 23),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)),
)
def test_it_is_due_soon_and_on_its_day(every, day, hour, zone, naive):
    day = (day - 1) % 7 + 1 if every == WEEK else day
    after = naive.replace(tzinfo=UTC)
    due = scheduling.next_due(every, day=day, hour=hour, time_zone=zone, after=after)
    local = due.astimezone(ZoneInfo(zone))
    assert after < due <= after + timedelta(days=7 if every == WEEK else 31, hours=2)
    assert (local.isoweekday() if every == WEEK else local.day) == day
    assert local.hour in (hour, hour + 1), "an hour that the clock leaves out is the one after it"


# --- A draft


def test_a_schedule_drafts_and_two_people_release(scene, dorado):
    one = run(schedule(scene))
    (package,) = drafts()
    assert one.outcome == f"Drafted {len(package.object_ids)} objects."
    assert one.due_at > clock.now()
    assert read(dorado.get("reports"))["reports"] == [], "a draft is nothing to its recipient"
    with pytest.raises(Conflict) as refused:
        reporting.release(scene.counsel, package.pk)
    assert refused.value.code == "not-checked"
    reporting.check(scene.preparer, package.pk)
    with pytest.raises(Conflict):
        reporting.check(scene.preparer, package.pk)
    admin = auth.viewer_of_user(User.objects.get(pk=scene.preparer_person.pk))
    with pytest.raises(Forbidden):
        reporting.release(admin, package.pk)
    reporting.release(scene.counsel, package.pk)
    grow()
    cover = json.loads(files_of(dorado.get(f"reports/{package.pk}/package").content)["cover.json"])
    assert cover["prepared"]["by"] == scene.preparer_person.username
    assert cover["released"]["by"] == scene.counsel_person.username
    verbs = AuditRecord.objects.filter(target=f"report:{package.pk}").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["report.prepared", "report.checked", "report.released"]


def test_who_checked_it_never_releases_it(scene):
    run(schedule(scene))
    (package,) = drafts()
    reporting.check(scene.counsel, package.pk)
    with pytest.raises(Forbidden) as refused:
        reporting.release(scene.counsel, package.pk)
    assert refused.value.code == "needs-another-person"


def test_a_draft_gives_way_to_the_next_and_a_checked_one_does_not(scene):
    one = schedule(scene)
    run(one)
    (first,) = drafts()
    run(one)
    (second,) = drafts()
    assert second.pk != first.pk
    assert [package.pk for package in drafts(State.DISCARDED)] == [first.pk]
    reporting.check(scene.preparer, second.pk)
    assert "waits for its release" in run(one).outcome
    assert not drafts()
    assert [package.pk for package in drafts(State.PREPARED)] == [second.pk]


def test_a_schedule_runs_once_when_it_is_due(scene):
    one = schedule(scene)
    assert scheduling.run_due(at=one.due_at - timedelta(seconds=1)) == 0
    assert scheduling.run_due(at=one.due_at) == 1
    assert scheduling.run_due(at=one.due_at) == 0


def test_of_a_feed_a_draft_holds_what_came_since_the_last_release(scene):
    feed = subscribing.save_feed(scene.aster, name="Indicators", filter_json={"type": ["indicator"]})
    one = schedule(scene, root="", feed_id=feed.pk)
    assert "Drafted" in run(one).outcome
    (package,) = drafts()
    of = dict(Holding.unrestricted.filter(newest__in=package.object_ids).values_list("stix_id", "pk"))
    assert set(of) == {scene.open["id"], scene.named["id"]}
    assert package.title == "weekly"
    assert package.left_out == 1
    reporting.check(scene.preparer, package.pk)
    reporting.release(scene.counsel, package.pk)
    assert run(one).outcome == "There was nothing to report."
    later = build.an_indicator(tlp_word="green")
    build.publish(scene.aster, later, everyone=True)
    run(one)
    (package,) = drafts()
    assert list(Holding.unrestricted.filter(newest__in=package.object_ids).values_list("stix_id", flat=True)) == [
        later["id"]
    ]
    with pytest.raises(Conflict) as refused:
        subscribing.delete_feed(build.viewer_of(scene.cast.aster, Scope.SUBSCRIBE), feed.pk)
    assert refused.value.code == "feed-in-use"


def of_feed(scene, **filter_json) -> ReportSchedule:
    feed = subscribing.save_feed(scene.aster, name="Some", filter_json=filter_json or {"type": ["indicator"]})
    return schedule(scene, root="", feed_id=feed.pk)


def ids_of(package: ReportPackage) -> set[str]:
    return set(Holding.unrestricted.filter(newest__in=package.object_ids).values_list("stix_id", flat=True))


def released(scene, package: ReportPackage) -> None:
    reporting.check(scene.preparer, package.pk)
    reporting.release(scene.counsel, package.pk)


def test_more_than_one_package_holds_is_reported_oldest_first_package_by_package(scene, monkeypatch):
    monkeypatch.setattr(gathering, "MAX_OBJECTS", 2)
    monkeypatch.setattr(scheduling, "_PAGE", 2)
    more = [build.an_indicator(tlp_word="green") for _ in range(3)]
    build.publish(scene.aster, *more, everyone=True)
    one, reported = of_feed(scene), []
    for cut in (True, True, False):
        assert ("goes on from there" in run(one).outcome) is cut
        (package,) = drafts()
        assert package.cut is cut
        reported.append(ids_of(package))
        released(scene, package)
    assert run(one).outcome == "There was nothing to report."
    assert reported[0] == {scene.open["id"], scene.named["id"]}
    assert set.union(*reported) == reported[0] | {each["id"] for each in more}
    assert sum(map(len, reported)) == 5


def test_what_came_while_a_draft_is_put_together_is_in_the_next(scene, monkeypatch):
    one, late = of_feed(scene), build.an_indicator(tlp_word="green")
    gather = gathering.gather_listed

    def slowly(*args, **more):
        found = gather(*args, **more)
        build.publish(scene.aster, late, everyone=True)
        return found

    with monkeypatch.context() as held:
        held.setattr(gathering, "gather_listed", slowly)
        run(one)
    (package,) = drafts()
    assert late["id"] not in ids_of(package)
    released(scene, package)
    run(one)
    (package,) = drafts()
    assert ids_of(package) == {late["id"]}


def test_before_the_first_release_nothing_is_lost_however_long_it_takes(scene):
    one = of_feed(scene)
    one.refresh_from_db()
    scheduling.run_due(at=one.due_at + timedelta(days=365))
    (package,) = drafts()
    assert ids_of(package) == {scene.open["id"], scene.named["id"]}


def test_no_other_version_stands_in_for_one_that_the_feed_lets_through(scene):
    twin = build.an_indicator(tlp_word="green", confidence=90)
    build.publish(scene.aster, twin, groups=("ring",))
    build.publish(scene.cast.viewer("borealis"), twin | {"confidence": 5}, everyone=True)
    one = of_feed(scene, min_confidence=50)
    run(one)
    assert all(twin["id"] not in ids_of(package) for package in drafts())


def test_drafts_that_came_to_nothing_do_not_crowd_out_what_waits_and_was_released(scene, monkeypatch):
    first = scene.released()
    one = schedule(scene)
    for _ in range(3):
        run(one)
    waiting = scene.prepare()
    taken_back = scene.prepare()
    reporting.discard(scene.preparer, taken_back.pk)
    (draft,) = drafts()
    shown = [package.pk for package, _ in reporting.own(scene.preparer)]
    assert shown == [waiting.pk, draft.pk, first.pk, taken_back.pk]
    monkeypatch.setattr(reporting, "_MAX_OPEN", 2)
    assert first.pk in [package.pk for package, _ in reporting.own(scene.preparer)]


def test_who_renames_or_pauses_one_that_is_due_does_not_skip_its_run(scene):
    one = schedule(scene)
    due = clock.now() - timedelta(hours=1)
    ReportSchedule.unrestricted.filter(pk=one.pk).update(due_at=due)
    assert scheduling.change(scene.preparer, one.pk, {"name": "Another"}).due_at == due
    assert scheduling.change(scene.preparer, one.pk, {"state": "active"}).due_at == due
    assert scheduling.change(scene.preparer, one.pk, {"state": "paused"}).due_at == due
    assert scheduling.change(scene.preparer, one.pk, {"state": "active"}).due_at > clock.now()
    assert scheduling.change(scene.preparer, one.pk, {"hour": 9}).due_at > clock.now()


# --- Whom it ends with, and who sees it


def test_it_ends_with_the_rights_of_whoever_made_it(scene):
    one = schedule(scene)
    admin = auth.viewer_of_user(build.a_user(scene.cast.aster))
    people.change(admin, scene.preparer_person.pk, role=Role.ANALYST)
    one = run(one)
    assert (one.state, drafts()) == ("ended", [])
    record = AuditRecord.objects.get(verb="report-schedule.ended")
    assert (record.actor, record.partner) == ("system", scene.cast.aster)


def test_it_ends_with_its_key_and_goes_on_with_whoever_changes_it(scene):
    caller = Caller(build.a_key(scene.cast.aster, Scope.PUBLISH, Scope.READ))
    wish = {"name": "a", "recipient": "dorado", "every": "month", "day": 1, "hour": 6, "root": scene.campaign["id"]}
    made = [read(caller.send("POST", "report-schedules", wish | {"name": name}), 201) for name in ("a", "b")]
    scheduling.change(scene.preparer, made[1]["id"], {"state": "active"})
    admin = auth.viewer_of_user(build.a_user(scene.cast.aster))
    keys.revoke(ApiKey.objects.get(public_id=keys.public_id_of(caller.key)), by=admin)
    states = [run(ReportSchedule.unrestricted.get(pk=one["id"])).state for one in made]
    assert states == ["ended", "active"]


def test_it_goes_on_with_the_key_that_took_the_place_of_its_own(scene):
    caller = Caller(build.a_key(scene.cast.aster, Scope.PUBLISH, Scope.READ))
    wish = {"name": "a", "recipient": "dorado", "every": "month", "day": 1, "hour": 6, "root": scene.campaign["id"]}
    made = read(caller.send("POST", "report-schedules", wish), 201)
    key = ApiKey.objects.get(public_id=keys.public_id_of(caller.key))
    for _ in range(2):
        key, _presented = keys.rotate(key, overlap=timedelta(0))
    one = run(ReportSchedule.unrestricted.get(pk=made["id"]))
    assert (one.state, one.actor, len(drafts())) == ("active", f"key:{key.public_id}", 1)
    keys.revoke(key)
    assert run(one).state == "ended"


def test_one_that_ended_by_itself_is_listed_with_why_and_told(scene):
    one, other = schedule(scene), schedule(scene, name="other")
    scheduling.end(scene.preparer, other.pk)
    admin = auth.viewer_of_user(build.a_user(scene.cast.aster))
    since = clock.now() - timedelta(days=1)
    people.change(admin, scene.preparer_person.pk, role=Role.ANALYST)
    run(one)
    (shown,) = scheduling.listed(admin)
    assert (shown.pk, shown.state) == (one.pk, "ended")
    assert "may prepare no packages" in shown.outcome
    told = [item for item in inbox.inbox(admin, since=since) if item.kind == "report-schedule"]
    assert [(item.about, item.says) for item in told] == [("weekly", "ended")]
    assert not [item for item in inbox.inbox(scene.cast.viewer("borealis"), since=since) if item.about == "weekly"]
    page = scene.signed_in(User.objects.get(pk=admin.actor.removeprefix("user:"))).get(
        "/organisation/reports/schedules/"
    )
    assert b"may prepare no packages" in page.content
    assert b"/act" not in page.content
    with pytest.raises(NotFound):
        scheduling.change(admin, one.pk, {"state": "active"})
    ReportSchedule.unrestricted.filter(pk=one.pk).update(gave_up_at=clock.now() - timedelta(days=29))
    assert scheduling.listed(admin) == []


def test_while_the_partner_is_suspended_it_drafts_nothing_and_goes_on_afterwards(scene):
    one = schedule(scene)
    operator = build.viewer_of(scene.cast.operator, Scope.ADMIN)
    life.suspend(scene.cast.aster, by=operator, why="A reason.")
    one = run(one)
    assert (one.state, drafts()) == ("active", [])
    life.reinstate(Partner.objects.get(pk=scene.cast.aster.pk), by=operator)
    life.suspend(scene.cast.dorado, by=operator, why="A reason.")
    one = run(one)
    assert "unknown-partner" in one.outcome
    life.reinstate(Partner.objects.get(pk=scene.cast.dorado.pk), by=operator)
    run(one)
    assert len(drafts()) == 1


def test_nobody_of_another_partner_sees_a_schedule_or_a_draft(scene):
    one = schedule(scene)
    run(one)
    (package,) = drafts()
    stranger = auth.viewer_of_user(build.a_user(scene.cast.borealis))
    assert scheduling.listed(stranger) == []
    for act in (
        lambda: scheduling.own(stranger, one.pk),
        lambda: scheduling.change(stranger, one.pk, {"state": "paused"}),
        lambda: scheduling.end(stranger, one.pk),
        lambda: reporting.check(stranger, package.pk),
    ):
        with pytest.raises(NotFound):
            act()
    analyst = auth.viewer_of_user(build.a_user(scene.cast.aster, role=Role.ANALYST))
    with pytest.raises(Forbidden):
        scheduling.listed(analyst)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"every": "day"}, "bad-interval"),
        ({"day": 0}, "bad-day"),
        ({"day": 8}, "bad-day"),
        ({"every": "month", "day": 29}, "bad-day"),
        ({"hour": 24}, "bad-hour"),
        ({"time_zone": "../etc/passwd"}, "bad-time-zone"),
        ({"time_zone": "Berlin"}, "bad-time-zone"),
        ({"recipient": "aster"}, "unknown-partner"),
        ({"recipient": "nobody"}, "unknown-partner"),
        ({"root": "malware--x"}, "bad-root"),
        ({"root": ""}, "root-or-feed"),
        ({"feed": "00000000-0000-4000-8000-000000000000"}, "root-or-feed"),
        ({"forms": ["fax"]}, "bad-form"),
        ({"name": ""}, "bad-name"),
        ({"name": "Our price is 40 dollars per million tokens from March on"}, "competitive-data"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said_by_field(scene, more, why):
    caller = Caller(build.a_key(scene.cast.aster, Scope.PUBLISH))
    wish = {"name": "a", "recipient": "dorado", "every": "week", "day": 1, "hour": 6, "root": scene.campaign["id"]}
    answer = caller.send("POST", "report-schedules", wish | more)
    said = json.loads(answer.content)
    assert answer.status_code == 422, said
    assert said.get("errors", [{}])[0].get("code", said["code"]) == why, said
    assert not ReportSchedule.unrestricted.exists()


def test_a_schedule_is_changed_paused_and_ended_over_the_api(scene):
    caller = Caller(build.a_key(scene.cast.aster, Scope.PUBLISH))
    wish = {"name": "a", "recipient": "dorado", "every": "week", "day": 1, "hour": 6, "root": scene.campaign["id"]}
    made = read(caller.send("POST", "report-schedules", wish), 201)
    assert code(caller.send("POST", "report-schedules", wish), 409) == "name-taken"
    there = f"report-schedules/{made['id']}"
    changed = read(caller.send("PATCH", there, {"every": "month", "day": 28, "state": "paused", "forms": ["csv"]}))
    assert (changed["every"], changed["day"], changed["state"], changed["forms"]) == ("month", 28, "paused", ["csv"])
    assert code(caller.send("PATCH", there, {}), 422) == "nothing-to-change"
    assert code(caller.send("PATCH", there, {"every": "week"}), 422) == "bad-day"
    one = ReportSchedule.unrestricted.get()
    assert scheduling.run_due(at=one.due_at) == 0, "paused"
    assert caller.ask("DELETE", there).status_code == 204
    assert code(caller.get(there), 404) == "not-found"
    assert read(caller.get("report-schedules"))["schedules"] == []
    made = read(caller.send("POST", "report-schedules", wish), 201)  # under the same name


def test_people_walk_a_schedule_to_a_release_in_the_portal(scene):
    preparer, counsel = scene.signed_in(scene.preparer_person), scene.signed_in(scene.counsel_person)
    sent = {"name": "Weekly", "recipient": "dorado", "every": "week", "day": "1", "hour": "8", "time_zone": "UTC"}
    there = "/organisation/reports/schedules/"
    assert (
        b"You see no such"
        in preparer.post(there, sent | {"root": f"campaign--{'0' * 8}-0000-4000-8000-{'0' * 12}"}).content
    )
    assert preparer.post(there, sent | {"root": scene.campaign["id"], "forms": ["form"]}).status_code == 302
    one = ReportSchedule.unrestricted.get()
    assert preparer.post(f"{there}{one.pk}/act", {"do": "pause"}).status_code == 302
    assert b"Paused" in preparer.get(there).content
    preparer.post(f"{there}{one.pk}/act", {"do": "resume"})
    run(one)
    (package,) = drafts()
    page = f"/organisation/reports/{package.pk}/"
    assert b"I have checked it" in preparer.get(page).content
    preparer.post(page, {"do": "check"})
    assert b"Release to" not in preparer.get(page).content
    assert b"Release to" in counsel.get(page).content
    counsel.post(page, {"do": "release"})
    package.refresh_from_db()
    assert package.state == State.RELEASED
    assert preparer.post(f"{there}{one.pk}/act", {"do": "end"}).status_code == 302
    assert b"None yet" in preparer.get(there).content


# --- Terms


def test_a_package_stands_under_terms_and_says_them(scene, dorado, tmp_path):
    made = in_force(scene, forms=["form"], basis_until=date(2099, 1, 1))
    package = scene.released()
    assert (package.terms, package.forms) == (made, ["form"])
    content = dorado.get(f"reports/{package.pk}/package").content
    files = files_of(content)
    assert set(files) == {"cover.json", "cover.pdf", "form.json", "form.pdf", "proofs.json"}
    assert json.loads(files["cover.json"])["terms"] == terms.said(made)
    listed = read(dorado.get(f"reports/{package.pk}"))
    assert (listed["forms"], listed["terms"]["jurisdiction"]) == (["form"], "DE")
    (tmp_path / "package.zip").write_bytes(content)
    report = offline.verify(tmp_path / "package.zip")
    assert report.ok, report.problems
    released = AuditRecord.objects.get(verb="report.released")
    assert released.details["terms"]["reference"] == "BSIG"


def test_what_is_marked_more_strictly_than_the_terms_is_left_out(scene):
    in_force(scene, strictest=Tlp.GREEN)
    package = scene.prepare()
    assert (Tlp(package.tlp), package.left_out) == (Tlp.GREEN, 2)


def test_ended_terms_stop_preparing_releasing_and_opening(scene, dorado):
    made = in_force(scene)
    released, waiting = scene.released(), scene.prepare()
    assert dorado.get(f"reports/{released.pk}/package").status_code == 200
    ended(scene, made)
    with pytest.raises(Refused) as refused:
        scene.prepare()
    assert refused.value.code == "terms-ended"
    with pytest.raises(Conflict) as stopped:
        reporting.release(scene.counsel, waiting.pk)
    assert stopped.value.code == "terms-ended"
    assert code(dorado.get(f"reports/{released.pk}/package"), 404) == "not-found"
    assert read(dorado.get("reports"))["reports"] == []


def test_other_terms_in_force_do_not_stand_in_for_those_of_a_package(scene, dorado):
    made = in_force(scene)
    released = scene.released()
    ended(scene, made)
    in_force(scene, jurisdiction="FR")
    assert dorado.get(f"reports/{released.pk}/package").status_code == 404
    assert scene.prepare().terms.jurisdiction == "FR"


def test_one_that_was_prepared_before_terms_were_recorded_is_prepared_anew(scene, dorado):
    before, waiting = scene.released(), scene.prepare()
    in_force(scene)
    with pytest.raises(Conflict) as refused:
        reporting.release(scene.counsel, waiting.pk)
    assert refused.value.code == "no-terms"
    assert dorado.get(f"reports/{before.pk}/package").status_code == 200, "it was released without any"


def test_forms_that_the_recipient_does_not_want_are_refused(scene):
    in_force(scene, forms=["form"])
    with pytest.raises(Refused) as refused:
        reporting.prepare(scene.preparer, recipient="dorado", root=scene.campaign["id"], forms=["stix"])
    assert refused.value.code == "form-not-wanted"


def test_a_schedule_says_why_there_is_no_draft_once_terms_ended(scene):
    made = in_force(scene)
    one = schedule(scene)
    ended(scene, made)
    assert "terms-ended" in run(one).outcome
    assert not drafts()


@pytest.mark.parametrize("stricter", [Tlp.AMBER_STRICT, Tlp.RED])
def test_what_is_marked_more_strictly_since_is_neither_released_nor_opened(scene, dorado, stricter):
    operator = auth.viewer_of_user(build.a_user(scene.cast.operator))
    life.set_clearance(scene.cast.dorado, Tlp.RED, by=operator)
    in_force(scene)
    bare = {name: said for name, said in scene.campaign.items() if name != "object_marking_refs"}
    scene.campaign = bare | {"id": f"campaign--{uuid.uuid4()}"}
    build.publish(scene.aster, scene.campaign, partners=("dorado",), tlp=Tlp.AMBER)
    released, waiting = scene.released(), scene.prepare()
    assert dorado.get(f"reports/{released.pk}/package").status_code == 200
    build.publish(scene.aster, scene.campaign, partners=("dorado",), tlp=stricter)
    held = Holding.unrestricted.get(stix_id=scene.campaign["id"])
    assert (held.newest_id, held.audience.tlp) == (released.object_ids[0], stricter)
    seen = StixObject.objects.visible_to(scene.cast.viewer("dorado"))
    assert seen.filter(pk=released.object_ids[0]).exists(), "the recipient sees it still"
    with pytest.raises(Conflict) as refused:
        reporting.release(scene.counsel, waiting.pk)
    assert refused.value.code == "stale"
    assert code(dorado.get(f"reports/{released.pk}/package"), 404) == "not-found"
    assert read(dorado.get("reports"))["reports"] == []
