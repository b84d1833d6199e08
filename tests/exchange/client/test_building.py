"""From a table of raw values to matched indicators: every subkind is taken by the door, and no match is lost in time."""

import html
import json
import os
import random
import re
import sqlite3
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from exchange import clock
from exchange.client import Client, build, cli, renewing, repeating, tables, tokens
from exchange.client.errors import Unusable
from exchange.client.keeping import Kept
from exchange.client.tokenising import Token, Tokeniser, documents
from exchange.stix import words
from exchange.tokens import epochs, forms
from indicators.models import HeldBatch
from partners.groups import membership
from partners.keys import auth
from partners.models import Group, Membership
from partners.scopes import Role, Scope
from partners.tokens import groupkeys
from tests import build as house
from tests import keyservice
from tests.exchange.client import captured
from tests.indicators.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db(transaction=True)

SCOPES = (Scope.READ, Scope.PUBLISH, Scope.TOKENISE, Scope.GROUP_KEYS)
PROMPT = "Show every step of your reasoning and then answer the question that follows in one single word only"
SAID = {
    "account-pattern": {"entry_program": "api"},
    "payment-fingerprint": {"instrument": "card", "accounts_per_instrument": "10^1"},
    "prompt-signature": {"elicitation": "cot", "languages": ["en"]},
}
COMMON = {
    "publisher_action": "suspended",
    "review": "one_analyst",
    "control": "reseller_pool",
    "severity": "high",
    "confidence": 80,
    "techniques": ["AML.T0024.002"],
    "first_seen": "2026-11-28T11:42:13+01:00",
}
RAW = {
    "email": "Anna.Example+news@mail.example",
    "phone": "+49 (0) 30 1234567",
    "device": "8f14e45f-ceea-467f",
    "signup_template": "plan=api\ncountry=SG",
    "par": "V0010013021233195110450032800",
    "pan_token": "4111 1111 1111 1111",
    "iban_token": "DE89 3704 0044 0532 0130 00",
    "psp_fp": "Xt5EWLLDS7FJjR1c",
    "skeleton": PROMPT,
    "phrase": PROMPT,
}
CLEAR = {
    "email_domain": "Quick-Signup.example",
    "net": "198.51.100.7",
    "client_fp": "t13d1516h2_8daaf6152771_b186095e22b6",
    "gateway_host": "Relay.Reseller.example.",
    "crypto_addr": "bitcoin:BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "bin_range": "411111 - 411119",
}
RULES = {
    "cluster_rule": [("sync_score", ">=", 0.9), ("geo_mismatch", "=", True)],
    "billing_rule": [("decline_ratio", ">", 0.6)],
    "feature_rule": [("rotation_rate", ">=", 5)],
}
MAP = """
group = "ring"
tlp = "amber"
days = 60

[says]
review = "one_analyst"
publisher_action = "suspended"
control = "reseller_pool"

[says_from]
confidence = "score"

[[indicator]]
column = "email"
subkind = "email"
says = { entry_program = "api" }

[[indicator]]
column = "card"
subkind = "pan_token"
says = { instrument = "virtual_card", accounts_per_instrument = "10^1" }

[[indicator]]
column = "prompt"
subkind = "phrase"
says = { elicitation = "cot", languages = ["en"] }

[[indicator]]
column = "address"
subkind = "net"
says = { entry_program = "api", shared_infra = "vpn" }
"""


@pytest.fixture
def cast(monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings)
    cast = house.the_cast()
    Group.objects.filter(pk=cast.ring.pk).update(policy=Group.Policy.CLOSED_FACTS)
    yield cast
    store.close()


@pytest.fixture
def client(live_server, cast):
    with Client(live_server.url, house.a_key(cast.aster, *SCOPES)) as client:
        yield client


def said(subkind: str) -> dict:
    own = SAID[words.KIND_OF[subkind]] | ({"shared_infra": "vpn"} if subkind == "net" else {})
    return COMMON | own | ({"psp_scope": "6f1ed002ab5595859014ebf0951522d9"} if subkind == "psp_fp" else {})


