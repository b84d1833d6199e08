"""The group ristretto255, as libsodium computes it through rbcl (ADR 0027). No group arithmetic is written here.

Points and scalars are 32 bytes. rbcl writes its copy of libsodium into a temporary file to load it, and leaves it
there; here it is deleted at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import rbcl
from rbcl._sodium import lib_path

with contextlib.suppress(OSError):  # Windows deletes no loaded library
    Path(lib_path).unlink()

SIZE = 32
#: Two points to their sum. Raises RuntimeError for what is no point.
add: Callable[[bytes, bytes], bytes] = rbcl.crypto_core_ristretto255_add
#: 64 uniform bytes to a point.
from_hash: Callable[[bytes], bytes] = rbcl.crypto_core_ristretto255_from_hash
#: Whether 32 bytes are the one encoding of a point.
is_point: Callable[[bytes], bool] = rbcl.crypto_core_ristretto255_is_valid_point
#: A scalar and a point to their product. Raises RuntimeError for what is no point, and where the identity comes out.
multiply: Callable[[bytes, bytes], bytes] = rbcl.crypto_scalarmult_ristretto255
#: The product of a scalar and the generator.
multiply_base: Callable[[bytes], bytes] = rbcl.crypto_scalarmult_ristretto255_base
#: A random point, of which nobody knows the logarithm.
random_point: Callable[[], bytes] = rbcl.crypto_core_ristretto255_random
#: A random scalar that is not zero.
random_scalar: Callable[[], bytes] = rbcl.crypto_core_ristretto255_scalar_random
#: 64 bytes to the scalar that they are modulo the order of the group.
scalar_reduce: Callable[[bytes], bytes] = rbcl.crypto_core_ristretto255_scalar_reduce
scalar_invert: Callable[[bytes], bytes] = rbcl.crypto_core_ristretto255_scalar_invert
scalar_multiply: Callable[[bytes, bytes], bytes] = rbcl.crypto_core_ristretto255_scalar_mul
scalar_subtract: Callable[[bytes, bytes], bytes] = rbcl.crypto_core_ristretto255_scalar_sub
