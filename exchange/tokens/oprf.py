"""VOPRF(ristretto255, SHA-512) of RFC 9497: a value becomes a token without the key's holder seeing either.

The client blinds, the key service evaluates with one proof for all, the client verifies and finalises:

    blinded = [blind(forms.input_bytes("email", form)) for form in …]
    answer = evaluate(key, [one.point for one in blinded])          # at the key service
    tokens = finalise(blinded, answer, public_key=pinned)           # raises BadProof

Names in comments are the RFC's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from exchange.tokens import ristretto

#: Points that are evaluated with one proof.
MOST = 1_000
TOKEN_BYTES = 32
_CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
_GENERATOR = ristretto.multiply_base((1).to_bytes(32, "little"))


class BadProof(ValueError):
    """The answer was not made with the key that was expected, or not of these points."""


class BadPoint(ValueError):
    """What was sent is no point of the group, or its identity."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A secret scalar, and the point that everybody may know."""

    secret: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class Blinded:
    """A value that waits for its answer: keep `blind` to finalise, send `point` alone."""

    input: bytes
    blind: bytes
    point: bytes


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An answer: a point for each that was sent, in order, and the proof (c, s: 64 bytes)."""

    points: tuple[bytes, ...]
    proof: bytes


def derive_key_pair(seed: bytes, info: bytes = b"") -> KeyPair:
    """The key pair of a 32-byte seed (DeriveKeyPair)."""
    derived = seed + len(info).to_bytes(2) + info
    for counter in range(256):
        secret = _hash_to_scalar(derived + bytes([counter]), domain=b"DeriveKeyPair" + _CONTEXT)
        if any(secret):
            return KeyPair(secret, ristretto.multiply_base(secret))
    raise AssertionError("256 hashes were all zero")


def blind(value: bytes, *, by: bytes = b"") -> Blinded:
    """Hide a value (Blind); `by` fixes the scalar, for test vectors alone."""
    scalar = by or ristretto.random_scalar()
    return Blinded(value, scalar, ristretto.multiply(scalar, _hash_to_group(value)))


def evaluate(key: KeyPair, points: Sequence[bytes], *, nonce: bytes = b"") -> Evaluated:
    """Apply the key to each point, and prove it once for all (BlindEvaluate). Raises BadPoint.

    `nonce` fixes the proof's random scalar, for test vectors alone.
    """
    _require_count(len(points))
    try:
        products = tuple([ristretto.multiply(key.secret, point) for point in points])
    except (RuntimeError, ValueError, TypeError):
        raise BadPoint("not a point of the group") from None
    _, composite = _composites(key.public, points, products, with_products=False)
    image = ristretto.multiply(key.secret, composite)
    random = nonce or ristretto.random_scalar()
    challenge = _challenge(
        key.public, composite, image, ristretto.multiply_base(random), ristretto.multiply(random, composite)
    )
    response = ristretto.scalar_subtract(random, ristretto.scalar_multiply(challenge, key.secret))
    return Evaluated(products, challenge + response)


def verify(points: Sequence[bytes], answer: Evaluated, *, public_key: bytes) -> None:
    """Check that each point was multiplied by the secret of this public key (VerifyProof). Raises BadProof."""
    if len(answer.points) != len(points) or len(answer.proof) != 64:
        raise BadProof("not an answer to what was asked")
    _require_count(len(points))
    challenge, response = answer.proof[:32], answer.proof[32:]
    try:
        image, composite = _composites(public_key, points, answer.points, with_products=True)
        first = ristretto.add(ristretto.multiply_base(response), ristretto.multiply(challenge, public_key))
        second = ristretto.add(ristretto.multiply(response, composite), ristretto.multiply(challenge, image))
    except (RuntimeError, ValueError, TypeError):
        raise BadProof("not points of the group") from None
    if _challenge(public_key, composite, image, first, second) != challenge:
        raise BadProof("the proof is not of this key and these points")


def finalise(
    blinded: Sequence[Blinded], answer: Evaluated, *, public_key: bytes, padding: Sequence[bytes] = ()
) -> list[bytes]:
    """The outputs, 64 bytes each, of what was blinded (Finalize); `padding` was sent behind it. Raises BadProof."""
    verify([*(one.point for one in blinded), *padding], answer, public_key=public_key)
    return [_output(one, point) for one, point in zip(blinded, answer.points, strict=False)]


def evaluate_openly(key: KeyPair, value: bytes) -> bytes:
    """The output of a value for one who holds the key (Evaluate): why key and database are kept apart."""
    return _finish(value, ristretto.multiply(key.secret, _hash_to_group(value)))


def token_value(output: bytes) -> str:
    """The value that a token carries: the first 32 bytes of an output, as 64 hexadecimal digits."""
    return output[:TOKEN_BYTES].hex()


def _output(one: Blinded, point: bytes) -> bytes:
    return _finish(one.input, ristretto.multiply(ristretto.scalar_invert(one.blind), point))


def _finish(value: bytes, element: bytes) -> bytes:
    return hashlib.sha512(_sized(value) + _sized(element) + b"Finalize").digest()


def _composites(
    public_key: bytes, points: Sequence[bytes], products: Sequence[bytes], *, with_products: bool
) -> tuple[bytes, bytes]:
    """Z and M of ComputeComposites; Z is empty where the caller has the secret and needs no sum for it."""
    seed = hashlib.sha512(_sized(public_key) + _sized(b"Seed-" + _CONTEXT)).digest()
    head, multiply, add = _sized(seed), ristretto.multiply, ristretto.add
    composite = image = b""
    for index, (point, product) in enumerate(zip(points, products, strict=True)):
        weight = _hash_to_scalar(b"".join((head, index.to_bytes(2), _SIZE, point, _SIZE, product, b"Composite")))
        weighed = multiply(weight, point)
        composite = add(composite, weighed) if composite else weighed
        if with_products:
            weighed = multiply(weight, product)
            image = add(image, weighed) if image else weighed
    return image, composite


def _challenge(*elements: bytes) -> bytes:
    return _hash_to_scalar(b"".join(map(_sized, elements)) + b"Challenge")


def _hash_to_group(value: bytes) -> bytes:
    return ristretto.from_hash(_expand(value, _TO_GROUP))


def _hash_to_scalar(value: bytes, domain: bytes = b"") -> bytes:
    return ristretto.scalar_reduce(_expand(value, _suffixed(domain) if domain else _TO_SCALAR))


def _expand(value: bytes, suffix: bytes) -> bytes:
    """64 bytes of expand_message_xmd with SHA-512 (RFC 9380, section 5.3.1), for which one block is enough."""
    first = _PADDED.copy()
    first.update(value + b"\x00\x40\x00" + suffix)
    return hashlib.sha512(first.digest() + b"\x01" + suffix).digest()


def _suffixed(domain: bytes) -> bytes:
    return domain + bytes([len(domain)])


def _sized(value: bytes) -> bytes:
    return len(value).to_bytes(2) + value


def _require_count(count: int) -> None:
    if not 1 <= count <= MOST:
        raise ValueError(f"1 to {MOST} points at once")


_SIZE = (ristretto.SIZE).to_bytes(2)
_PADDED = hashlib.sha512(bytes(128))
_TO_GROUP = _suffixed(b"HashToGroup-" + _CONTEXT)
_TO_SCALAR = _suffixed(b"HashToScalar-" + _CONTEXT)