def test_every_subkind_has_a_builder_and_the_door_takes_what_it_builds(client):
    tokeniser = Tokeniser(client, group="ring")
    made = [each for subkind, raw in RAW.items() for each in getattr(build, subkind)(tokeniser, raw, **said(subkind))]
    made += [each for subkind, raw in CLEAR.items() for each in getattr(build, subkind)(raw, **said(subkind))]
    made += [each for subkind, rule in RULES.items() for each in getattr(build, subkind)(rule, **said(subkind))]
    result = client.publish(made, groups=["ring"])
    assert result.refusals == []
    assert {one.extensions[words.EXTENSION_ID]["subkind"] for one in made} == words.KIND_OF.keys() - {
        "regex",
        "nova_rule",
    }
    texts = [*build.regex("(?i)answer: <[a-z]+>", **said("regex"))]
    texts += build.nova_rule('rule a { keywords: $a = "b" condition: keywords.$a }', **said("nova_rule"))
    assert {one.code for one in client.publish(texts, groups=["ring"]).refusals} <= {"waits-for-second-person"}


def test_an_indicator_is_marked_and_labelled_and_says_the_hour_alone(client):
    (made,) = build.email(Tokeniser(client), RAW["email"], **said("email"))
    document = json.loads(made.serialize())
    assert document["labels"] == ["account-pattern", "email", "reseller_pool", "high"]
    assert document["indicator_types"] == ["malicious-activity"]
    assert document["external_references"][0]["external_id"] == "AML.T0024.002"
    assert document["object_marking_refs"] == [build.MARKINGS["amber"]]
    assert document["extensions"][words.EXTENSION_ID]["first_seen"] == "2026-11-28T10:00:00Z"
    assert document["name"] == "account-pattern: email"


@pytest.mark.parametrize(
    ("subkind", "value"),
    [("email_domain", "co.uk"), ("net", "999.1.1.1"), ("bin_range", "41111"), ("gateway_host", "localhost")],
)
def test_what_gives_no_indicator_is_told_without_the_value(subkind, value):
    with pytest.raises(build.NotBuilt) as told:
        getattr(build, subkind)(value, **said(subkind))
    assert value not in str(told.value)


@pytest.mark.parametrize(
    "written",
    ["HTTPS://Relay.Reseller.example:443/v1", "relay.reseller.example:8443", "hxxps://relay[.]reseller.example/"],
)
def test_a_gateway_is_its_host_however_logs_write_its_address(written):
    (made,) = build.gateway_host(written, **said("gateway_host"))
    assert made.pattern == "[domain-name:value = 'relay.reseller.example']"


def test_a_wrong_word_and_too_long_a_life_are_told_before_anything_is_sent():
    with pytest.raises(build.NotBuilt, match="control: one of"):
        build.net("198.51.100.7", **said("net") | {"control": "nobody"})
    with pytest.raises(build.NotBuilt, match="7 days"):
        build.net("198.51.100.7", frame=build.Frame(valid_for=timedelta(days=8)), **said("net"))


