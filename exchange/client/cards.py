"""Card numbers: blinded inside the card environment, without network; evaluated outside; finalised inside.

Three files. The request holds blinded points alone and may leave. The blinds stay inside, sealed under a key beside
them. The answer holds points, proofs, and the public keys with their proofs, which are checked inside.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import nacl.exceptions

from exchange.client.errors import Unusable
from exchange.client.keeping import Kept, sealed_box
from exchange.client.pinning import KeyNotTrusted, Pins, take_in
from exchange.client.tokenising import Asks, Token, Tokenised, batches, read
from exchange.tokens import epochs, forms, oprf, ristretto
from exchange.tokens.forms import Scheme

_REQUEST, _ANSWER = "exchange-blinded/1", "exchange-evaluated/1"


def blind(subkind: str, values: Sequence[str], *, blinds: Path, now: datetime) -> dict[str, Any]:
    """The request for values; what finalises them goes into the file `blinds`, sealed. Raises Unusable."""
    if forms.OBLIVIOUS.get(subkind) is None:
        raise Unusable(f"{subkind}: not a subkind that is tokenised without telling it.")
    found = [read(subkind, value) for value in values]
    wanted = list(dict.fromkeys(form for one in found for form in one.forms))
    inputs = [forms.input_bytes(subkind, form) for form in wanted]
    requests: list[dict[str, Any]] = []
    kept: list[list[list[str]]] = []
    for quarter in epochs.published_under(now):
        for some, size in batches(inputs):
            blinded = [oprf.blind(one) for one in some]
            points = [one.point for one in blinded]
            points += [ristretto.random_point() for _ in range(size - len(some))]
            requests.append({"epoch": quarter, "points": [_text(one) for one in points]})
            kept.append([[_text(one.input), _text(one.blind), _text(one.point)] for one in blinded])
    lines = [{"forms": one.forms, "problem": one.problem} for one in found]
    secret = {"subkind": subkind, "lines": lines, "requests": requests, "kept": kept}
    blinds.write_bytes(bytes(sealed_box(_key_of(blinds)).encrypt(json.dumps(secret).encode())))
    blinds.chmod(0o600)
    return {"format": _REQUEST, "subkind": subkind, "requests": requests}


def evaluate(client: Asks, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the exchange, outside the card environment. Raises Unusable, ApiError, Unreachable."""
    try:
        if request["format"] != _REQUEST:
            raise ValueError
        subkind = request["subkind"]
        asked = [(one["epoch"], [base64.b64decode(point) for point in one["points"]]) for one in request["requests"]]
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable("This is no request that `exchange blind` wrote.") from error
    answers = []
    for epoch, points in asked:
        found = client.evaluate(subkind, epoch, points)
        answers.append({"points": [_text(one) for one in found.points], "proof": _text(found.proof)})
    return {"format": _ANSWER, "subkind": subkind, "keys": client.token_keys(), "answers": answers}


def finalise(answer: dict[str, Any], *, blinds: Path, pins: Pins, kept: Kept | None = None) -> list[Tokenised]:
    """The tokens of what was blinded, in its order; they are kept, so that `build` needs no network.

    Raises KeyNotTrusted for an answer of another key or log, Unusable for what is no answer.
    """
    secret = _opened(blinds)
    try:
        if answer["format"] != _ANSWER or len(answer["answers"]) != len(secret["requests"]):
            raise ValueError
        public = take_in(answer["keys"], pins)
        found = [
            oprf.Evaluated(tuple(base64.b64decode(one) for one in each["points"]), base64.b64decode(each["proof"]))
            for each in answer["answers"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable("This is no answer to what was blinded.") from error
    kind = forms.OBLIVIOUS[secret["subkind"]]
    made: dict[bytes, list[Token]] = {}
    for asked, blinded, evaluated in zip(secret["requests"], secret["kept"], found, strict=True):
        name = f"{kind} {asked['epoch']}"
        if name not in public:
            raise KeyNotTrusted(f"The answer has no key for {name} that is in the log.")
        outputs = _outputs(asked, blinded, evaluated, public_key=public[name])
        for value, output in outputs.items():
            made.setdefault(value, []).append(Token(Scheme.OBLIVIOUS, asked["epoch"], oprf.token_value(output)))
        if kept:
            ends = epochs.ends(asked["epoch"]) + epochs.LONGEST_LIFE
            kept.keep_tokens(asked["epoch"], {one: out[: oprf.TOKEN_BYTES] for one, out in outputs.items()}, ends=ends)
    return [_line(secret["subkind"], one, made) for one in secret["lines"]]


def _outputs(
    asked: dict[str, Any], blinded: list[list[str]], evaluated: oprf.Evaluated, *, public_key: bytes
) -> dict[bytes, bytes]:
    ours = [oprf.Blinded(*map(base64.b64decode, one)) for one in blinded]
    filling = [base64.b64decode(one) for one in asked["points"][len(ours) :]]
    try:
        outputs = oprf.finalise(ours, evaluated, public_key=public_key, padding=filling)
    except oprf.BadProof as error:
        raise KeyNotTrusted(f"The answer was not made with the key of the log: {error}.") from error
    return {one.input: output for one, output in zip(ours, outputs, strict=True)}


def _line(subkind: str, line: dict[str, Any], made: dict[bytes, list[Token]]) -> Tokenised:
    found = tuple(tuple(made[forms.input_bytes(subkind, form)]) for form in line["forms"])
    return Tokenised(tuple(line["forms"]), found, line["problem"])


def _opened(blinds: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(sealed_box(_key_of(blinds)).decrypt(blinds.read_bytes()))
        return document
    except OSError as error:
        raise Unusable(f"{blinds}: {error.strerror}") from error
    except (nacl.exceptions.CryptoError, ValueError) as error:
        raise Unusable(f"{blinds}: is no file of blinds, or its key is another") from error


def _key_of(blinds: Path) -> Path:
    return blinds.with_name(f"{blinds.name}.key")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
