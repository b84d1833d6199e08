"""The tokens that an appeal is filed by, as each face is sent them."""

from __future__ import annotations

import re
from typing import Any

from exchange.errors import Refused
from exchange.shapes import Body, Choice, Text
from exchange.stix import schemas, words
from exchange.stix.schemas import HEX_64
from exchange.tokens import forms
from indicators.stix import drafts

_SCOPE = schemas.SCOPE["psp_scope"]["pattern"]


class AppealToken(Body):
    """One token of a value, as `exchange tokenise --look-up` makes it."""

    subkind = Choice(sorted(forms.OBLIVIOUS | forms.BY_GROUP), code="bad-tokens", says="A subkind that is tokenised.")
    scheme = Choice([words.OBLIVIOUS, words.GROUP_KEY], code="bad-tokens", says="The scheme of a token.")
    key_epoch = Text(code="bad-tokens", says="The epoch of its key.", max_length=120)
    value = Text(code="bad-tokens", says="64 lower-case hexadecimal digits.", max_length=64)
    psp_scope = Text(
        required=False,
        code="bad-tokens",
        says="32 hexadecimal digits.",
        max_length=32,
        help_text="Of psp_fp it is required: the provider's scope, 32 lower-case hexadecimal digits.",
    )

    @classmethod
    def each(cls, sent: list[Any]) -> list[dict[str, Any]]:
        """The tokens of a list. Raises Refused naming the place; a value is never repeated."""
        found = []
        for place, one in enumerate(sent):
            if not isinstance(one, dict):
                raise Refused("A token.", code="bad-tokens", at=f"/tokens/{place}")
            try:
                token = cls(data=one).valid()
            except Refused as refused:
                raise Refused(refused.detail, code=refused.code, at=f"/tokens/{place}") from None
            if not re.fullmatch(HEX_64, token["value"]):
                raise Refused("64 lower-case hexadecimal digits.", code="bad-tokens", at=f"/tokens/{place}/value")
            scope = token.get("psp_scope") or ""
            if (scope or token["subkind"] == "psp_fp") and not re.fullmatch(_SCOPE, scope):
                where = f"/tokens/{place}/psp_scope"
                raise Refused("32 lower-case hexadecimal digits: the provider's scope.", code="bad-tokens", at=where)
            found.append(token)
        return found

    @classmethod
    def values(cls, sent: list[Any]) -> list[drafts.TokenValue]:
        """The same as values to look for. Raises Refused."""
        return [
            drafts.TokenValue(
                domain=one["subkind"],
                scheme=one["scheme"],
                key_epoch=one["key_epoch"],
                value=one["value"],
                psp_scope=one.get("psp_scope") or "",
            )
            for one in cls.each(sent)
        ]
