"""RFC 9497's own vectors, and what a client must not believe."""

import json
from pathlib import Path

import pytest

from exchange.tokens import oprf, ristretto

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "rfc9497_voprf_ristretto255.json").read_text())
KEY = oprf.derive_key_pair(b"\1" * 32)


def each(text: str) -> list[bytes]:
    return [bytes.fromhex(one) for one in text.split(",")]


def test_the_key_of_the_rfc_is_derived():
    key = oprf.derive_key_pair(bytes.fromhex(VECTORS["seed"]), bytes.fromhex(VECTORS["keyInfo"]))
    assert key == oprf.KeyPair(bytes.fromhex(VECTORS["skSm"]), bytes.fromhex(VECTORS["pkSm"]))


@pytest.mark.parametrize("vector", VECTORS["vectors"])
def test_the_vectors_of_the_rfc_pass(vector):
    key = oprf.KeyPair(bytes.fromhex(VECTORS["skSm"]), bytes.fromhex(VECTORS["pkSm"]))
    inputs = each(vector["Input"])
    blinded = [oprf.blind(value, by=scalar) for value, scalar in zip(inputs, each(vector["Blind"]), strict=True)]
    assert [one.point for one in blinded] == each(vector["BlindedElement"])
    answer = oprf.evaluate(key, [one.point for one in blinded], nonce=bytes.fromhex(vector["Proof"]["r"]))
    assert list(answer.points) == each(vector["EvaluationElement"])
    assert answer.proof.hex() == vector["Proof"]["proof"]
    assert oprf.finalise(blinded, answer, public_key=key.public) == each(vector["Output"])
    assert [oprf.evaluate_openly(key, value) for value in inputs] == each(vector["Output"])


def test_padding_is_proved_with_the_rest_and_gives_no_token():
    blinded = [oprf.blind(b"one"), oprf.blind(b"two")]
    padding = [ristretto.random_point() for _ in range(14)]
    answer = oprf.evaluate(KEY, [*(one.point for one in blinded), *padding])
    outputs = oprf.finalise(blinded, answer, public_key=KEY.public, padding=padding)
    assert outputs == [oprf.evaluate_openly(KEY, b"one"), oprf.evaluate_openly(KEY, b"two")]
    assert len(oprf.token_value(outputs[0])) == 64


@pytest.mark.parametrize("spoiled", ["point", "order", "proof", "key", "count"])
def test_what_was_not_made_with_the_pinned_key_is_refused(spoiled):
    blinded = [oprf.blind(b"one"), oprf.blind(b"two")]
    answer = oprf.evaluate(KEY, [one.point for one in blinded])
    points, proof, public = answer.points, answer.proof, KEY.public
    if spoiled == "point":
        points = (ristretto.random_point(), points[1])
    elif spoiled == "order":
        points = (points[1], points[0])
    elif spoiled == "proof":
        proof = bytes([proof[0] ^ 1]) + proof[1:]
    elif spoiled == "key":
        public = oprf.derive_key_pair(b"\2" * 32).public
    else:
        points = points[:1]
    with pytest.raises(oprf.BadProof):
        oprf.finalise(blinded, oprf.Evaluated(points, proof), public_key=public)


@pytest.mark.parametrize("point", [bytes(32), b"\xff" * 32, b"short"])
def test_what_is_no_point_is_refused(point):
    with pytest.raises(oprf.BadPoint):
        oprf.evaluate(KEY, [ristretto.random_point(), point])


@pytest.mark.parametrize("count", [0, 1_001])
def test_at_most_a_thousand_points_are_evaluated_at_once(count):
    with pytest.raises(ValueError, match="1000"):
        oprf.evaluate(KEY, [oprf.blind(b"x").point] * count)
