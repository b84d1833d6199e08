"""A passkey in software: real keys and signatures (WebAuthn §6), in whatever origin a test wants."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256

HOST = "localhost"
ORIGIN = "http://localhost"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Passkey:
    def __init__(self, *, origin: str = ORIGIN, verifies: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(32)
        self.origin = origin
        self.flags = 0x05 if verifies else 0x01  # present, verified
        self.user_handle = b""

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def make(self, options: dict) -> dict:
        """The answer to creation options."""
        options = options["publicKey"]
        padded = options["user"]["id"] + "=" * (-len(options["user"]["id"]) % 4)
        self.user_handle = base64.urlsafe_b64decode(padded)
        rp = hashlib.sha256(options["rp"]["id"].encode()).digest()
        public = cbor.encode(ES256.from_cryptography_key(self.key.public_key()))
        held = bytes(16) + struct.pack(">H", len(self.id)) + self.id + public
        data = rp + bytes([self.flags | 0x40]) + struct.pack(">I", 0) + held
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {
                "clientDataJSON": b64(self._client_data("webauthn.create", options["challenge"])),
                "attestationObject": b64(attestation),
                "transports": ["internal"],
            }
        ) | {"clientExtensionResults": {"credProps": {"rk": True}}}

    def show(self, options: dict, **change) -> dict:
        """The answer to request options."""
        options = options["publicKey"]
        data = hashlib.sha256(options["rpId"].encode()).digest() + bytes([self.flags]) + struct.pack(">I", 1)
        client_data = self._client_data("webauthn.get", options["challenge"])
        signed = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": b64(client_data),
            "authenticatorData": b64(data),
            "signature": b64(signed),
            "userHandle": b64(self.user_handle),
        }
        return self._answer(response | change)

    def _answer(self, response: dict) -> dict:
        return {
            "id": b64(self.id),
            "rawId": b64(self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }
