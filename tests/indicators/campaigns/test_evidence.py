"""Evidence and prevalence over REST: what goes up, what is asked about, and the sums that come down."""

import gzip
import json
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import clock
from indicators.campaigns import ending, sums
from indicators.campaigns.tables import Carried, EvidenceToken, Prevalence, Suspect, ToldSum
from partners.groups import life, membership
from partners.models import AuditRecord, Group, GroupKey, Partner
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, at, code, read
from tests.indicators.campaigns.sending import NDJSON, Pooling, answer_of, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool():
    return Pooling()


@pytest.fixture
def later(monkeypatch):
    def go(**by):
        now = clock.now() + timedelta(**by)
        monkeypatch.setattr(clock, "now", lambda: now)

    return go


def page(lab, path, cursor=""):
    """All pages from a cursor as one, and the new cursor."""
    found = {}
    while True:
        document = read(lab.get(f"groups/pool/{path}?limit=2&cursor={cursor}"))
        cursor, more = document.pop("cursor"), document.pop("more")
        for name, rows in document.items():
            found.setdefault(name, []).extend(rows)
        if not more:
            return found, cursor


def values(rows):
    return sorted(row.get("token", row)["value"] for row in rows)


def test_evidence_is_taken_whole_and_the_same_again_changes_nothing(pool):
    one, other = (pool.account(pool.token(name), pool.token("shared")) for name in "ab")
    assert read(send(pool.aster, "evidence?round=1", one, other)) == {
        "round": 1,
        "accounts": 2,
        "changed": 2,
        "unchanged": 0,
    }
    assert read(send(pool.aster, "evidence?round=1", one, other))["changed"] == 0
    assert read(pool.aster.get("groups/pool/evidence"))["tokens"] == 3
    asked, _ = page(pool.borealis, "evidence/asked")
    assert values(asked["asked"]) == sorted(pool.token(name)["value"] for name in ("a", "b", "shared"))


def test_a_line_that_is_refused_leaves_nothing_of_the_call_and_names_line_and_field_but_no_value(pool):
    good = pool.account(pool.token("a"))
    bad = pool.account(pool.token("b"), pool.token("c") | {"value": "zz" * 32})
    answer = send(pool.aster, "evidence?round=1", good, bad)
    assert (code(answer, 422), at(answer)) == ("bad-token", "/lines/1/tokens/1/value")
    assert b"zz" not in answer.content
    assert not Suspect.objects.exists()
    assert not EvidenceToken.objects.exists()


@pytest.mark.parametrize(
    ("change", "said", "where"),
    [
        ({"tokens": []}, "missing-property", "/tokens"),
        ({"basis": "hearsay"}, "bad-line", "/basis"),
        ({"until": "2020-01-01T00:00:00Z"}, "bad-until", "/until"),
        ({"until": "soon"}, "bad-until", "/until"),
        ({"account": "anna@mail.example"}, "bad-account", "/account"),
        ({"gone": True}, "bad-line", ""),
        ({"name": "Anna"}, "bad-line", ""),
        ({"publisher_action": "sued"}, "bad-line", "/publisher_action"),
    ],
)
def test_what_is_no_evidence_is_refused(pool, change, said, where):
    answer = send(pool.aster, "evidence?round=1", pool.account(pool.token("a")) | change)
    assert (code(answer, 422), at(answer)) == (said, f"/lines/0{where}")


@pytest.mark.parametrize(
    ("change", "said", "where"),
    [
        ({"subkind": "name"}, "unknown-subkind", "/subkind"),
        ({"subkind": "phrase"}, "bad-token", "/scheme"),
        ({"key_epoch": "2019q1"}, "ended-epoch", "/key_epoch"),
        ({"key_epoch": "never"}, "unknown-epoch", "/key_epoch"),
        ({"psp_scope": "ab" * 16}, "bad-token", "/psp_scope"),
        ({"wide": True}, "bad-token", "/wide"),
    ],
)
def test_what_is_no_token_of_evidence_is_refused(pool, change, said, where):
    answer = send(pool.aster, "evidence?round=1", pool.account(pool.token("a") | change))
    assert (code(answer, 422), at(answer)) == (said, f"/lines/0/tokens/0{where}")


