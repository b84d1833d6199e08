"""A small OpenID Connect issuer on loopback: real HTTP, real keys, and as dishonest as a test wants it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """`claims`, `header`, `sign` and `metadata` change what it says; `asked` is what it was asked."""

    def __init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.client_secret = "s3cret"
        self.claims: dict = {}
        self.header: dict = {"kid": "rsa"}
        self.algorithm = "RS256"
        self.key: object = RSA
        self.token: Callable[[dict], str] | None = None
        self.metadata: dict = {}
        self.codes: dict[str, dict] = {}
        self.asked: list[str] = []

    def authorize(self, location: str, *, subject: str) -> dict[str, str]:
        """What the browser does at the issuer: the parameters with which it comes back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert location.startswith(f"{self.url}/authorize?")
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked | {"sub": subject}
        return {"code": code, "state": asked["state"]}

    def id_token(self, asked: dict) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": asked["client_id"],
            "sub": asked["sub"],
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
        }
        if "max_age" in asked:
            claims["auth_time"] = now
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        if self.token:
            return self.token(claims)
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers=self.header)

    def _jwks(self) -> dict:
        rsa_key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "rsa", "use": "sig"}
        ec_key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())) | {"kid": "ec", "use": "sig"}
        return {"keys": [rsa_key, ec_key]}

    def _handler(outer):  # noqa: N805 - the handler's own self is another
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                if self.path == "/.well-known/openid-configuration":
                    known = {
                        "issuer": outer.url,
                        "authorization_endpoint": f"{outer.url}/authorize",
                        "token_endpoint": f"{outer.url}/token",
                        "jwks_uri": f"{outer.url}/jwks",
                    }
                    return self._say(known | outer.metadata)
                return self._say(outer._jwks() if self.path == "/jwks" else {}, 200 if self.path == "/jwks" else 404)

            def do_POST(self):
                outer.asked.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                sent = {name: values[0] for name, values in parse_qs(body).items()}
                asked = outer.codes.pop(sent.get("code", ""), None)
                challenge = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
                challenge = base64.urlsafe_b64encode(challenge).decode().rstrip("=")
                basic = base64.b64encode(f"exchange:{outer.client_secret}".encode()).decode()
                known = self.headers.get("Authorization") == f"Basic {basic}"
                if not asked or not known or challenge != asked["code_challenge"]:
                    return self._say({"error": "invalid_grant"}, 400)
                if sent["redirect_uri"] != asked["redirect_uri"]:
                    return self._say({"error": "invalid_grant"}, 400)
                return self._say({"access_token": "x", "token_type": "Bearer", "id_token": outer.id_token(asked)})

            def _say(self, document, status=200):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        return Handler


@contextmanager
def running():
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.server.shutdown()
        issuer.server.server_close()
        thread.join()
