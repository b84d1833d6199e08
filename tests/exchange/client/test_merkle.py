"""The hashes and proofs of RFC 9162, against another implementation's vectors and a tree computed by its definition."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.client import merkle

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "vectors" / "merkle"
#: Of the reference tree that Certificate Transparency's implementations share.
LEAVES = [bytes.fromhex(one) for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
}


def root_by_definition(hashes: list[bytes]) -> bytes:
    """MTH of §2.1.1, word for word."""
    if not hashes:
        return merkle.EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return merkle.node_hash(root_by_definition(hashes[:k]), root_by_definition(hashes[k:]))


def span_hash(hashes: list[bytes], span: merkle.Span) -> bytes:
    perfect = [root_by_definition(hashes[index << level : (index + 1) << level]) for level, index in merkle.cover(span)]
    return merkle.fold(perfect)


def inclusion(hashes, index):
    return [span_hash(hashes, span) for span in merkle.inclusion_spans(index, len(hashes))]


def consistency(hashes, first):
    return [span_hash(hashes, span) for span in merkle.consistency_spans(first, len(hashes))]


@pytest.mark.parametrize("size", sorted(ROOTS))
def test_the_reference_tree_has_its_roots(size):
    assert merkle.fold([span_hash(hashes_of(size), (0, size))] if size else []).hex() == ROOTS[size]


def hashes_of(size: int) -> list[bytes]:
    return [merkle.leaf_hash(leaf) for leaf in LEAVES[:size]]


@given(st.integers(1, 130).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_every_proof_of_every_leaf_holds_and_no_other(case):
    size, index = case
    hashes = [merkle.leaf_hash(bytes([place])) for place in range(size)]
    root = root_by_definition(hashes)
    assert span_hash(hashes, (0, size)) == root
    proof = inclusion(hashes, index)
    assert merkle.includes(hashes[index], index, size, proof=proof, root=root)
    assert not merkle.includes(merkle.leaf_hash(b"another"), index, size, proof=proof, root=root)
    assert not merkle.includes(hashes[index], index, size, proof=[*proof, root], root=root)
    assert not merkle.includes(hashes[index], index + 1, size, proof=proof, root=root)
    if proof:
        assert not merkle.includes(hashes[index], index, size, proof=proof[:-1], root=root)


@given(st.integers(1, 130).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size))))
def test_every_beginning_is_shown_to_be_one(case):
    size, first = case
    hashes = [merkle.leaf_hash(bytes([place])) for place in range(size)]
    first_root, root = root_by_definition(hashes[:first]), root_by_definition(hashes)
    proof = consistency(hashes, first)
    assert merkle.extends(first, size, proof=proof, first_root=first_root, second_root=root)
    other = root_by_definition([merkle.leaf_hash(b"rewritten"), *hashes[1:first]])
    assert not merkle.extends(first, size, proof=proof, first_root=other, second_root=root)
    assert not merkle.extends(first, size, proof=[*proof, root], first_root=first_root, second_root=root)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared vectors are not beside the repository")
def test_proofs_of_another_implementation_are_judged_as_it_judges_them():
    judged = {True: 0, False: 0}
    for line in (SHARED / "rfc6962_proofs.jsonl").read_text().splitlines():
        case = json.loads(line)
        proof = [base64.b64decode(one) for one in case["proof"] or []]
        if "leafIdx" in case:
            good = merkle.includes(
                base64.b64decode(case["leafHash"] or ""),
                case["leafIdx"],
                case["treeSize"],
                proof=proof,
                root=base64.b64decode(case["root"] or ""),
            )
        else:
            good = merkle.extends(
                case["size1"],
                case["size2"],
                proof=proof,
                first_root=base64.b64decode(case["root1"] or ""),
                second_root=base64.b64decode(case["root2"] or ""),
            )
        # One vector compares two equal roots that are 12 bytes of text; here a hash has 32 bytes or is none.
        text = case["file"] == "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json"
        assert good == (not case["wantErr"] and not text), case["file"]
        judged[good] += 1
    assert judged == {True: 6, False: 97}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared vectors are not beside the repository")
def test_the_whole_reference_tree_has_its_roots():
    tree = json.loads((SHARED / "rfc6962_reference_tree.json").read_text())
    hashes = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in tree["leaf_inputs_hex"]]
    for size, root in enumerate(tree["root_hash_hex_by_size"]):
        assert (span_hash(hashes[:size], (0, size)) if size else merkle.EMPTY_ROOT).hex() == root