def test_a_token_under_another_groups_key_is_refused(pool):
    other = build.a_ring(pool.partners["aster"], slug="other")
    GroupKey.objects.create(group=other, quarter=pool.epoch.split("-")[1], number=1, sealed=b"x")
    foreign = pool.token("p", "phrase") | {"key_epoch": pool.epoch.replace("pool", "other")}
    assert code(send(pool.aster, "evidence?round=1", pool.account(foreign)), 422) == "wrong-group-key"


def test_bounds_of_a_call(pool, monkeypatch):
    many = [pool.token(str(number)) for number in range(257)]
    assert code(send(pool.aster, "evidence?round=1", pool.account(*many)), 422) == "too-many-tokens"
    lines = [b'{"account":"%s","gone":true}' % str(uuid.uuid4()).encode() for _ in range(2_001)]
    assert code(send(pool.aster, "evidence?round=1", *lines), 422) == "too-many-lines"
    assert code(send(pool.aster, "evidence?round=1", b"{"), 400) == "malformed-json"
    assert code(send(pool.aster, "evidence?round=1", b"", b""), 400) == "no-lines"
    assert code(send(pool.aster, "evidence", pool.account(pool.token("a"))), 422) == "bad-parameter"
    assert code(pool.aster.send("POST", "groups/pool/evidence?round=1", {}), 415)
    packed = gzip.compress(json.dumps(pool.account(pool.token("a"))).encode())
    sent = pool.aster.ask("POST", "groups/pool/evidence?round=1", packed, media=NDJSON, Content_Encoding="gzip")
    assert read(sent)["changed"] == 1
    monkeypatch.setattr("indicators.campaigns.terms.LINES_A_DAY", 1)
    refused = send(pool.aster, "evidence?round=1", pool.account(pool.token("b")))
    assert code(refused, 429) == "quota"
    assert int(refused["Retry-After"]) > 0


def test_a_lab_has_no_more_different_tokens_asked_about_than_its_share(pool, monkeypatch):
    monkeypatch.setattr("indicators.campaigns.terms.MOST_TOKENS", 3)
    first = pool.account(*(pool.token(name) for name in "abc"))
    send(pool.aster, "evidence?round=1", first)
    too_many = send(pool.aster, "evidence?round=1", pool.account(pool.token("a"), pool.token("d")))
    assert (code(too_many, 422), at(too_many)) == ("too-many-held-tokens", "/lines")
    assert values(page(pool.borealis, "evidence/asked")[0]["asked"]) == values(first["tokens"])
    other = pool.account(pool.token("a"), pool.token("d"), account=first["account"])
    assert read(send(pool.aster, "evidence?round=1", other))["changed"] == 1
    assert read(send(pool.borealis, "evidence?round=1", pool.account(*(pool.token(name) for name in "xyz"))))


def test_what_was_let_go_makes_room_and_nothing_is_counted_while_there_is_some(pool, monkeypatch):
    monkeypatch.setattr("indicators.campaigns.terms.MOST_TOKENS", 4)
    monkeypatch.setattr("indicators.campaigns.terms.MOST_SUSPECTS", 3)
    first = pool.account(pool.token("a"), pool.token("b"))
    send(pool.aster, "evidence?round=1", first)
    with CaptureQueriesContext(connection) as asked:
        send(pool.aster, "evidence?round=1", pool.account(pool.token("b"), pool.token("c")))
    assert not [one["sql"] for one in asked if "SELECT count(*) FROM indicators_" in one["sql"]]
    for name in "def":  # each in the place of one before: never more than four tokens, nor three accounts
        assert read(send(pool.aster, "evidence?round=1", first | {"tokens": [pool.token(name)]}))["changed"] == 1
    send(pool.aster, "evidence?round=1", pool.account(pool.token("f")))
    with CaptureQueriesContext(connection) as asked:
        too_many = send(pool.aster, "evidence?round=1", pool.account(pool.token("f")))
    assert code(too_many, 422) == "too-many-accounts"
    written = [one["sql"] for one in asked if one["sql"].lstrip().startswith(("INSERT INTO indicators_", "WITH sent"))]
    assert not written, "it is refused before any of its work is done"
    instead = [{"account": first["account"], "gone": True}, pool.account(pool.token("f"))]
    assert read(send(pool.aster, "evidence?round=1", *instead))["changed"] == 2
    send(pool.aster, "evidence?round=1", {"account": instead[1]["account"], "gone": True})
    assert read(send(pool.aster, "evidence?round=1", pool.account(pool.token("f"))))["changed"] == 1


