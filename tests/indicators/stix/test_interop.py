"""What other people's tools make of one indicator of each subkind: OASIS's validator, OpenCTI's ids, MISP's attributes."""

import importlib.util
import json
import subprocess
import sys
import uuid

import pytest
from stix2validator import ValidationOptions, validate_instance

from exchange.stix import words
from indicators.stix import making, vocabulary
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


def one(subkind: str) -> dict:
    return MAKERS[words.KIND_OF[subkind]](subkind, tlp_word="amber")


def complaints(made: dict) -> list[str]:
    result = validate_instance(made, ValidationOptions(strict=True, version="2.1"))
    return [str(error) for error in result.errors if not any(code in str(error) for code in ON_PURPOSE)]


@pytest.mark.parametrize("subkind", EVERY)
def test_the_validator_of_oasis_passes_each_subkind_strictly(subkind):
    assert complaints(one(subkind)) == []


@pytest.mark.parametrize("stix_type", sorted(EXAMPLES))
def test_the_validator_of_oasis_passes_each_closed_type(stix_type):
    assert complaints(EXAMPLES[stix_type]()) == []


#: The namespace of OpenCTI's ids (pycti, `generate_id`): an indicator is known by its pattern.
_OPENCTI = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")


def opencti_id(pattern: str) -> str:
    if importlib.util.find_spec("pycti") is not None:
        import pycti

        return pycti.Indicator.generate_id(pattern)
    return f"indicator--{uuid.uuid5(_OPENCTI, json.dumps({'pattern': pattern.strip()}))}"


def test_opencti_gives_each_value_an_id_of_its_own():
    made = [one(subkind)["pattern"] for subkind in EVERY]
    made += [
        making.payment_fingerprint("crypto_addr", carrier={"value": "0x" + f"{n:040x}"})["pattern"] for n in (1, 2)
    ]
    made += [
        making.account_pattern("client_fp", carrier={"value": f"t13d1516h2_8daaf6152771_{n:012x}"})["pattern"]
        for n in (1, 2)
    ]
    token = making.token("ab" * 32)
    made += [
        making.payment_fingerprint("psp_fp", carrier={"token": token}, extension={"psp_scope": f"{n:032x}"})["pattern"]
        for n in (1, 2)
    ]
    made += [making.account_pattern(name, carrier={"token": token})["pattern"] for name in ("email", "phone")]
    assert len({opencti_id(pattern) for pattern in made}) == len(made)


#: misp-stix brings a `stix2` of its own, so it runs in an interpreter of its own: name one that has it.
_CONVERT = """
import json, sys
from misp_stix_converter import ExternalSTIX2toMISPParser
from stix2.parsing import parse
parser = ExternalSTIX2toMISPParser()
parser.load_stix_bundle(parse(sys.stdin.read(), allow_custom=True))
parser.parse_stix_bundle(single_event=True)
print(json.dumps([[a.type, a.value] for a in parser.misp_event.attributes]))
"""


def test_misp_makes_attributes_of_networks_hosts_and_domains(tmp_path):
    import os

    python = os.environ.get("MISP_STIX_PYTHON", "")
    if not python:
        pytest.skip("MISP_STIX_PYTHON names no interpreter with misp-stix (its stix2 is not ours)")
    values = {
        "net": "198.51.100.7/32",
        "email_domain": "quick-signup.example",
        "gateway_host": "relay.reseller.example",
    }
    objects = [making.account_pattern(subkind, carrier={"value": value}) for subkind, value in values.items()]
    objects.append(making.account_pattern("net", carrier={"value": "as64496"}))
    bundle = json.dumps({"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": objects})
    said = subprocess.run([python, "-c", _CONVERT], input=bundle, capture_output=True, text=True, check=True)
    found = {(kind, value) for kind, value in json.loads(said.stdout)}
    assert {value for _, value in found} >= {"198.51.100.7", "quick-signup.example", "relay.reseller.example"}
    assert ("AS", "AS64496") in found or ("AS", "64496") in found
    assert sys.executable != python
    assert vocabulary.check(objects[0]) is None