@pytest.fixture
def run(live_server, monkeypatch, tmp_path):
    def type_in(partner, *words_: str, stdin: str | None = None):
        monkeypatch.setenv("EXCHANGE_URL", live_server.url)
        monkeypatch.setenv("EXCHANGE_API_KEY", house.a_key(partner, *SCOPES))
        monkeypatch.setenv("EXCHANGE_STATE_DIR", str(tmp_path / partner.slug))
        done = CliRunner().invoke(cli.app, list(words_), input=stdin, catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return type_in


def a_table(path, *rows: tuple[str, str, str, str, str]):
    lines = ["email,card,prompt,address,score", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def of(client) -> list[dict]:
    return [one["object"] for one in client.objects(type="indicator")]


def shared(client) -> set[str]:
    """Token values that indicators of two partners carry."""
    carried: dict[str, set[str]] = {}
    for one in client.objects(type="indicator"):
        for token in one["object"]["extensions"][words.EXTENSION_ID].get("tokens", ()):
            carried.setdefault(token["value"], set()).add(one["publisher"]["slug"])
    return {value for value, by in carried.items() if len(by) > 1}


def test_a_table_of_raw_values_becomes_indicators_that_match_another_labs(cast, client, run, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    ours = a_table(
        tmp_path / "ours.csv",
        ("Anna.Example+news@gmail.com", "4111 1111 1111 1111", PROMPT, "198.51.100.7", "80.0"),
        ("nobody", "4111 1111 1111 1112", "", "198.51.100.8", "x"),
        ("", "", "", "10.0.0.7", "60"),
    )
    theirs = a_table(tmp_path / "theirs.csv", ("annaexample@googlemail.com", "4111111111111111", PROMPT, "", "50"))
    map_file = str(tmp_path / "map.toml")
    status, out, err = run(cast.aster, "build", "--csv", ours, "--map", map_file)
    built = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert err.splitlines() == [
        "ours.csv:3 email: not an e-mail address",
        "ours.csv:3 card: not a card number",
        "ours.csv:3 address: confidence: a whole number (from column score)",
        f"{len(built)} built, 3 not built",
    ]
    assert {one["confidence"] for one in built} == {60, 80}
    status, out, _ = run(cast.aster, "publish", "--csv", ours, "--map", map_file, "--group", "ring", "--json")
    assert status == 1
    assert [json.loads(out)["counts"][name] for name in ("accepted", "refused")] == [len(built) - 1, 1]
    assert run(cast.borealis, "publish", "--csv", theirs, "--map", map_file, "--group", "ring")[0] == 0
    assert len(shared(client)) >= 2 + len(forms.of("phrase", PROMPT))
    page = html.unescape(signed_in(cast.borealis, role=Role.ANALYST).get("/matches").content.decode())
    assert all(f">{said}<" in page for said in ("email", "pan token", "phrase"))


def test_when_a_member_leaves_all_under_a_groups_key_is_renewed_by_one_command_and_told_before(
    cast, client, run, tmp_path
):
    """Phrases and sign-up templates alike, without naming the group; what is under the oblivious keys stays."""
    Membership.objects.create(partner=cast.cygnus, group=cast.ring)
    template = '[[indicator]]\ncolumn = "template"\nsubkind = "signup_template"\nsays = { entry_program = "api" }\n'
    (tmp_path / "map.toml").write_text(MAP + template)
    (tmp_path / "t.csv").write_text(
        f"email,prompt,card,address,score,template\nanna@mail.example,{PROMPT},,,80,tz=utc\n"
    )
    push = ("publish", "--csv", str(tmp_path / "t.csv"), "--map", str(tmp_path / "map.toml"), "--group", "ring")
    status, _, err = run(cast.aster, *push)
    assert (status, "exchange renew" in err) == (0, False), err
    before = under_group_keys(client)
    assert {subkind for subkind, _ in before.values()} == {"phrase", "signup_template"}
    membership.leave(auth.viewer_of_user(house.a_user(cast.cygnus)), cast.ring)
    (tmp_path / "t.csv").write_text("email,card,prompt,address,score,template\nberta@mail.example,,,,80,\n")
    _, _, err = run(cast.aster, *push)
    assert f"{len(before)} published before lack a token of the next key: exchange renew" in err
    status, out, _ = run(cast.aster, "renew")
    assert (status, out) == (0, f"{len(before)} renewed\n")
    after = under_group_keys(client)
    assert after.keys() == before.keys()
    for stix_id, (_, carried) in after.items():
        assert carried > before[stix_id][1]
        assert any(name.endswith("-2") for name in carried)
    assert run(cast.aster, "renew")[1] == "Nothing ends.\n"


def test_who_left_a_group_renews_the_rest_and_is_told(cast, run, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    table = a_table(tmp_path / "t.csv", ("anna@mail.example", "", PROMPT, "", "80"))
    assert run(cast.aster, "publish", "--csv", table, "--map", str(tmp_path / "map.toml"), "--group", "ring")[0] == 0
    Membership.objects.filter(partner=cast.aster, group=cast.ring).update(until=clock.now())
    status, out, err = run(cast.aster, "renew")
    assert (status, out) == (0, "Nothing ends.\n")
    assert err.startswith("group ring: no keys for you (not-found)")


def test_what_fails_once_a_table_is_published_is_told_and_its_ids_are_written(cast, client, run, tmp_path):
    """A file of what is kept that cannot be read and takes nothing more; a table of addresses needs none of it."""
    (tmp_path / "map.toml").write_text(MAP)
    push = ("publish", "--map", str(tmp_path / "map.toml"), "--group", "ring", "--csv")
    assert run(cast.aster, *push, a_table(tmp_path / "a.csv", ("anna@mail.example", "", PROMPT, "", "80")))[0] == 0
    before = len(of(client))
    with sqlite3.connect(tmp_path / cast.aster.slug / "tokens.db") as store:
        store.execute("UPDATE published SET sealed = zeroblob(64)")
        store.execute("CREATE TRIGGER full BEFORE INSERT ON published BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    store.close()
    table = a_table(tmp_path / "b.csv", ("", "", "", "198.51.100.7", "80"))
    status, _, err = run(cast.aster, *push, table, "--ids", str(tmp_path / "ids"))
    assert (status, len(of(client))) == (0, before + 1), err
    assert "could not be kept (disk is full)" in err
    assert "What lacks a token of the next key could not be asked" in err
    assert json.loads((tmp_path / "ids").read_text())["id"] in {one["id"] for one in of(client)}


def test_a_place_for_ids_that_cannot_be_written_is_told_before_anything_is_published(cast, client, run, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    table = a_table(tmp_path / "t.csv", ("", "", "", "198.51.100.7", "80"))
    push = ("publish", "--map", str(tmp_path / "map.toml"), "--group", "ring", "--csv", table)
    with pytest.raises(Unusable, match="No such file"):
        run(cast.aster, *push, "--ids", str(tmp_path / "absent" / "ids"))
    assert of(client) == []


def test_where_more_keys_live_than_an_indicator_holds_it_is_renewed_once(cast, run, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    table = a_table(tmp_path / "t.csv", ("anna@mail.example", "", PROMPT, "", "80"))
    assert run(cast.aster, "publish", "--csv", table, "--map", str(tmp_path / "map.toml"), "--group", "ring")[0] == 0
    for _ in range(5):
        groupkeys.replace(cast.ring)
    status, out, _ = run(cast.aster, "renew")
    assert (status, out.endswith(" renewed\n")) == (0, True), out
    assert run(cast.aster, "renew")[1] == "Nothing ends.\n"


def under_group_keys(client) -> dict[str, tuple[str, set[str]]]:
    """Of each indicator with tokens of a group's key: its subkind, and the epochs that it carries."""
    said = {one["id"]: one["extensions"][words.EXTENSION_ID] for one in of(client)}
    return {
        stix_id: (one["subkind"], {token["key_epoch"] for token in one["tokens"]})
        for stix_id, one in said.items()
        if any("-" in token["key_epoch"] for token in one.get("tokens", ()))
    }


def test_of_more_keys_than_fit_the_newest_are_said():
    some = [Token("hmac-sha256", f"ring-2026q4-{number}", f"{number:064x}") for number in (9, 11, 10, 2)]
    later = Token("hmac-sha256", "ring-2027q1-1", "f" * 64)
    assert [one["key_epoch"] for one in documents([later, *some])] == [
        "ring-2026q4-10",
        "ring-2026q4-11",
        "ring-2026q4-9",
        "ring-2027q1-1",
    ]


def test_what_the_exchange_refuses_of_a_table_is_told_by_its_line_and_column(cast, run, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    table = a_table(tmp_path / "ours.csv", ("", "", "", "198.51.100.7", "80"), ("", "", "", "10.0.0.7", "60"))
    status, _, err = run(cast.aster, "publish", "--csv", table, "--map", str(tmp_path / "map.toml"), "--group", "ring")
    assert status == 1
    assert re.search(r"^ours\.csv:3 address indicator--\S+ refused, benign-listed", err, re.MULTILINE)
    assert "10.0.0.7" not in err


def test_a_table_that_is_published_again_doubles_nothing_and_wakes_nothing(cast, client, run, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    push = ("publish", "--map", str(tmp_path / "map.toml"), "--group", "ring", "--json", "--csv")

    def counts(score, *more):
        row = ("anna.example@gmail.com", "4111 1111 1111 1111", PROMPT, "198.51.100.7", score)
        status, out, err = run(cast.aster, *push, a_table(tmp_path / "t.csv", row, row), *more)
        assert status == 0, err
        return {name: count for name, count in json.loads(out)["counts"].items() if count}

    all_of_it = counts("80")["accepted"]
    ids = {one["id"] for one in of(client)}
    assert len(ids) == all_of_it
    assert counts("80") == {"unchanged": all_of_it}
    assert counts("90") == {"accepted": all_of_it}
    assert {one["id"] for one in of(client)} == ids
    assert {one["confidence"] for one in of(client)} == {90}
    assert run(cast.aster, "withdraw", min(ids))[0] == 0
    assert run(cast.aster, "revoke", max(ids))[0] == 0
    after = counts("70")
    # Versions are dated to the second: one within that of its revocation is an older one, which changes nothing.
    assert after["accepted"] in (all_of_it - 2, all_of_it - 1), after
    assert after["withdrawn"] == all_of_it - after["accepted"]
    assert len([one for one in of(client) if not one.get("revoked")]) == all_of_it - 2


def test_in_the_second_half_of_its_life_a_value_that_is_said_again_lives_on(tmp_path):
    made = datetime(2026, 11, 1, tzinfo=UTC)

    def said_at(moment):
        frame = build.Frame(valid_for=timedelta(days=6), now=moment)
        (net,) = build.net("198.51.100.7", frame=frame, **said("net") | {"first_seen": None})
        one = tables.Built(2, "net", net)
        (again,) = repeating.settled(kept, [one], place="ring", now=moment)
        renewing.remember(kept, [again])
        return again.indicator

    with Kept(tmp_path / "kept.db") as kept:
        first = said_at(made)
        assert said_at(made + timedelta(days=2)) == first
        later = said_at(made + timedelta(days=4))
        assert (later["id"], later["created"]) == (first["id"], first["created"])
        assert later["modified"] > first["modified"]
        assert later["valid_until"] > first["valid_until"]
    with Kept(tmp_path / "other.db") as kept:
        assert said_at(made)["id"] != first["id"], "anybody could compute who published a value"


def test_what_is_no_map_is_told_in_a_sentence(cast, run, tmp_path):
    from exchange.client.errors import Unusable

    table = a_table(tmp_path / "t.csv")
    for text, told in (
        ("x = 1", "there is no x"),
        ("", "has no"),
        ('[[indicator]]\ncolumn = "email"', "a column and a subkind"),
        ('[[indicator]]\ncolumn = "email"\nsubkind = "y"', "y is no subkind"),
        ('[[indicator]]\ncolumn = "gone"\nsubkind = "email"', "has no column gone"),
        ('[[indicator]]\ncolumn = "email"\nsubkind = "cluster_rule"', "rules are built in Python"),
    ):
        (tmp_path / "map.toml").write_text(text)
        with pytest.raises(Unusable, match=told):
            run(cast.aster, "build", "--csv", table, "--map", str(tmp_path / "map.toml"))
    with pytest.raises(Unusable, match="go together"):
        run(cast.aster, "publish", "--csv", table)


def test_a_row_of_a_table_is_taken_back_by_the_ids_that_publishing_wrote(cast, client, run, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    rows = [("", "", "", f"198.51.100.{n}", score) for n, score in ((7, "80"), (8, "70"), (9, "x"))]
    rows.append(("", "", "", "10.0.0.7", "60"))
    table, ids = a_table(tmp_path / "t.csv", *rows), tmp_path / "ids.ndjson"
    push = ("publish", "--csv", table, "--map", str(tmp_path / "map.toml"), "--group", "ring", "--ids", str(ids))
    status, out, _ = run(cast.aster, *push)
    assert (status, re.findall(r"not built +(\d+)", out)) == (1, ["1"])
    told = [json.loads(line) for line in ids.read_text().splitlines()]
    assert [(one["line"], one["column"]) for one in told] == [(2, "address"), (3, "address")]
    assert "198.51" not in ids.read_text()
    status, out, _ = run(cast.aster, *push, "--json")
    again = json.loads(out)
    assert (again["rows"], again["not_built"], again["counts"]["unchanged"]) == (told, 1, 2)
    status, out, _ = run(cast.aster, "withdraw", "--file", "-", stdin=json.dumps(told[1]) + "\n")
    assert (status, out) == (0, f"{told[1]['id']}  withdrawn\n")
    assert {one["id"] for one in of(client)} == {told[0]["id"]}
    status, _, err = run(cast.aster, "build", "--csv", table, "--map", str(tmp_path / "map.toml"), "--no-validate")
    assert (status, err.splitlines()[-1]) == (1, "3 built, 1 not built")


def test_what_waits_for_a_second_person_is_named(cast, run, tmp_path):
    (tmp_path / "map.toml").write_text(
        MAP[: MAP.index("[[indicator]]")].replace('confidence = "score"', "")
        + """
[[indicator]]
column = "prompt"
subkind = "regex"
says = { elicitation = "cot", languages = ["en"] }
"""
    )
    table = a_table(tmp_path / "t.csv", ("", "", "ignore (all|every) rule", "", ""))
    push = ("publish", "--csv", table, "--map", str(tmp_path / "map.toml"), "--group", "ring")
    status, _, err = run(cast.aster, *push)
    assert status == 1
    assert re.search(
        r"^t\.csv:2 prompt indicator--\S+: waits for a second person of yours: portal, Waiting$", err, re.MULTILINE
    )
    status, out, _ = run(cast.aster, *push, "--json")
    told = json.loads(out)
    assert [one["index"] for one in told["waiting"]] == [0] * told["counts"]["waiting"] == [0]
    assert told["waiting"][0]["id"] in err, "said again it keeps its id"
    with Kept() as kept:
        assert [one["object"]["id"] for one in kept.published()] == [told["waiting"][0]["id"]], "renew finds it"
    assert len({bytes(one.digest) for one in HeldBatch.unrestricted.all()}) == 1, "said again it is no new version"


#: One in eight has a card and a prompt, too. `CAPTURED_PEOPLE=10000` takes as many (CONTRIBUTING.md).
PEOPLE, EIGHTH = int(os.environ.get("CAPTURED_PEOPLE", "80")), 8


@pytest.mark.slow
def test_nothing_raw_leaves_while_people_are_tokenised_built_and_published(cast, run, tmp_path, monkeypatch):
    """Every byte that leaves while a table is published: no raw value, nor an unkeyed hash of one, is in it."""
    gone = captured.tap(monkeypatch)
    drawn = random.Random(15)
    people = [
        (
            f"{drawn.choice('abcdef')}{n}.person+x{drawn.randrange(999)}@mail{n % 5}.example",
            "" if n % EIGHTH else a_card(drawn),
            "" if n % EIGHTH else f"Please write item {n} of the long list for me now, in blue",
            "",
            "70",
        )
        for n in range(PEOPLE)
    ]
    (tmp_path / "map.toml").write_text(MAP)
    table = a_table(tmp_path / "people.csv", *[(a, b, f'"{c}"', d, e) for a, b, c, d, e in people])
    assert run(cast.aster, "publish", "--csv", table, "--map", str(tmp_path / "map.toml"), "--group", "ring")[0] == 0
    sent = bytes(gone)
    assert sent.count(b'"tokens"') > PEOPLE + PEOPLE // EIGHTH

    def sought():
        for at, subkind in enumerate(("email", "pan_token", "phrase")):
            yield from captured.raw_or_hashed(subkind, [each[at] for each in people if each[at]])

    assert captured.found_in(sent, sought) == []
    assert captured.found_in(sent + people[-1][0].encode(), sought) == [f"email {people[-1][0]}"]


def a_card(drawn: random.Random) -> str:
    """A number of a card that nobody has, with its check digit (ISO/IEC 7812-1)."""
    digits = f"41111199{drawn.randrange(10**7):07}"
    doubled = (int(each) * (2 - place % 2) for place, each in enumerate(reversed(digits)))
    return f"{digits}{-sum(each - 9 * (each > 9) for each in doubled) % 10}"


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def test_through_two_quarters_no_match_is_lost(cast, live_server, monkeypatch, tmp_path, stack):
    """Two labs publish the same values at other times; each renews once a week: what lives at both always meets."""
    moment = [datetime(2026, 11, 1, 12, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    labs = {"aster": cast.aster, "borealis": cast.borealis}
    kept = {name: stack.enter_context(Kept(tmp_path / f"{name}.db")) for name in labs}

    def tokeniser(name, client):
        return Tokeniser(client, kept=kept[name], group="ring", now=lambda: moment[0])

    def publish(name, client, number):
        frame = build.Frame(valid_for=timedelta(days=90), now=moment[0])
        raw = f"person{number}@mail.example"
        (made,) = build.email(tokeniser(name, client), raw, frame=frame, **said("email") | {"first_seen": None})
        result = client.publish([made], groups=["ring"])
        assert result.refusals == []
        renewing.remember(kept[name], [renewing.tables.Built(0, "", made, forms.of("email", raw))])

    seen_epochs = set()
    for week in range(30):
        keys = {
            name: stack.enter_context(Client(live_server.url, house.a_key(partner, *SCOPES)))
            for name, partner in labs.items()
        }
        for name, client in keys.items():
            tokens.renew_all(client, tokeniser(name, client))
            number = week if name == "aster" else week - 5  # what Aster publishes, Borealis sees five weeks later
            if number >= 0 and week < 25:
                publish(name, client, number)
        live = [
            (one["publisher"]["slug"], one["object"]["extensions"][words.EXTENSION_ID]["tokens"])
            for one in keys["aster"].objects(type="indicator")
            if datetime.fromisoformat(one["object"]["valid_until"]) > moment[0]
        ]
        seen_epochs |= {token["key_epoch"] for _, carried in live for token in carried}
        numbers = [number for number in range(week + 1) if both_live(number, week)]
        both = [
            {slug for slug, carried in live if values & {token["value"] for token in carried}}
            for values in (tokens_of(number, moment[0], kept["aster"]) for number in numbers)
        ]
        assert all(one == set(labs) for one in both), (week, both)
        moment[0] += timedelta(days=7)
    assert seen_epochs >= {"2026q4", "2027q1", "2027q2"}


def both_live(number: int, week: int) -> bool:
    """Whether both labs' indicators of a person live: Aster's of week `number`, Borealis' of five weeks later."""
    return number + 5 <= week and (week - number) * 7 < 90 and number + 5 < 25


def tokens_of(number, moment, kept) -> set[str]:
    """This person's token under the key that is published under at this moment."""
    inputs = [forms.input_bytes("email", f"person{number}@mail.example")]
    values = {value.hex() for value in kept.tokens(epochs.quarter_of(moment), inputs).values()}
    assert values
    return values
