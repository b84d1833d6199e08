"""Webhook signatures, by a vector of the Standard Webhooks project (MIT) and by its own library."""

import re
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from exchange import signing
from exchange.client.webhooks import fault_of, verify


def test_the_projects_own_vector_is_signed_alike():
    signed = signing.headers(
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, tz=UTC),
        body=b'{"test": 2432232314}',
    )
    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_receiver_verifies_what_we_sign_and_nothing_else():
    secret, body = signing.new_secret(), '{"sagt": "grüß dich"}'.encode()
    signed = dict(signing.headers(secrets=[secret], message_id="msg_1", at=datetime.now(tz=UTC), body=body))
    assert Webhook(secret).verify(body, signed) == {"sagt": "grüß dich"}
    for other, altered in ((secret, body + b" "), (signing.new_secret(), body)):
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(altered, signed)


def test_secrets_are_new_each_time_and_long():
    secrets = {signing.new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert all(secret.startswith("whsec_") and len(secret) == 50 for secret in secrets)


def test_while_a_secret_changes_either_verifies():
    old, new, body = signing.new_secret(), signing.new_secret(), b"{}"
    signed = dict(signing.headers(secrets=[new, old], message_id="msg_1", at=datetime.now(tz=UTC), body=body))
    for one in (old, new):
        assert Webhook(one).verify(body, signed) == {}
        assert verify(
            one, "msg_1", timestamp=signed["webhook-timestamp"], signature=signed["webhook-signature"], body=body
        )
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(body, signed)


def test_a_message_that_is_not_believed_is_told_with_why():
    secret, now = signing.new_secret(), int(datetime.now(tz=UTC).timestamp())

    def why(at: str, *, by: str = secret, body: bytes = b"{}") -> str:
        moment = datetime.fromtimestamp(int(at) if at.isdecimal() and len(at) < 12 else now, tz=UTC)
        signed = signing.headers(secrets=[secret], message_id="msg_1", at=moment, body=b"{}")
        return fault_of(by, "msg_1", timestamp=at, signature=signed["webhook-signature"], body=body)

    assert why(str(now)) == ""
    assert re.match(r"Too old \((9,9|10,0)\d\d s; 300 s at most\)\.", why(str(now - 9_999)))
    assert why(str(now + 9_999)).startswith("Too new (9,99")
    assert why("9" * 400) == "Too new (out of reach; 300 s at most)."
    assert why("soon").startswith("The timestamp is not")
    assert why(str(now), by="whsec_?").startswith("The secret is not")
    assert why(str(now), body=b"{} ").startswith("No signature fits")
    assert why(str(now), by=signing.new_secret()).startswith("No signature fits")