def test_a_new_round_takes_the_place_of_the_old(pool):
    kept, dropped = pool.account(pool.token("a")), pool.account(pool.token("b"))
    send(pool.aster, "evidence?round=1", kept, dropped)
    assert read(send(pool.aster, "evidence?round=2", {"account": kept["account"], "same": True}))["unchanged"] == 1
    assert code(send(pool.aster, "evidence?round=1", kept), 409) == "stale-round"
    done = pool.aster.ask("POST", "groups/pool/evidence/finish?round=2")
    assert read(done) == {"round": 2, "accounts": 1, "tokens": 1}
    assert read(pool.aster.ask("POST", "groups/pool/evidence/finish?round=2")) == read(done)
    unknown = send(pool.aster, "evidence?round=2", {"account": dropped["account"], "same": True})
    assert (code(unknown, 422), at(unknown)) == ("unknown-account", "/lines/0/account")


def test_what_is_asked_ends_after_the_interval_when_nobody_carries_it(pool, later):
    first = pool.account(pool.token("a"), pool.token("b"))
    send(pool.aster, "evidence?round=1", first)
    _, cursor = page(pool.borealis, "evidence/asked")
    send(pool.aster, "evidence?round=1", pool.account(pool.token("a"), account=first["account"]))
    assert page(pool.borealis, "evidence/asked", cursor)[0] == {"asked": [], "ended": []}
    later(seconds=3601)
    sums.tell_due()
    changed, cursor = page(pool.borealis, "evidence/asked", cursor)
    assert (values(changed["asked"]), values(changed["ended"])) == ([], [pool.token("b")["value"]])
    fresh, _ = page(pool.borealis, "evidence/asked")
    assert values(fresh["asked"]) == [pool.token("a")["value"]]
    assert fresh["ended"] == []


def asked_of_all(pool, name="t"):
    token = pool.token(name)
    for lab in pool.labs.values():
        send(lab, "evidence?round=1", pool.account(token))
    return token


def test_sums_are_told_of_two_other_labs_and_of_no_single_one(pool):
    token = asked_of_all(pool)
    assert read(send(pool.aster, "prevalence", answer_of(token, 64, 32))) == {
        "answers": 1,
        "changed": 1,
        "not_asked": 0,
    }
    for lab in pool.labs.values():
        assert page(lab, "sums")[0]["sums"] == []
    send(pool.borealis, "prevalence", answer_of(token, 16, 16))
    assert page(pool.aster, "sums")[0]["sums"] == []
    assert page(pool.borealis, "sums")[0]["sums"] == []
    (told,) = page(pool.cygnus, "sums")[0]["sums"]
    assert told == {"token": token, "holders": 64, "suspects": 32, "holders_less": 16, "suspects_less": 16}


def test_what_one_other_lab_published_is_a_mark_without_numbers(pool):
    token = pool.token("w")
    send(pool.aster, "evidence?round=1", pool.account(token))
    send(pool.aster, "prevalence", answer_of(token, 8, 8))
    assert page(pool.borealis, "sums")[0] == {"sums": [], "one_labs_word": [token], "ended": []}
    assert page(pool.aster, "sums")[0]["one_labs_word"] == []
    send(pool.cygnus, "prevalence", answer_of(token, 8, 8))
    told, _ = page(pool.borealis, "sums")
    assert [row["token"] for row in told["sums"]] == told["one_labs_word"] == [token]


def test_the_mark_ends_after_the_interval_once_a_second_lab_publishes_it(pool, later):
    token = pool.token("w")
    send(pool.aster, "evidence?round=1", pool.account(token))
    _, cursor = page(pool.borealis, "sums")
    send(pool.cygnus, "evidence?round=1", pool.account(token))
    assert page(pool.borealis, "sums", cursor)[0]["ended"] == []
    later(seconds=3601)
    sums.tell_due()
    assert page(pool.borealis, "sums", cursor)[0]["ended"] == [token]


