"""Connections to other servers, as the API shows them."""

from __future__ import annotations

from rest_framework import serializers

from indicators.models import Connection
from partners.attribution import Attribution
from partners.tlp import Tlp

_TLP = [tlp.word for tlp in Tlp]


class LandingDocument(serializers.Serializer[object]):
    """Who sees what is pulled; without any name the own partner alone."""

    everyone = serializers.BooleanField()
    groups = serializers.ListField(child=serializers.CharField())
    partners = serializers.ListField(child=serializers.CharField())
    tlp = serializers.ChoiceField(_TLP, allow_null=True, help_text="The least strict marking that it gets.")
    attribution = serializers.ChoiceField([one.word for one in Attribution], allow_null=True)


class PeerLogDocument(serializers.Serializer[object]):
    """How the log of the other exchange stands, as it was checked."""

    public_key = serializers.CharField(help_text="As it was given, base64.")
    alarm = serializers.ChoiceField(
        ["another-key", "forked", "went-back"],
        allow_null=True,
        help_text="Nothing passes until `log_key` is given anew.",
    )
    seen_at = serializers.DateTimeField(allow_null=True)
    size = serializers.IntegerField(allow_null=True, help_text="Of the newest head that was checked.")
    root = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    signed_at = serializers.DateTimeField(allow_null=True)


class ConnectionDocument(serializers.Serializer[object]):
    """A server of somebody else, and which way objects go. Its credential is never shown."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(Connection.Kind.choices)
    direction = serializers.ChoiceField(Connection.Direction.choices)
    url = serializers.CharField()
    authorized = serializers.BooleanField(help_text="Whether it has a credential.")
    state = serializers.ChoiceField([Connection.State.ACTIVE, Connection.State.PAUSED])
    strictest = serializers.ChoiceField(_TLP[:-1], help_text="What is marked more strictly does not pass.")
    audience = LandingDocument(allow_null=True, help_text="Of a pull.")
    feed = serializers.UUIDField(allow_null=True, help_text="Of a push: what of one's own is sent; null: all.")
    says = serializers.DictField(child=serializers.CharField(), help_text="Of a pull from MISP.")
    every_s = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(help_text="When it is run next.")
    last_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(help_text="How the last run went, in words.")
    log = PeerLogDocument(allow_null=True, help_text="Null: it is not looked at.")
    failures = serializers.IntegerField(help_text="Runs that failed since the last that did not.")
    failing_since = serializers.DateTimeField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="By answer, since it was made.")
    last_batch = serializers.UUIDField(allow_null=True, help_text="The last batch that something was refused of.")


class ConnectionList(serializers.Serializer[object]):
    """The partner's, by name."""

    connections = ConnectionDocument(many=True)
