"""One's own object changed from its page, acts on many with their frozen scope and undo, and what the verdict says."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest

from exchange import clock
from indicators.models import Holding, Opinion
from indicators.opinions import many
from indicators.portal import comparing, detail, verdict
from indicators.stix import making
from partners.scopes import Role
from tests import build
from tests.indicators.portal.test_pages import a_pair, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def living(cast, name):
    return Holding.unrestricted.filter(publisher__slug=name, state="live", stix_type="indicator").count()


def ours(cast, count, name="aster"):
    made = [making.account_pattern() for _ in range(count)]
    build.publish(cast.viewer(name), *made)
    return made


def test_an_own_object_is_revoked_after_a_question_and_comes_back(cast):
    (one,) = ours(cast, 1)
    client = signed_in(cast.aster)
    asked = text(client.get(f"/indicators/{one['id']}/end"))
    assert re.search(r"lists of <b>\d+ partners?</b>", asked)
    assert living(cast, "aster") == 1, "nothing is done by asking"
    done = client.post(f"/indicators/{one['id']}/end", follow=True)
    assert "1 of 1 revoked" in text(done)
    assert living(cast, "aster") == 0
    assert "1 object recalled by" in text(client.get("/organisation/waiting/"))
    undone = client.post(done.redirect_chain[-1][0], {"do": "undo"}, follow=True)
    assert "1 of 1 brought back" in text(undone)
    assert living(cast, "aster") == 1


@pytest.mark.slow
def test_only_its_publisher_ends_readdresses_or_proves_it(cast):
    (one,) = ours(cast, 1)
    for path in ("end", "audience", "proof"):
        assert signed_in(cast.borealis).get(f"/indicators/{one['id']}/{path}").status_code == 404, path
        assert signed_in(cast.aster, role=Role.ANALYST).get(f"/indicators/{one['id']}/{path}").status_code == 403, path


def test_an_audience_is_changed_once_it_is_known_who_comes_and_goes(cast):
    one = making.account_pattern()
    build.publish(cast.viewer("aster"), one)
    client = signed_in(cast.aster)
    path, form = f"/indicators/{one['id']}/audience", {"partners": ["cygnus"], "tlp": "amber"}
    told = text(client.post(path, {**form, "do": "ask"}))
    assert re.search(r"<b>Cygnus</b>\s*<span[^>]*>comes to see it", told)
    assert re.search(r"<b>Borealis</b>\s*<span[^>]*>is told to drop it", told)
    assert signed_in(cast.borealis).get(f"/indicators/{one['id']}").status_code == 200, "asking changes nothing"
    client.post(path, {**form, "do": "change"})
    assert signed_in(cast.borealis).get(f"/indicators/{one['id']}").status_code == 404
    assert signed_in(cast.cygnus).get(f"/indicators/{one['id']}").status_code == 200


def test_fifty_of_ours_are_revoked_in_one_act_whose_scope_is_frozen(cast):
    ours(cast, 52)
    ours(cast, 2, "borealis")
    client = signed_in(cast.aster)
    asked = client.post("/indicators/act", {"do": "revoke", "all": "yes"}, follow=True)
    assert "Revoke 52 of ours?" in text(asked)
    where = asked.redirect_chain[-1][0]
    ours(cast, 1)
    assert living(cast, "aster") == 53
    assert "Type 52 to go on" in text(client.post(where, {"do": "revoke", "number": "53"}, follow=True))
    assert living(cast, "aster") == 53
    assert "52 of 52 revoked" in text(client.post(where, {"do": "revoke", "number": "52"}, follow=True))
    assert living(cast, "aster") == 1, "what came later was not among them"
    assert living(cast, "borealis") == 2
    client.post(where, {"do": "undo"})
    assert living(cast, "aster") == 53
    assert signed_in(cast.borealis).get(where).status_code == 404


def test_what_had_ended_before_a_mass_revocation_is_named(cast):
    kept, gone = ours(cast, 2)
    client = signed_in(cast.aster)
    chosen = [f"aster/{one['id']}" for one in (kept, gone)]
    where = client.post("/indicators/act", {"do": "revoke", "chosen": chosen}, follow=True).redirect_chain[-1][0]
    build.publish(cast.viewer("aster"), gone | {"revoked": True, "modified": build.later()})
    told = text(client.post(where, {"do": "revoke"}, follow=True))
    assert "1 of 2 revoked" in told
    missing = told.partition("Gone before")[2].partition("</details>")[0]
    assert gone["id"] in missing
    assert kept["id"] not in missing


def test_many_are_judged_by_a_worker_with_what_failed_and_an_undo(cast):
    theirs = ours(cast, 22, "borealis")
    ours(cast, 2)
    client = signed_in(cast.aster)
    asked = client.post("/indicators/act", {"do": "judge", "all": "yes"}, follow=True)
    where = asked.redirect_chain[-1][0]
    assert "One opinion on 22 of others" in text(asked)
    ours(cast, 1, "borealis")
    first = text(client.post(where, {"do": "judge", "opinion": "agree:confirmed_here"}, follow=True))
    assert "Judging 22" in first
    assert 'aria-valuenow="0"' in first
    build.publish(cast.viewer("borealis"), theirs[0] | {"revoked": True, "modified": build.later()})
    assert many.work(), "a turn does some of them"
    part = text(client.get(where, headers={"HX-Request": "true"}))
    assert "Judging 22" in part
    assert "<html" not in part
    assert f'href="{where}"' in text(client.get("/")), "the inbox tells how far it is"
    assert not many.work()
    last = text(client.get(where))
    assert "21 of 22 judged" in last
    assert "It has ended" in last
    assert Opinion.unrestricted.filter(partner=cast.aster, said_by__state="live").count() == 21
    client.post(where, {"do": "undo"})
    while many.work():
        pass
    assert "21 taken back" in text(client.get(where))
    assert Opinion.unrestricted.filter(partner=cast.aster, said_by__state="live").count() == 0
    assert signed_in(cast.borealis).get(where).status_code == 404


def test_a_large_number_of_judgements_is_typed(cast):
    ours(cast, 51, "borealis")
    client = signed_in(cast.aster, role=Role.ANALYST)
    where = client.post("/indicators/act", {"do": "judge", "all": "yes"}, follow=True).redirect_chain[-1][0]
    said = {"do": "judge", "opinion": "agree", "reason": "confirmed_here"}
    assert "Type 51 to go on" in text(client.post(where, said | {"number": "50"}, follow=True))
    assert "Judging 51" in text(client.post(where, said | {"number": "51"}, follow=True))


def test_of_lines_of_both_each_act_takes_its_own(cast):
    (mine,), (theirs,) = ours(cast, 1), ours(cast, 1, "borealis")
    chosen = [f"aster/{mine['id']}", f"borealis/{theirs['id']}"]
    client = signed_in(cast.aster)
    assert "Revoke 1 of ours?" in text(client.post("/indicators/act", {"do": "revoke", "chosen": chosen}, follow=True))
    judged = client.post("/indicators/act", {"do": "judge", "chosen": chosen}, follow=True)
    assert "One opinion on 1 of others" in text(judged)


def test_the_chosen_lines_and_all_that_match_are_kept_apart(cast):
    one, *_ = ours(cast, 3)
    client = signed_in(cast.aster)
    chosen = client.post("/indicators/act", {"do": "revoke", "chosen": [f"aster/{one['id']}"]}, follow=True)
    assert "Revoke 1 of ours?" in text(chosen)
    assert "Nothing of that is yours" in text(
        client.post("/indicators/act", {"do": "revoke", "all": "yes", "filter": "tlp:red"}, follow=True)
    )


def test_the_page_tells_the_same_value_at_others_and_what_differs(cast):
    mine, _ = a_pair(cast)
    answer = text(signed_in(cast.aster).get(f"/indicators/{mine['id']}"))
    assert "The same value in 2 statements" in answer
    assert "two labs independently" in answer
    assert "It is yours." in answer
    assert "member of" in answer


def test_relations_are_told_both_ways_and_a_relationship_tells_its_ends(cast):
    (one,) = ours(cast, 1)
    malware = {
        "type": "malware", "spec_version": "2.1", "id": f"malware--{uuid.uuid4()}", "is_family": False,
        "created": "2026-05-01T00:00:00Z", "modified": "2026-05-01T00:00:00Z", "name": "Relay kit",
    }  # fmt: skip
    link = {
        "type": "relationship", "spec_version": "2.1", "id": f"relationship--{uuid.uuid4()}",
        "created": "2026-05-01T00:00:00Z", "modified": "2026-05-01T00:00:00Z", "relationship_type": "indicates",
        "source_ref": one["id"], "target_ref": malware["id"],
    }  # fmt: skip
    build.publish(cast.viewer("aster"), malware, link)
    client = signed_in(cast.borealis)
    assert f'href="/indicators/{malware["id"]}"' in text(client.get(f"/indicators/{one['id']}"))
    assert f'href="/indicators/{one["id"]}"' in text(client.get(f"/indicators/{malware['id']}"))
    ends = text(client.get(f"/indicators/{link['id']}"))
    assert f'href="/indicators/{one["id"]}"' in ends
    assert "<b>indicates</b>" in ends


def test_the_verdict_is_one_sentence():
    now = clock.now()
    known = verdict.Known(
        control="reseller_pool", subkind="email", kind_name="Account pattern", labs=3, unnamed=False,
        standing="supported", confidence=88, until=now + timedelta(days=63, hours=1), state="live",
        did=("suspended", "suspended", "challenged"), own=False, mine=None, confirm=2, dissent=0,
    )  # fmt: skip
    said = "".join(piece.text for piece in verdict.sentence(known, now=now))
    assert said == (
        "A reseller pool's mailbox, published by three labs independently. Supported, confidence 88, in force for 63 more"
        " days. Two labs suspended its accounts, one lab challenged them. You have not judged it."
    )


@pytest.mark.parametrize(
    ("heard", "mine", "said"),
    [
        ((0, 0), 0, "Supported, confidence 88"),
        ((1, 2), 1, "Supported (one dissents, two confirm), confidence 88"),
        ((2, 0), -1, "Supported (two dissent, none confirms), confidence 88"),
    ],
)
def test_the_verdict_says_who_dissents(heard, mine, said):
    now = clock.now()
    known = verdict.Known(
        control="reseller_pool", subkind="email", kind_name="Account pattern", labs=3, unnamed=False,
        standing="supported", confidence=88, until=None, state="live", did=(), own=False, mine=mine,
        dissent=heard[0], confirm=heard[1],
    )  # fmt: skip
    told = "".join(piece.text for piece in verdict.sentence(known, now=now))
    assert f". {said}, in force" in told
    assert told.endswith(
        {0: "You have judged it.", 1: "You confirm it.", -1: "You dissent, so it is out of your lists."}[mine]
    )


def test_versions_are_compared_by_path():
    before, after = '{"a": {"b": 1, "c": [1]}, "modified": "x"}', '{"a": {"b": 2, "c": [1, 3]}, "modified": "y"}'
    found = [(one.path, one.before, one.after) for one in comparing.changes(before, after)]
    assert found == [("/a/b", "1", "2"), ("/a/c/1", "", "3")]


def test_what_a_person_takes_back_can_come_back_for_an_hour(cast):
    """As what they revoke; nobody else is needed to make it final."""
    (one,) = ours(cast, 1)
    client, readers = signed_in(cast.aster), signed_in(cast.borealis)
    page_ = f"/indicators/{one['id']}"
    assert "For an hour one press brings it back" in text(client.get(f"{page_}/end"))
    waits = client.post(f"{page_}/withdraw", follow=True)
    assert waits.redirect_chain[-1][0] == "/organisation/waiting/"
    assert "took them back" in text(waits)
    assert "Make it final" in text(waits)
    assert readers.get(page_).status_code == client.get(page_).status_code == 404
    act = re.search(r'action="(/organisation/disarmed/[^/]+/act)"', text(waits))[1]
    client.post(act, {"do": "undo"})
    assert readers.get(page_).status_code == 200
    client.post(f"{page_}/withdraw")
    act = re.search(r'action="(/organisation/disarmed/[^/]+/act)"', text(client.get("/organisation/waiting/")))[1]
    client.post(act, {"do": "confirm"})
    held = Holding.unrestricted.get(stix_id=one["id"])
    assert (held.state, held.newest_id) == (Holding.State.WITHDRAWN, None)


def test_what_has_ended_is_taken_back_at_once_and_the_page_says_so_before(cast):
    (one,) = ours(cast, 1)
    build.publish(cast.viewer("aster"), one | {"revoked": True, "modified": build.later()})
    client = signed_in(cast.aster)
    assert "there is no hour to undo that" in text(client.get(f"/indicators/{one['id']}/end"))
    assert client.post(f"/indicators/{one['id']}/withdraw").headers["Location"] == "/indicators"
    assert Holding.unrestricted.get(stix_id=one["id"]).state == Holding.State.WITHDRAWN


def test_whatever_the_page_of_an_object_cuts_it_says_so(cast, monkeypatch):
    carrier = {"tokens": [making.token(value) for value in sorted(uuid.uuid4().hex * 2 for _ in range(2))]}
    one = making.account_pattern(carrier=carrier)
    beside = [making.account_pattern(carrier=carrier, name=f"Beside {n}") for n in range(10)]
    references = [f"malware--{uuid.uuid4()}" for _ in range(5)]
    seen = [
        {
            "type": "sighting", "spec_version": "2.1", "id": f"sighting--{uuid.uuid4()}", "count": 10,
            "created": "2026-05-01T00:00:00Z", "modified": "2026-05-01T00:00:00Z", "sighting_of_ref": one["id"],
        }
        for _ in range(9)
    ]  # fmt: skip
    grouping = {
        "type": "grouping", "spec_version": "2.1", "id": f"grouping--{uuid.uuid4()}", "context": "unspecified",
        "created": "2026-05-01T00:00:00Z", "modified": "2026-05-01T00:00:00Z", "object_refs": references, "labels": [f"label-{n}" for n in range(23)],
    }  # fmt: skip
    monkeypatch.setattr(detail, "_MATCHES", 1)
    monkeypatch.setattr(detail, "_MAX_REFS", 3)
    monkeypatch.setattr(detail, "_VERSIONS_COMPARED", 1)
    monkeypatch.setattr(detail.sighting, "MOST", 9)
    published = (
        build.publish(cast.viewer("aster"), one, grouping),
        build.publish(cast.viewer("borealis"), *beside, *seen),
        build.publish(cast.viewer("aster"), *(making.account_pattern(carrier=carrier) for _ in range(6))),
    )
    said = [each for answer in published for each in build.results(answer)]
    assert {each["status"] for each in said} == {"accepted"}, said
    for minutes in (31, 32):
        at = clock.rfc3339(clock.now() + timedelta(minutes=minutes))
        build.publish(cast.viewer("aster"), grouping | {"modified": at, **{f"x_{n}": minutes for n in range(61)}})
    client = signed_in(cast.aster)
    page_ = " ".join(text(client.get(f"/indicators/{one['id']}")).split())
    assert "and 4 or more besides</div>" in page_
    assert "The newest 1 matches; there are more." in page_
    assert "The newest 8 of 9 sightings or more." in page_
    page_ = " ".join(text(client.get(f"/indicators/{grouping['id']}")).split())
    assert "and 3 more, in the exact bytes" in page_, "labels"
    assert "What 1 earlier version changed is not shown." in page_
    assert "1 more place, in the exact bytes" in page_
    assert "2 references, in the exact bytes" in page_
