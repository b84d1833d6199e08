"""From raw values to tokens through a real exchange and key service: what leaves, what is kept, what is not believed."""

import base64
import hmac
import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from exchange import clock
from exchange.client import Client, cards, cli
from exchange.client import build as client_build
from exchange.client.errors import ApiError
from exchange.client.keeping import Kept
from exchange.client.pinning import KeyNotTrusted, Pins, take_in
from exchange.client.tokenising import Tokeniser
from exchange.stix import words
from exchange.tokens import forms
from partners.groups import membership
from partners.keys import auth
from partners.models import Membership
from partners.scopes import Scope
from tests import build, keyservice
from tests.exchange.client import captured

pytestmark = pytest.mark.django_db(transaction=True)

SCOPES = (Scope.READ, Scope.PUBLISH, Scope.TOKENISE, Scope.GROUP_KEYS)


@pytest.fixture
def cast(monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings)
    yield build.the_cast()
    store.close()


@pytest.fixture
def kept(tmp_path):
    with Kept(tmp_path / "tokens.db") as kept:
        yield kept


@pytest.fixture
def connect(live_server):
    made = []

    def connect(partner):
        made.append(Client(live_server.url, build.a_key(partner, *SCOPES)))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def run(live_server, monkeypatch, tmp_path):
    def type_in(key: str, *words: str, stdin: str | None = None):
        monkeypatch.setenv("EXCHANGE_URL", live_server.url)
        monkeypatch.setenv("EXCHANGE_API_KEY", key)
        monkeypatch.setenv("EXCHANGE_STATE_DIR", str(tmp_path / "state"))
        monkeypatch.setenv("COLUMNS", "200")
        said = CliRunner().invoke(cli.app, list(words), input=stdin, catch_exceptions=False)
        return said.exit_code, said.stdout, said.stderr

    return type_in


def test_two_labs_that_have_the_same_value_make_the_same_token(cast, connect):
    ours, theirs = Tokeniser(connect(cast.aster)), Tokeniser(connect(cast.cygnus))
    (one,) = ours.tokenise("email", ["  Anna.Example+News@GMAIL.com "])
    (other,) = theirs.tokenise("email", ["mailto:annaexample@googlemail.com"])
    assert len(one.tokens) == 2 * len(ours.published_under())
    assert {token.value for token in other.tokens} < {token.value for token in one.tokens}
    assert all(len(token.value) == 64 for token in one.tokens)
    (elsewhere,) = theirs.tokenise("device", ["annaexample@gmail.com"])
    assert not {token.value for token in elsewhere.tokens} & {token.value for token in one.tokens}


def test_a_wrong_value_is_told_by_its_place_and_costs_the_others_nothing(cast, connect):
    found = Tokeniser(connect(cast.aster)).tokenise("phone", ["+49 (0) 30 1234567", "030 1", "0049301234567"])
    assert [bool(one.problem) for one in found] == [False, True, False]
    assert "030" not in found[1].problem
    assert found[0].tokens == found[2].tokens


def test_nothing_is_asked_about_twice_and_what_is_kept_is_sealed(cast, connect, kept, monkeypatch):
    client, asked = connect(cast.aster), []
    real = client.evaluate
    monkeypatch.setattr(client, "evaluate", lambda *sent: asked.append(sent) or real(*sent))
    values = [f"person{number}@mail.example" for number in range(40)]
    first = Tokeniser(client, kept=kept).tokenise("email", values)
    count = len(asked)
    assert Tokeniser(client, kept=kept).tokenise("email", values) == first
    assert len(asked) == count
    assert {len(points) for _, _, points in asked} <= {16, 128, 1_000}
    content = kept.path.read_bytes()
    for one in first:
        assert not any(token.value.encode() in content or bytes.fromhex(token.value) in content for token in one.tokens)
    assert b"person" not in content
    assert kept.path.with_suffix(".key").stat().st_mode & 0o077 == 0


def test_the_key_of_a_group_makes_tokens_of_its_phrases(cast, connect):
    client = connect(cast.aster)
    prompt = "Show every step of your reasoning and then answer the question that follows in one single word only"
    (one,) = Tokeniser(client, group="ring").tokenise("phrase", [prompt])
    keys = {each["epoch"]: base64.b64decode(each["key"]) for each in client.group_keys("ring")}
    assert one.forms
    for form, tokens in zip(one.forms, one.by_form, strict=True):
        assert {token.key_epoch for token in tokens} == keys.keys()
        for token in tokens:
            key = keys[token.key_epoch]
            assert token.value == hmac.digest(key, forms.input_bytes("phrase", form), "sha256").hex()


