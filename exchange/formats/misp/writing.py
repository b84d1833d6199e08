"""Indicators as MISP events: what it has a type or an object for is said in it, the rest in our own tags."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from exchange.formats import flat, reading
from exchange.formats.losses import Loss
from exchange.formats.misp.tags import NAMESPACE
from exchange.formats.reading import Ours, Tell
from exchange.stix import words
from exchange.stix.patterns import pattern_of

#: So many indicators are one event: MISP shows and stores events as a whole.
PER_EVENT = 500
_EVENTS = uuid.UUID("b4b1b3a8-6a6f-5d0c-9c35-4e0b6a3d7f10")


def write(objects: Iterable[Mapping[str, Any]], tell: Tell) -> Iterator[bytes]:
    """Events of at most `PER_EVENT` indicators, as MISP's own exports have them (`response`), in pieces."""
    opening = b'{"response":['
    for some in _together(one for document in objects if (one := reading.of_ours(document, tell)) is not None):
        yield opening + json.dumps({"Event": _event_of(some, tell)}, ensure_ascii=False).encode()
        opening = b","
    yield b"]}" if opening == b"," else opening + b"]}"


def _together(ours: Iterable[Ours]) -> Iterator[list[Ours]]:
    """Those of one event: of one TLP, for MISP's readers may take an event's for that of all in it."""
    waiting: dict[str, list[Ours]] = {}
    for one in ours:
        some = waiting.setdefault(_tlp(one), [])
        some.append(one)
        if len(some) == PER_EVENT:
            yield waiting.pop(_tlp(one))
    yield from waiting.values()


def _tlp(one: Ours) -> str:
    return flat.tlp_of(one.document) or "amber"


def _event_of(some: list[Ours], tell: Tell) -> dict[str, Any]:
    """One event. Its id follows from its first indicator, so that the same export is the same event."""
    attributes, objects = [], []
    for one in some:
        reading.tell_common(one, tell)
        said = _said(one, tell)
        if (template := _TEMPLATES.get(one.subkind)) is not None and (made := template(one)) is not None:
            objects.append(_object_of(one, made, said))
        else:
            attributes.append(said | _typed(one))
    created = min(str(one.document.get("created", "")) for one in some)
    return {
        "uuid": str(uuid.uuid5(_EVENTS, some[0].id)),
        "info": "Indicators of the Exchange",
        "date": created[:10],
        "analysis": "2",
        "threat_level_id": "4",
        "distribution": "0",
        "published": False,
        "Tag": [{"name": f"tlp:{_tlp(some[0])}"}],
        "Attribute": attributes,
        "Object": objects,
    }


def _said(one: Ours, tell: Tell) -> dict[str, Any]:
    """What every attribute has: its id, times and tags."""
    document, extension = one.document, flat.said(one.extension)
    modified = str(document.get("modified", ""))
    seen: dict[str, Any] = {name: extension.pop(name) for name in ("first_seen", "last_seen") if name in extension}
    tags = {"kind": words.KIND_OF[one.subkind], "subkind": one.subkind, **extension}
    tags |= {name: str(document[name]) for name in ("confidence", "valid_until") if name in document}
    try:
        moment = datetime.fromisoformat(modified)
    except ValueError:
        moment = None
    if moment is not None and moment.microsecond:
        tell(Loss(f"{one.id}/modified", "cut-to-second"))
    return {
        "uuid": one.uuid,
        **({"timestamp": str(int(moment.timestamp()))} if moment else {}),
        **seen,
        "to_ids": True,
        "distribution": "5",
        "Tag": [
            {"name": f"tlp:{_tlp(one)}"},
            *({"name": f'{NAMESPACE}:{name}="{text}"'} for name, text in tags.items()),
        ],
    }


def _typed(one: Ours) -> dict[str, str]:
    """Type, category and value of an attribute."""
    value = str(one.extension.get("value", ""))
    if one.subkind in _ATTRIBUTES:
        kind, category, written = _ATTRIBUTES[one.subkind](value)
        if kind:
            return {"type": kind, "category": category, "value": written}
    if one.subkind in words.RULES:
        return {"type": "text", "category": "Other", "value": pattern_of(one.extension)[0]}
    return {"type": "stix2-pattern", "category": "Network activity", "value": pattern_of(one.extension)[0]}


_Typed = tuple[str, str, str]


def _net(value: str) -> _Typed:
    if value.startswith("as"):
        return "AS", "Network activity", value.removeprefix("as")
    return "ip-src", "Network activity", value.removesuffix("/32")


def _wallet(value: str) -> _Typed:
    return ("btc", "Financial fraud", value) if _BITCOIN.fullmatch(value) else ("", "", "")


def _bin(value: str) -> _Typed:
    return ("bin", "Financial fraud", value) if value.isdigit() else ("", "", "")


_BITCOIN = re.compile(r"[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9a-z]{11,71}")
_ATTRIBUTES: dict[str, Callable[[str], _Typed]] = {
    "bin_range": _bin,
    "crypto_addr": _wallet,
    "email_domain": lambda value: ("domain", "Network activity", value),
    "gateway_host": lambda value: ("hostname", "Network activity", value),
    "net": _net,
}
#: An object of MISP: name, its template's id and version, meta-category, and its attributes by relation.
_Made = tuple[str, str, str, str, dict[str, str]]


def _nova(one: Ours) -> _Made:
    text = {"raw-rule": str(one.extension["signature"]["nova"])}
    return "nova-rule", "3c4669ee-c659-40c7-93ea-d4149bded584", "1", "detection", text


def _regex(one: Ours) -> _Made:
    text = {"regexp": str(one.extension["signature"]["regex"]), "regexp-type": "PCRE2"}
    return "regexp", "ceffad66-71e5-4e20-9370-1b3fb694c648", "5", "misc", text


def _ja4(one: Ours) -> _Made:
    held = {"ja4-fingerprint": str(one.extension["value"]), "ja4-type": "JA4"}
    return "ja4-plus", "2c15c75e-e7db-4b62-8d17-633e7571818f", "2", "network", held


def _coin(one: Ours) -> _Made | None:
    value = str(one.extension["value"])
    if _BITCOIN.fullmatch(value):
        return None  # an attribute of its own
    return "coin-address", "d0e6997e-78da-4815-a6a1-cfc1c1cb8a46", "7", "financial", {"address-crypto": value}


_TEMPLATES: dict[str, Callable[[Ours], _Made | None]] = {
    "client_fp": _ja4,
    "crypto_addr": _coin,
    "nova_rule": _nova,
    "regex": _regex,
}


def _object_of(one: Ours, made: _Made, said: Mapping[str, Any]) -> dict[str, Any]:
    """An object around its attributes; the first carries the indicator's id, times and tags."""
    name, template, version, category, relations = made
    attributes = [
        {**(said if not place else {"distribution": "5", "to_ids": False}), "type": "text", "category": "Other"}
        | {"object_relation": relation, "value": text}
        for place, (relation, text) in enumerate(relations.items())
    ]
    return {
        "uuid": str(uuid.uuid5(_EVENTS, f"{one.id} object")),
        "name": name,
        "template_uuid": template,
        "template_version": version,
        "meta-category": category,
        "distribution": "5",
        "Attribute": attributes,
    }
