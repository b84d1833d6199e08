"""The texts that the exchange signs with Ed25519: tree heads, exports of the log, report packages.

Each begins with what it is, so that a signature of one can never pass for another's. Hashes are lower-case hex in
all documents of the log, keys and signatures are base64.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey


def head_text(*, size: int, root: str, at: str) -> bytes:
    """What is signed of a tree head."""
    return f"exchange tree head 1\n{size}\n{root}\n{at}\n".encode()


def export_text(*, records: int, sha256: str) -> bytes:
    """What is signed of an export: the number of its records, and the digest of every byte before the last line."""
    return f"exchange log export 1\n{records}\n{sha256}\n".encode()


def package_text(files: Mapping[str, str]) -> bytes:
    """What is signed of a report package: the digest of each other file, by name."""
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files))
    return f"exchange report package 1\n{lines}".encode()


def key_id(public_key: bytes) -> str:
    """How a public key is named: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def is_signed(text: bytes, *, signature: str, public_key: bytes) -> bool:
    """Whether `public_key` signed `text`."""
    try:
        VerifyKey(public_key).verify(text, base64.b64decode(signature, validate=True))
    except (BadSignatureError, ValueError):
        return False
    return True