@pytest.mark.slow
def test_a_told_sum_changes_once_an_interval_and_only_by_two_labs(pool, later):
    token = asked_of_all(pool)
    for name, count in (("aster", 64), ("borealis", 16)):
        send(pool.labs[name], "prevalence", answer_of(token, count, count))
    told, cursor = page(pool.eridanus, "sums")
    assert [row["suspects"] for row in told["sums"]] == [64]
    later(seconds=4000)
    send(pool.aster, "prevalence", answer_of(token, 1024, 1024))
    sums.tell_due()
    assert page(pool.eridanus, "sums", cursor)[0]["sums"] == []
    send(pool.borealis, "prevalence", answer_of(token, 1024, 1024))
    told, cursor = page(pool.eridanus, "sums", cursor)
    assert [row["suspects"] for row in told["sums"]] == [2048]
    later(seconds=1)
    send(pool.aster, "prevalence", answer_of(token, 1, 1))
    send(pool.borealis, "prevalence", answer_of(token, 1, 1))
    assert page(pool.eridanus, "sums", cursor)[0]["sums"] == []
    later(seconds=4000)
    sums.tell_due()
    told, _ = page(pool.eridanus, "sums", cursor)
    assert [row["suspects"] for row in told["sums"]] == [2]


@pytest.mark.slow
def test_who_has_a_token_asked_about_again_learns_no_single_labs_change_by_it(pool, later):
    token = pool.token("held by two others")
    probe = pool.account(token)
    send(pool.aster, "evidence?round=1", probe)
    for name, count in (("borealis", 64), ("cygnus", 16)):
        send(pool.labs[name], "prevalence", answer_of(token, count, count))
    told, cursor = page(pool.aster, "sums")
    assert [row["holders"] for row in told["sums"]] == [64]
    for count in (1024, 4096):
        send(pool.borealis, "prevalence", answer_of(token, count, count))
        send(pool.aster, "evidence?round=1", {"account": probe["account"], "gone": True})
        later(seconds=3601)
        sums.tell_due()
        later(seconds=3601)
        sums.tell_due()
        told, cursor = page(pool.aster, "sums", cursor)
        assert (told["sums"], told["ended"]) == ([], [token])
        assert page(pool.aster, "sums")[0] == {"sums": [], "one_labs_word": [], "ended": []}
        send(pool.aster, "evidence?round=1", probe)
        told, cursor = page(pool.aster, "sums", cursor)
        assert [row["holders"] for row in told["sums"]] == [64]
    send(pool.cygnus, "prevalence", answer_of(token, 32, 32))
    later(seconds=3601)
    sums.tell_due()
    told, cursor = page(pool.aster, "sums", cursor)
    assert [row["holders"] for row in told["sums"]] == [4096]


@pytest.mark.parametrize(
    ("holders", "suspects", "said"),
    [(3, 1, "not-a-power-of-two"), (4, 8, "more-suspects-than-holders"), (-1, 0, "bad-line"), (2**41, 0, "bad-line")],
)
def test_answers_are_powers_of_two_and_suspects_some_of_the_holders(pool, holders, suspects, said):
    token = asked_of_all(pool)
    assert code(send(pool.aster, "prevalence", answer_of(token, holders, suspects)), 422) == said


def test_an_answer_about_what_nobody_asks_is_ignored(pool):
    assert read(send(pool.aster, "prevalence", answer_of(pool.token("no"), 4, 2)))["not_asked"] == 1
    assert not Prevalence.objects.exists()


@pytest.mark.slow
def test_only_members_with_the_scope_and_a_group_that_allows_it(pool):
    outside = Caller(build.a_key(build.a_partner("Gemini"), Scope.EVIDENCE))
    token = pool.token("t")
    paths = ("evidence", "evidence/asked", "sums")
    for path in paths:
        assert code(outside.get(f"groups/pool/{path}"), 404) == "not-found"
        assert code(outside.get(f"groups/none/{path}"), 404) == "not-found"
        reader = Caller(build.a_key(pool.partners["aster"], Scope.READ, Scope.PUBLISH))
        assert code(reader.get(f"groups/pool/{path}"), 403) == "missing-scope"
    assert code(send(outside, "evidence?round=1", pool.account(token)), 404) == "not-found"
    Group.objects.filter(pk=pool.group.pk).update(evidence=False)
    for path in paths:
        assert code(pool.aster.get(f"groups/pool/{path}"), 409) == "no-evidence-here"
    assert code(send(pool.aster, "evidence?round=1", pool.account(token)), 409) == "no-evidence-here"


