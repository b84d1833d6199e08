"""OpenID Connect, the code flow with PKCE, as far as signing in needs it: all requests leave by `exchange.outbound`.

The issuer is whatever a partner's admin has named, so nothing that it says is believed before it is checked: its
metadata must name the same issuer (OpenID Connect Discovery §4.3), its answer must carry our state and, where it says
so, its own name (RFC 9207), its token must be signed by one of its keys with RS256 or ES256 and be made for us, now,
and for this very request (OpenID Connect Core §3.1.3.7).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import jwt

from exchange import outbound
from exchange.errors import Refused

_TIMEOUT_S = 5.0
_MAX_BYTES = 256_000
_LEEWAY_S = 60
_KEY_TYPES = {"RS256": "RSA", "ES256": "EC"}
_JSON = {"Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Client:
    """How we are known at an issuer."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What we remember of one sign-on while the person is at the issuer; it fits in a session."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Attempt:
        """Fresh random values."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an issuer says of itself, checked."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    secret_in_body: bool
    names_itself: bool


def normal_issuer(typed: str) -> str:
    """An issuer as an admin typed it. Raises Refused for what cannot be one."""
    issuer = typed.strip().rstrip("/")
    try:
        outbound.check(issuer)
    except outbound.Blocked as blocked:
        raise Refused(str(blocked), code="bad-issuer", at="/issuer") from None
    if len(issuer) > 300 or urlsplit(issuer).query:
        raise Refused("At most 300 characters, and no query.", code="bad-issuer", at="/issuer")
    return issuer


def discover(issuer: str) -> Metadata:
    """Ask an issuer about itself. Raises Refused."""
    said = _get_json(f"{issuer}/.well-known/openid-configuration")
    if str(said.get("issuer", "")).rstrip("/") != issuer:
        raise _refused("It does not name itself as this issuer.")
    ways = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        authorization_endpoint=_endpoint(said, "authorization_endpoint"),
        token_endpoint=_endpoint(said, "token_endpoint"),
        jwks_uri=_endpoint(said, "jwks_uri"),
        secret_in_body=isinstance(ways, list) and "client_secret_basic" not in ways,
        names_itself=said.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(said: Mapping[str, Any], name: str) -> str:
    """An address that the issuer names, if it may be asked."""
    endpoint = said.get(name)
    if not isinstance(endpoint, str):
        raise _refused("It does not say where to go.")
    try:
        outbound.check(endpoint)
    except outbound.Blocked:
        raise _refused("It names an address that may not be asked.") from None
    return endpoint


def authorization_url(client: Client, attempt: Attempt, *, there: str, again: bool) -> str:
    """Where the browser goes, at the issuer's page `there`; `again` has the person say anew who they are."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "scope": "openid",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    if again:
        asked |= {"prompt": "login", "max_age": "0"}
    return f"{there}{'&' if urlsplit(there).query else '?'}{urlencode(asked)}"


def require_ours(attempt: Attempt, answer: Mapping[str, str]) -> None:
    """Raise Refused unless the answer is to this very request."""
    if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
        raise _refused("The answer belongs to another request.")


def subject(client: Client, attempt: Attempt, answer: Mapping[str, str], *, again: bool, now_s: float) -> str:
    """Who came back: the subject at the issuer. Raises Refused for everything that is not exactly right."""
    require_ours(attempt, answer)
    metadata = discover(client.issuer)
    named = answer.get("iss")
    if (named is None and metadata.names_itself) or (named is not None and named.rstrip("/") != client.issuer):
        raise _refused("The answer is another issuer's.")
    if not answer.get("code"):
        raise _refused("It did not sign you in.")
    claims = _claims(client, metadata, _id_token(client, metadata, attempt, answer["code"]))
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
        raise _refused("The token belongs to another request.")
    if again and not _recent(claims.get("auth_time"), now_s):
        raise _refused("It did not ask you again who you are.")
    found = claims["sub"]
    if not isinstance(found, str) or not 0 < len(found) <= 255 or "\0" in found:
        raise _refused("The token names nobody.")
    return found


def _id_token(client: Client, metadata: Metadata, attempt: Attempt, code: str) -> str:
    sent = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": attempt.verifier,
    }
    headers = _JSON | {"Content-Type": "application/x-www-form-urlencoded"}
    if metadata.secret_in_body:
        sent |= {"client_id": client.client_id, "client_secret": client.client_secret}
    else:  # RFC 6749 §2.3.1: both are form-encoded first
        pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    try:
        reply = outbound.post(
            metadata.token_endpoint,
            urlencode(sent).encode(),
            headers=headers,
            timeout_s=_TIMEOUT_S,
            max_bytes=_MAX_BYTES,
        )
    except (outbound.Blocked, outbound.Failed):
        raise _refused("It does not answer.") from None
    token = _object(reply).get("id_token")
    if not isinstance(token, str):
        raise _refused("It gave no token.")
    return token


def _claims(client: Client, metadata: Metadata, token: str) -> dict[str, Any]:
    """The claims of a token, which is the issuer's, for us, and of now. The algorithm is of our choice, not its."""
    try:
        header = jwt.get_unverified_header(token)
        key = _key(metadata, str(header.get("alg")), header.get("kid"))
        claims = jwt.decode(
            token,
            key=key,
            algorithms=[str(header.get("alg"))],
            audience=client.client_id,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
            leeway=_LEEWAY_S,
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise _refused("Its token does not hold.") from None
    if not isinstance(claims["iss"], str) or claims["iss"].rstrip("/") != client.issuer:
        raise _refused("The token is another issuer's.")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client.client_id) != client.client_id:
        raise _refused("The token was made for somebody else.")
    return claims


def _key(metadata: Metadata, algorithm: str, key_id: Any) -> Any:
    """The issuer's key for this token: asked for each time, so that a key that it has withdrawn opens nothing."""
    if algorithm not in _KEY_TYPES:
        raise _refused("Its token is not signed with RS256 or ES256.")
    keys = _get_json(metadata.jwks_uri).get("keys")
    fitting = [
        key
        for key in (keys if isinstance(keys, list) else [])
        if isinstance(key, dict)
        and key.get("kty") == _KEY_TYPES[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (key_id is None or key.get("kid") == key_id)
    ]
    if len(fitting) != 1:
        raise _refused("It has no key for this token.")
    return jwt.PyJWK(fitting[0], algorithm=algorithm).key


def _recent(moment: Any, now_s: float) -> bool:
    return isinstance(moment, int | float) and abs(now_s - moment) <= 2 * _LEEWAY_S


def _get_json(url: str) -> dict[str, Any]:
    try:
        return _object(outbound.get(url, headers=_JSON, timeout_s=_TIMEOUT_S, max_bytes=_MAX_BYTES))
    except (outbound.Blocked, outbound.Failed):
        raise _refused("It does not answer.") from None


def _object(reply: outbound.Reply) -> dict[str, Any]:
    try:
        document = json.loads(reply.body) if reply.status == 200 else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise _refused("It does not answer as it should.")
    return document


def _refused(why: str) -> Refused:
    return Refused(f"The sign-on of your partner failed. {why}", code="sign-on-failed")
