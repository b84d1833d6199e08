"""What other people's tools make of one indicator of each subkind, published and read back as a bundle.

OASIS's validator and `stix2` are here; MISP's and OpenCTI's tools have environments of their own (`tests.others`).
"""

import json
import uuid

import orjson
import pytest
import rfc8785
import stix2

from exchange.stix import classes, words
from indicators.reading import exporting
from indicators.reading.selecting import Selection
from indicators.stix import making
from tests import build, others
from tests.indicators.door.test_closed import EXAMPLES

MAKERS = {
    "account-pattern": making.account_pattern,
    "payment-fingerprint": making.payment_fingerprint,
    "prompt-signature": making.prompt_signature,
}
EVERY = [subkind for subkinds in words.SUBKINDS.values() for subkind in subkinds]
#: What the standard recommends and we do otherwise on purpose: rules, NOVA and tokens are in no list of the standard's
#: (pattern types 245, objects in patterns), ids follow from our own values (UUIDv5), and no description is allowed (303).
ON_PURPOSE = ("{245}", "{303}", "{103}")


def one(subkind: str, **more) -> dict:
    return MAKERS[words.KIND_OF[subkind]](subkind, tlp_word="amber", **more)


def complaints(made: dict) -> list[str]:
    from stix2validator import (
        ValidationOptions,
        validate_instance,
    )  # the grammars that it makes take each process a second

    result = validate_instance(made, ValidationOptions(strict=True, version="2.1"))
    return [str(error) for error in result.errors if not any(code in str(error) for code in ON_PURPOSE)]


@pytest.mark.parametrize("subkind", EVERY)
def test_the_validator_of_oasis_passes_each_subkind_strictly(subkind):
    assert complaints(one(subkind)) == []


@pytest.mark.parametrize("stix_type", sorted(EXAMPLES))
def test_the_validator_of_oasis_passes_each_closed_type(stix_type):
    assert complaints(EXAMPLES[stix_type]()) == []


@pytest.fixture
def published(db):
    """One of each subkind and an AS number, as Borealis reads them of Aster: the bytes of the bundle."""
    cast = build.the_cast()
    made = [one(subkind) for subkind in EVERY] + [making.account_pattern("net", carrier={"value": "as64496"})]
    assert build.publish(cast.viewer("aster"), *made, groups=("ring",)).counts["accepted"] == len(made)
    return b"".join(exporting.bundle(cast.viewer("borealis"), Selection()))


def test_stix2_reads_what_was_published_as_typed_objects(published):
    bundle = stix2.parse(published.decode())
    sent = {document["id"]: document for document in orjson.loads(published)["objects"]}
    assert len(bundle.objects) == len(EVERY) + 1
    for read in bundle.objects:
        said = read.extensions[words.EXTENSION_ID]
        assert (type(read), type(said)) == (stix2.Indicator, classes.IndicatorExtension)
        assert json.loads(read.serialize())["extensions"] == sent[read.id]["extensions"]
        assert read.pattern == sent[read.id]["pattern"]


def test_stix2_makes_our_objects_with_the_ids_that_the_exchange_expects():
    for stix_type, made in (("x-exchange-token", classes.Token), ("x-exchange-value", classes.Value)):
        example = EXAMPLES[stix_type]()
        given = {
            name: value for name, value in example.items() if name not in {"type", "spec_version", "id", "extensions"}
        }
        assert made(**given).id == example["id"]
        assert json.loads(made(**given).serialize()) == example


#: The namespace of OpenCTI's ids (pycti, `generate_id`): an indicator is known by its pattern.
_OPENCTI = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")


def opencti_id(pattern: str) -> str:
    return f"indicator--{uuid.uuid5(_OPENCTI, rfc8785.dumps({'pattern': pattern.strip()}).decode())}"


def patterns() -> list[str]:
    """Of each subkind, and pairs that differ in one thing alone."""
    made = [one(subkind) for subkind in EVERY]
    made += [one("crypto_addr", carrier={"value": "0x" + f"{n:040x}"}) for n in (1, 2)]
    made += [one("client_fp", carrier={"value": f"t13d1516h2_8daaf6152771_{n:012x}"}) for n in (1, 2)]
    token = making.token("ab" * 32)
    made += [one("psp_fp", carrier={"token": token}, extension={"psp_scope": f"{n:032x}"}) for n in (1, 2)]
    made += [one(name, carrier={"token": token}) for name in ("email", "phone")]
    return [document["pattern"] for document in made]


def test_opencti_gives_each_value_an_id_of_its_own():
    assert len({opencti_id(pattern) for pattern in patterns()}) == len(patterns())


_PYCTI = """
import json, sys, pycti
print(json.dumps([pycti.Indicator.generate_id(pattern) for pattern in json.load(sys.stdin)]))
"""


def test_pycti_gives_the_ids_that_we_compute():
    asked = [*patterns(), "[domain-name:value = 'b\u00fccher.example']", " [x:y = '\\u2028'] "]
    assert json.loads(others.run("opencti", _PYCTI, orjson.dumps(asked))) == [opencti_id(one) for one in asked]


_SPLIT = """
import json, sys
from pycti.utils.opencti_stix2_splitter import OpenCTIStix2Splitter
_, unread, bundles = OpenCTIStix2Splitter().split_bundle_with_expectations(sys.stdin.read(), True)
print(json.dumps([len(unread), [made["pattern"] for one in bundles for made in json.loads(one)["objects"] if "pattern" in made]]))
"""


def test_pycti_takes_each_object_of_what_was_published_apart(published):
    unread, taken = json.loads(others.run("opencti", _SPLIT, published))
    sent = [document["pattern"] for document in orjson.loads(published)["objects"] if "pattern" in document]
    assert (unread, sorted(taken)) == (0, sorted(sent))


_CONVERT = """
import json, sys
from misp_stix_converter import ExternalSTIX2toMISPParser
from stix2.parsing import parse
parser = ExternalSTIX2toMISPParser()
parser.load_stix_bundle(parse(sys.stdin.read(), allow_custom=True))
parser.parse_stix_bundle(single_event=True)
event = parser.misp_event
patterns = [a.value for o in event.objects if o.name == "stix2-pattern" for a in o.attributes]
print(json.dumps([[[a.type, a.value] for a in event.attributes], patterns, str(dict(parser.errors))]))
"""


def test_misp_makes_attributes_of_what_it_has_types_for_and_keeps_the_patterns_of_the_rest(published):
    attributes, kept, errors = json.loads(others.run("misp", _CONVERT, published))
    assert sorted(map(tuple, attributes)) == [
        ("AS", "AS64496"),
        ("domain", "quick-signup.example"),
        ("domain", "relay.reseller.example"),
        ("ip-dst", "198.51.100.7"),
    ]
    sent = {document["pattern"] for document in orjson.loads(published)["objects"]}
    assert len(sent & set(kept)) == len(EVERY) + 1 - len(attributes)
    assert errors == "{}"