def test_a_suspended_group_takes_nothing_new(pool):
    Group.objects.filter(pk=pool.group.pk).update(suspended_at=clock.now())
    assert code(send(pool.aster, "evidence?round=1", pool.account(pool.token("t"))), 422) == "group-suspended"


def test_a_cursor_is_its_own_labs_and_its_own_lists(pool):
    send(pool.aster, "evidence?round=1", pool.account(pool.token("t")))
    _, cursor = page(pool.aster, "evidence/asked")
    assert code(pool.borealis.get(f"groups/pool/evidence/asked?cursor={cursor}"), 400) == "bad-cursor"
    assert code(pool.aster.get(f"groups/pool/sums?cursor={cursor}"), 400) == "bad-cursor"


@pytest.mark.slow
def test_evidence_of_who_leaves_ends_with_its_answers(pool, later):
    token = asked_of_all(pool)
    for lab in pool.labs.values():
        send(lab, "prevalence", answer_of(token, 8, 8))
    _, cursor = page(pool.eridanus, "sums")
    membership.leave(build.viewer_of(pool.partners["aster"], Scope.ADMIN), pool.group)
    ending.sweep()
    assert code(pool.aster.get("groups/pool/sums"), 404) == "not-found"
    assert not Suspect.objects.filter(partner=pool.partners["aster"]).exists()
    assert not Prevalence.objects.filter(partner=pool.partners["aster"]).exists()
    assert not ToldSum.objects.filter(partner=pool.partners["aster"]).exists()
    assert page(pool.eridanus, "sums", cursor)[0]["sums"] == []


@pytest.mark.slow
def test_evidence_of_a_suspended_partner_ends(pool):
    asked_of_all(pool)
    operator = build.viewer_of(pool.cast.operator, Scope.ADMIN)
    life.suspend(Partner.objects.get(slug="aster"), by=operator, why="A leaked key.")
    ending.sweep()
    assert not Suspect.objects.filter(partner=pool.partners["aster"]).exists()
    assert Suspect.objects.filter(partner=pool.partners["borealis"]).exists()


def test_evidence_ends_with_its_time(pool, later):
    send(pool.aster, "evidence?round=1", pool.account(pool.token("t")))
    later(days=31)
    ending.sweep()
    assert not Suspect.objects.exists()
    assert not Carried.objects.exists()


def test_who_joins_is_told_what_is_there(pool):
    token = asked_of_all(pool)
    for lab in pool.labs.values():
        send(lab, "prevalence", answer_of(token, 8, 8))
    late = build.a_partner("Gemini")
    from partners.models import Membership

    Membership.objects.create(partner=late, group=pool.group)
    newcomer = Caller(build.a_key(late, Scope.EVIDENCE))
    page(newcomer, "sums")
    ending.sweep()
    assert [row["suspects"] for row in page(newcomer, "sums")[0]["sums"]] == [32]


def test_the_log_holds_counts_in_buckets_and_nothing_of_what_was_sent(pool):
    token = asked_of_all(pool)
    send(pool.aster, "prevalence", answer_of(token, 8, 8))
    records = AuditRecord.objects.filter(partner=pool.partners["aster"], verb__in=["evidence.sent", "prevalence.sent"])
    assert [record.details for record in records.order_by("pk")] == [
        {"round": 1, "accounts": "10^0", "changed": "10^0"},
        {"answers": "10^0", "changed": "10^0"},
    ]


def test_the_same_tokens_in_two_groups_know_nothing_of_each_other(pool):
    token = asked_of_all(pool)
    other = build.a_ring(pool.partners["aster"], pool.partners["borealis"], slug="other")
    Group.objects.filter(pk=other.pk).update(evidence=True)
    one = Caller(build.a_key(pool.partners["aster"], Scope.EVIDENCE))
    assert read(one.get("groups/other/evidence/asked"))["asked"] == []
    body = json.dumps(answer_of(token, 4, 4)).encode()
    assert read(one.ask("POST", "groups/other/prevalence", body, media=NDJSON))["not_asked"] == 1
