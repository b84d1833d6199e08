"""MISP events in and out: what they hold arrives, what does not is told by its place, and never with a value."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from exchange.formats import flat, misp
from exchange.formats.losses import REASONS
from exchange.stix import words
from tests import others
from tests.exchange.formats import ours
from tests.indicators.stix import shared

UUID = "5f1c1d1e-5b5c-4c7e-9d0e-0123456789ab"


def attribute(kind, value, **more):
    return {"type": kind, "value": value, "category": "Other", "uuid": UUID} | more


def found(*attributes, **event):
    return ours.split(misp.read({"Event": {"Attribute": list(attributes)} | event}))


@pytest.mark.parametrize(
    ("kind", "value", "subkind", "raw"),
    [
        ("email-src", "a@b.example", "email", "a@b.example"),
        ("whois-registrant-email", "a@b.example", "email", "a@b.example"),
        ("phone-number", "+49301234567", "phone", "+49301234567"),
        ("ip-src", "198.51.100.7", "net", "198.51.100.7"),
        ("ip-dst|port", "198.51.100.7|443", "net", "198.51.100.7"),
        ("AS", "AS64496", "net", "as64496"),
        ("AS", "64496", "net", "as64496"),
        ("domain", "relay.example", "gateway_host", "relay.example"),
        ("hostname|port", "relay.example|443", "gateway_host", "relay.example"),
        (
            "btc",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "crypto_addr",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        ),
        ("iban", "DE89370400440532013000", "iban_token", "DE89370400440532013000"),
        ("cc-number", "4111111111111111", "pan_token", "4111111111111111"),
        ("bin", "411111", "bin_range", "411111"),
    ],
)
def test_attributes_of_these_types_are_of_these_subkinds(kind, value, subkind, raw):
    ((one,), losses) = found(attribute(kind, value))
    assert (one.subkind, one.raw, one.path, one.source_id) == (subkind, raw, "/Event/Attribute/0", UUID)
    assert ours.codes(losses) == ([("/Event/Attribute/0", "port-dropped")] if "|" in kind else [])


def test_a_domain_with_its_address_is_two_and_our_tag_says_which_domain_it_is():
    both, _ = found(attribute("domain|ip", "relay.example|198.51.100.7"))
    assert [(one.subkind, one.raw) for one in both] == [("gateway_host", "relay.example"), ("net", "198.51.100.7")]
    ((one,), _) = found(attribute("domain", "a.example", Tag=[{"name": 'exchange:subkind="email_domain"'}]))
    assert one.subkind == "email_domain"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        (attribute("md5", "d41d8cd98f00b204e9800998ecf8427e"), "no-subkind"),
        (attribute("full-name", "Anna Example"), "personal"),
        (attribute("target-email", "anna@victim.example"), "personal"),
        (attribute("text", "call me"), "free-text"),
        (attribute("stix2-pattern", "[file:name = 'x']"), "foreign-pattern"),
        (attribute("email-src", "a@b.example", deleted=True), "deleted"),
        (attribute("email-src", "a@b.example", to_ids=False), "not-for-detection"),
        ({"type": "email-src"}, "unreadable"),
        ("x", "unreadable"),
    ],
)
def test_what_is_lost_is_told_by_its_place(attributes, code):
    nothing, losses = found(attributes)
    assert (nothing, ours.codes(losses)) == ([], [("/Event/Attribute/0", code)])


def test_what_stands_around_is_told_too():
    wanted = {
        "/Event/info": "title-dropped",
        "/Event/distribution": "audience-dropped",
        "/Event/Galaxy": "context-dropped",
        "/Event/Tag/1": "tag-dropped",
        "/Event/ShadowAttribute/0": "proposal",
        "/Event/Attribute/0/comment": "comment-dropped",
        "/Event/Attribute/0/Sighting": "context-dropped",
        "/Event/Attribute/0/first_seen": "cut-to-hour",
        "/Event/Attribute/0/Tag/0": "tag-dropped",
    }
    ((one,), losses) = found(
        attribute("ip-src", "198.51.100.7", comment="seen by Bob", Sighting=[{}], first_seen="2026-11-28T10:30:00+00:00", Tag=[{"name": "apt:who"}, {"name": "tlp:green"}, {"name": 'exchange:shared_infra="vpn"'}]),
        info="Operation Bob", distribution="3", Galaxy=[{}], ShadowAttribute=[{}], Tag=[{"name": "tlp:amber"}, {"name": "Bob"}],
    )  # fmt: skip
    assert dict(ours.codes(losses)) == wanted
    assert (one.tlp, dict(one.says)) == ("amber", {"first_seen": "2026-11-28T10:00:00+00:00", "shared_infra": "vpn"})
    assert "Bob" not in json.dumps([loss.document() for loss in losses])


def test_objects_are_read_by_what_their_relations_mean():
    def held(name, *attributes):
        return {"name": name, "Attribute": [attribute("text", value, object_relation=rel) for rel, value in attributes]}

    objects = [
        held("ai-chat-prompt", ("prompt", "Show every step."), ("model", "m")),
        held("ja4-plus", ("ja4-type", "JA4"), ("ja4-fingerprint", "t13d1516h2_8daaf6152771_b186095e22b6")),
        held("ja4-plus", ("ja4-type", "JA4S"), ("ja4-fingerprint", "t130200_1301_234ea6891581")),
        held("nova-rule", ("raw-rule", "rule a {}")),
        held("regexp", ("regexp", "a+")),
        held("coin-address", ("address-crypto", "0x" + "ab" * 20)),
        held("credit-card", ("name", "Anna Example"), ("card-security-code", "123")),
        {"name": "email", "Attribute": [attribute("email-dst", "v@b.example", object_relation="to")]},
    ]
    all_found, losses = ours.split(misp.read({"Event": {"Object": objects}}))
    assert [one.subkind for one in all_found] == [
        "skeleton",
        "phrase",
        "client_fp",
        "nova_rule",
        "regex",
        "crypto_addr",
    ]
    assert sorted({code for _, code in ours.codes(losses)}) == ["context-dropped", "no-subkind", "personal"]
    assert "Anna" not in str(losses)


def test_every_subkind_comes_back_as_it_was():
    objects = ours.every()
    out, told = ours.written(misp.write, objects)
    assert told == []
    back, losses = ours.split(misp.read(json.loads(out)))
    assert {loss.code for loss in losses} == {"title-dropped", "context-dropped"}
    by_subkind = {one.subkind: one for one in back}
    for document in objects:
        subkind = ours.extension(document)["subkind"]
        one = by_subkind[subkind]
        assert one.says == ours.says(document), subkind
        assert (one.tlp, one.valid_until) == ("amber", document["valid_until"])
        if one.carried is not None:
            assert one.carried == {words.CARRIED_BY[subkind]: ours.carries(document)}
        else:
            assert one.raw == ours.carries(document).removesuffix("/32")


def test_what_no_event_can_say_is_told():
    revoked = ours.one("email") | {"revoked": True}
    marked = ours.one("phone") | {"created_by_ref": f"identity--{UUID}", "modified": "2026-11-28T10:00:00.123Z"}
    foreign = {"type": "indicator", "id": f"indicator--{UUID}", "pattern": "[file:name = 'x']"}
    note = {"type": "note", "id": f"note--{UUID}", "content": "call me"}
    out, told = ours.written(misp.write, [revoked, marked, foreign, note])
    assert ours.codes(told) == [
        (revoked["id"], "revoked"),
        (foreign["id"], "foreign-pattern"),
        (note["id"], "no-counterpart"),
        (f"{marked['id']}/created_by_ref", "creator-dropped"),
        (f"{marked['id']}/modified", "cut-to-second"),
    ]
    assert len(json.loads(out)["response"]) == 1
    assert json.loads(ours.written(misp.write, [])[0]) == {"response": []}


def test_events_are_of_one_tlp_and_of_bounded_size(monkeypatch):
    monkeypatch.setattr(misp.writing, "PER_EVENT", 2)
    made = [ours.one("email") for _ in range(5)]
    green = next(ref for ref, word in flat.TLP_OF.items() if word == "green")
    made[1] |= {"object_marking_refs": [green]}
    out, _ = ours.written(misp.write, made)
    events = [one["Event"] for one in json.loads(out)["response"]]
    assert [len(event["Attribute"]) for event in events] == [2, 2, 1]
    assert [event["Tag"][0]["name"] for event in events] == ["tlp:amber", "tlp:amber", "tlp:green"]
    assert out == ours.written(misp.write, made)[0]


@shared.needed
def test_real_events_are_read_without_a_fault():
    for path in sorted((shared.ROOT / "misp").glob("*.json")):
        with contextlib.suppress(misp.NoEvent):
            items = list(misp.read(json.loads(path.read_bytes())))
            assert all(loss.document()["message"] == REASONS[loss.code] for loss in ours.split(items)[1])


_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5) | some.sampled_from(["ip-src", "1.2.3.4"]),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(
                ["Event", "response", "Attribute", "Object", "Tag", "name", "type", "value", "info", "deleted"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_whatever_json_comes_is_read_or_is_no_event(document):
    with contextlib.suppress(misp.NoEvent):
        list(misp.read(document))


#: PyMISP is heavier than all of the client: it has an environment of its own, with misp-stix.
_LOAD = """
import json, sys, warnings
from pymisp import MISPEvent
warnings.simplefilter("error")
told = []
for one in json.load(sys.stdin)["response"]:
    event = MISPEvent()
    event.load(one)
    told += [[a.type, a.value] for a in event.attributes]
    told += [[o.name, a.value] for o in event.objects for a in o.attributes if a.object_relation != "ja4-type"]
print(json.dumps(told))
"""


def test_pymisp_loads_what_is_written():
    out, _ = ours.written(misp.write, ours.every())
    kinds = [kind for kind, _ in json.loads(others.run("misp", _LOAD, out))]
    assert kinds.count("stix2-pattern") == len(words.TOKENISED) + 1  # and a range of BINs
    assert {"ip-src", "domain", "hostname", "btc", "text", "ja4-plus", "regexp", "nova-rule"} <= set(kinds)