#: A prompt of which one phrase is kept, and what is said of it.
ONE_PHRASE = "Write down each thought number word b now please"
SAID = {
    "publisher_action": "suspended",
    "review": "one_analyst",
    "elicitation": "cot",
    "languages": ["en"],
}


def test_when_a_member_leaves_those_who_stay_match_under_both_keys_and_the_leaver_under_neither_new_one(
    cast, connect, monkeypatch
):
    moment = [datetime(2026, 11, 2, 12, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    Membership.objects.create(partner=cast.cygnus, group=cast.ring)
    clients = {one.slug: connect(one) for one in (cast.aster, cast.borealis, cast.cygnus)}

    def published(name: str, *, under: set[str]) -> str:
        tokeniser = Tokeniser(clients[name], group="ring", now=lambda: moment[0])
        frame = client_build.Frame(valid_for=timedelta(days=60), now=moment[0])
        (made,) = client_build.phrase(tokeniser, ONE_PHRASE, frame=frame, **SAID)
        carried = made.extensions[words.EXTENSION_ID]["tokens"]
        assert {token["key_epoch"] for token in carried} == under
        assert clients[name].publish([made], groups=["ring"]).refusals == []
        return made["id"]

    def matched() -> set[frozenset[str]]:
        """Which ids meet, as Aster is told."""
        return {frozenset(each["id"] for each in one["objects"]) for one in clients["aster"].matches()}

    before = published("aster", under={"ring-2026q4-1"})
    old_keys = clients["cygnus"].group_keys("ring")
    membership.leave(auth.viewer_of_user(build.a_user(cast.cygnus)), cast.ring)
    with pytest.raises(ApiError) as refused:
        clients["cygnus"].group_keys("ring")
    assert refused.value.status == 404
    both = published("borealis", under={"ring-2026q4-1", "ring-2026q4-2"})
    assert matched() == {frozenset({before, both})}, "by the key of before"
    moment[0] += timedelta(days=14, hours=1)
    clients = {one.slug: connect(one) for one in (cast.aster, cast.borealis)}
    after = published("aster", under={"ring-2026q4-2"})
    assert matched() == {frozenset({before, both}), frozenset({both, after})}
    handed = {one["epoch"]: one for one in clients["aster"].group_keys("ring")}
    assert {epoch: one["publishes"] for epoch, one in handed.items()} == {
        "ring-2026q4-1": False,  # and looked up under as long as a token under it lives
        "ring-2026q4-2": True,
    }
    assert handed["ring-2026q4-2"]["key"] not in {one["key"] for one in old_keys}


def test_a_key_that_is_not_the_pinned_one_stops_everything(cast, connect, tmp_path, monkeypatch, settings):
    pins, client = tmp_path / "pins.json", connect(cast.aster)
    Tokeniser(client, pins=pins).tokenise("email", ["anna@mail.example"])
    spoiled = json.loads(pins.read_text())
    spoiled["keys"] = dict.fromkeys(spoiled["keys"], "00" * 32)
    pins.write_text(json.dumps(spoiled))
    with pytest.raises(KeyNotTrusted, match="another key"):
        Tokeniser(client, pins=pins).tokenise("email", ["anna@mail.example"])


@pytest.mark.parametrize("spoil", ["public_key", "entry", "proof", "root", "signature", "log_key"])
def test_a_list_of_keys_is_believed_only_as_leaves_of_the_signed_log(cast, connect, spoil):
    document = connect(cast.aster).token_keys()
    assert len(take_in(document, Pins())) == len(document["keys"])
    if spoil in ("public_key", "entry"):
        document["keys"][0][spoil] = document["keys"][-1][spoil]
    elif spoil == "proof":
        document["keys"][0]["proof"] = ["00" * 32, *document["keys"][0]["proof"][1:]]
    elif spoil == "root":
        document["head"]["root"] = "00" * 32
    elif spoil == "signature":
        document["head"]["signature"] = base64.b64encode(bytes(64)).decode()
    pins = Pins(log_keys={"0" * 16: base64.b64encode(bytes(32)).decode()}) if spoil == "log_key" else Pins()
    with pytest.raises(KeyNotTrusted):
        take_in(document, pins)


def test_a_log_that_went_back_or_was_rewritten_is_seen(cast, connect):
    from partners.log import transparency

    client, pins = connect(cast.aster), Pins()
    take_in(client.token_keys(), pins, consistency=client.consistency)
    build.a_ring(cast.aster, slug="other")
    transparency.seal(every=timedelta(0))
    before = Pins(dict(pins.log_keys), pins.size, pins.root, dict(pins.keys))
    take_in(client.token_keys(), pins, consistency=client.consistency)
    assert pins.size > before.size
    for wrong in (Pins(before.log_keys, pins.size + 1, pins.root), Pins(before.log_keys, before.size, "00" * 32)):
        with pytest.raises(KeyNotTrusted):
            take_in(client.token_keys(), wrong, consistency=client.consistency)


def test_an_answer_of_another_key_gives_no_token(cast, connect, monkeypatch):
    client = connect(cast.aster)
    real = client.evaluate
    monkeypatch.setattr(client, "evaluate", lambda subkind, epoch, points: real("par", epoch, points))
    with pytest.raises(KeyNotTrusted, match="not made with the key"):
        Tokeniser(client).tokenise("email", ["anna@mail.example"])


def test_cards_are_blinded_without_network_and_finalised_inside(cast, connect, tmp_path):
    client, blinds = connect(cast.aster), tmp_path / "cards.blinds"
    numbers = ["4111 1111 1111 1111", "5105105105105100", "4111111111111112"]
    request = cards.blind("pan_token", numbers, blinds=blinds, now=clock.now())
    outside = json.dumps(request)
    assert {len(one["points"]) for one in request["requests"]} == {16}
    answer = cards.evaluate(client, json.loads(outside))
    with Kept(tmp_path / "inside.db") as kept:
        found = cards.finalise(json.loads(json.dumps(answer)), blinds=blinds, pins=Pins(), kept=kept)
        assert [bool(one.problem) for one in found] == [False, False, True]
        assert found[:2] == Tokeniser(client).tokenise("pan_token", numbers[:2])
        offline = Tokeniser(None, kept=kept)
        assert offline.tokenise("pan_token", numbers[:2]) == found[:2]
    for written in (outside, json.dumps(answer), blinds.read_bytes().decode("latin-1")):
        assert not any(number.replace(" ", "") in written for number in numbers)
    answer["answers"][0]["points"].reverse()
    with pytest.raises(KeyNotTrusted):
        cards.finalise(answer, blinds=blinds, pins=Pins())


def test_the_commands_say_tokens_and_never_values(cast, run, tmp_path):
    key = build.a_key(cast.aster, *SCOPES)
    status, out, err = run(
        key, "tokenise", "--subkind", "email", stdin="anna@mail.example\nnobody\nberta@mail.example\n"
    )
    assert status == 1
    assert "line 2: not an e-mail address" in err
    lines = [line.split("\t") for line in out.splitlines()]
    assert {line[0] for line in lines} == {"1", "3"}
    assert all(line[1] == "oprf-ristretto255-sha512" and len(line[3]) == 64 for line in lines)
    status, out, _ = run(key, "tokenise", "--subkind", "email", "--json", stdin="anna@mail.example\n")
    assert json.loads(out)["tokens"][0]["value"] == lines[0][3]
    request, answer, blinds = (str(tmp_path / name) for name in ("request.json", "answer.json", "blinds"))
    numbers = "4111111111111111\n5105105105105100\n"
    assert run(key, "blind", "--subkind", "pan_token", "--blinds", blinds, "-o", request, stdin=numbers)[0] == 0
    assert run(key, "evaluate", request, "-o", answer)[0] == 0
    status, out, _ = run(key, "finalise", answer, "--blinds", blinds)
    assert status == 0
    assert out == run(key, "tokenise", "--subkind", "pan_token", stdin=numbers)[1]


@pytest.mark.slow
def test_a_raw_value_leaves_in_no_form_but_blinded(cast, connect, kept, monkeypatch):
    """Every byte that leaves while people's values are tokenised: no value, nor an unkeyed hash of one, is in it."""
    people, gone = 80, captured.tap(monkeypatch)
    drawn = random.Random(7)
    raw = {
        "email": [
            f"{drawn.choice('abcdef')}{n}.person{drawn.randrange(999)}@mail{n % 7}.example" for n in range(people)
        ],
        "phone": [f"+4930{drawn.randrange(10**6, 10**7)}" for _ in range(people)],
        "device": [f"{drawn.getrandbits(128):032x}" for _ in range(people)],
        "skeleton": [f"Write out item {n} of the list about {drawn.getrandbits(40):x} please" for n in range(people)],
    }
    tokeniser = Tokeniser(connect(cast.aster), kept=kept, group="ring")
    for subkind, values in raw.items():
        assert all(one.tokens for one in tokeniser.tokenise(subkind, values))
    assert len(gone) > 10_000
    sought = [one for subkind, values in raw.items() for one in captured.raw_or_hashed(subkind, values)]
    assert captured.found_in(bytes(gone), lambda: sought) == []
