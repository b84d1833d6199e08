"""A group whose terms allow evidence, labs that send it, and tokens made up for it."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import timedelta

from exchange import clock
from exchange.tokens import epochs, forms
from partners.models import Group
from partners.scopes import Scope
from partners.tokens import groupkeys
from tests import build
from tests.indicators.api.caller import Caller

NDJSON = "application/x-ndjson"
NAMES = ("aster", "borealis", "cygnus", "eridanus", "fornax")


class Pooling:
    """Labs of one group, each with a key; and the group's own key."""

    def __init__(self, count: int = 4, *, evidence: bool = True, interval_s: int = 3600) -> None:
        cast = self.cast = build.the_cast()
        known = {"aster": cast.aster, "borealis": cast.borealis, "cygnus": cast.cygnus}
        self.partners = {name: known.get(name) or build.a_partner(name.title()) for name in NAMES[:count]}
        self.group = build.a_ring(*self.partners.values(), slug="pool", policy=Group.Policy.CLOSED_FACTS)
        Group.objects.filter(pk=self.group.pk).update(evidence=evidence, interval_s=interval_s)
        self.group.refresh_from_db()
        self.labs = {
            name: Caller(build.a_key(each, Scope.EVIDENCE, Scope.GROUP_KEYS, Scope.READ, Scope.REACT))
            for name, each in self.partners.items()
        }
        for key in groupkeys.hand_out(self.labs["aster"].viewer, "pool"):
            if key.publishes:
                self.epoch = key.epoch

    def __getattr__(self, name: str) -> Caller:
        try:
            return self.__dict__["labs"][name]
        except KeyError:
            raise AttributeError(name) from None

    def token(self, name: str, subkind: str = "device", **more: object) -> dict:
        oblivious = forms.scheme_of(subkind) == forms.Scheme.OBLIVIOUS
        return {
            "subkind": subkind,
            "scheme": str(forms.scheme_of(subkind)),
            "key_epoch": epochs.quarter_of(clock.now()) if oblivious else self.epoch,
            "value": hashlib.sha256(f"{subkind} {name}".encode()).hexdigest(),
        } | more

    def account(self, *tokens: dict, account: uuid.UUID | None = None, **more: object) -> dict:
        return {
            "account": str(account or uuid.uuid4()),
            "tokens": list(tokens),
            "basis": "own_flag",
            "publisher_action": "suspended",
            "until": clock.rfc3339(clock.now() + timedelta(days=30)),
        } | more


def send(lab: Caller, path: str, *lines: dict | bytes, group: str = "pool"):
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return lab.ask("POST", f"groups/{group}/{path}", body, media=NDJSON)


def answer_of(token: dict, holders: int, suspects: int) -> dict:
    return {"token": token, "holders": holders, "suspects": suspects}
