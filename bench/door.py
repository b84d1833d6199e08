"""What the door finds: content that must not be said, planted in each place of an object, and real objects let through.

    python -m bench.door                 the table of `exchange/docs/door.md`
    python -m bench.door --examples      and what was not found, and what was found in real objects

Everything planted is generated from a seed; nothing in it belongs to anybody. Real objects come from shared/data beside
the repository, and are skipped where it is absent.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import string
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from bench import acts, figures
from exchange.texts import folding, rules
from exchange.tokens import normalising
from indicators.door import gates
from indicators.door.benign import Known
from indicators.stix import parsing
from indicators.stix.drafts import Draft
from tests.indicators.stix import shared

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STAMP = "2026-11-24T11:00:00.000Z"
OPEN = gates.Door(
    now=NOW,
    publisher_identity=f"identity--{uuid.UUID(int=7)}",
    publisher_name="Aster",
    partner_identities=frozenset(),
    policy="open-cti",
    known=Known(examples=True),
)
CLOSED = gates.Door(
    now=NOW,
    publisher_identity=OPEN.publisher_identity,
    publisher_name="Aster",
    partner_identities=frozenset(),
    policy="closed-facts",
    known=Known(examples=True),
)
EACH = 40  # of each category, form and place

Pick = random.Random
FIRST = (
    *("Anna", "Boris", "Carla", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jonas"),
    *("Kofi", "Lena", "Marco", "Nadia", "Omar", "Priya", "Rosa", "Sven", "Tara", "Wei"),
)
LAST = (
    *("Adler", "Brandt", "Chen", "Diaz", "Eriksen", "Fischer", "Garcia", "Haddad", "Ivanova"),
    *("Jensen", "Kimura", "Lopez", "Meyer", "Novak", "Okafor", "Petrov", "Sato"),
)
LABS = ("Borealis", "Cygnus", "Dorado")


def name(pick: Pick) -> str:
    return f"{pick.choice(FIRST)} {pick.choice(LAST)}"


def digits(pick: Pick, count: int) -> str:
    return "".join(pick.choice(string.digits) for _ in range(count))


def letters(pick: Pick, count: int, of: str = string.ascii_letters + string.digits) -> str:
    return "".join(pick.choice(of) for _ in range(count))


def card(pick: Pick) -> str:
    prefix, count = pick.choice(
        (("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("37", 15), ("6011", 16), ("3530", 16), ("36", 14))
    )
    body = prefix + digits(pick, count - len(prefix) - 1)
    return next(body + last for last in string.digits if normalising.passes_luhn(body + last))


def grouped(number: str, sign: str) -> str:
    sizes = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[len(number)]
    found, rest = [], number
    for size in sizes:
        found.append(rest[:size])
        rest = rest[size:]
    return sign.join(found)


SPELT = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CARD_FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda number: number,
    "blanks": lambda number: grouped(number, " "),
    "hyphens": lambda number: grouped(number, "-"),
    "dots": lambda number: grouped(number, "."),
    "narrow blanks": lambda number: grouped(number, "\u202f"),
    "full width": lambda number: "".join(chr(0xFF10 + int(digit)) for digit in number),
    "Arabic digits": lambda number: "".join(chr(0x0660 + int(digit)) for digit in number),
    "zero-width signs": "\u200b".join,
    "each digit alone": " ".join,
    "letter O for zero": lambda number: number.replace("0", "O"),
    "words": lambda number: " ".join(SPELT[int(digit)] for digit in number),
    "underscores": lambda number: grouped(number, "_"),
}


def iban(pick: Pick) -> str:
    country, count = pick.choice((("DE", 18), ("AT", 16), ("ES", 20), ("PL", 24)))
    body = digits(pick, count)
    numbered = "".join(str(int(one, 36)) for one in f"{body}{country}00")
    return f"{country}{98 - int(numbered) % 97:02d}{body}"


def spaced(number: str) -> str:
    return " ".join(number[place : place + 4] for place in range(0, len(number), 4))


SECRETS: dict[str, Callable[[Pick], str]] = {
    "AWS": lambda pick: "AKIA" + letters(pick, 16, string.ascii_uppercase + string.digits),
    "GitHub": lambda pick: "ghp_" + letters(pick, 36),
    "GitHub fine-grained": lambda pick: "github_pat_" + letters(pick, 82),
    "GitLab": lambda pick: "glpat-" + letters(pick, 20),
    "Slack": lambda pick: f"xoxb-{digits(pick, 12)}-{digits(pick, 12)}-{letters(pick, 24)}",
    "Slack hook": lambda pick: (
        f"https://hooks.slack.com/services/T{letters(pick, 9)}/B{letters(pick, 9)}/{letters(pick, 24)}"
    ),
    "Stripe": lambda pick: "sk_live_" + letters(pick, 24),
    "Google": lambda pick: "AIza" + letters(pick, 35),
    "OpenAI": lambda pick: "sk-proj-" + letters(pick, 48),
    "Anthropic": lambda pick: "sk-ant-api03-" + letters(pick, 93),
    "Hugging Face": lambda pick: "hf_" + letters(pick, 34),
    "npm": lambda pick: "npm_" + letters(pick, 36),
    "PyPI": lambda pick: "pypi-AgEIcHlwaS5vcmc" + letters(pick, 80),
    "SendGrid": lambda pick: f"SG.{letters(pick, 22)}.{letters(pick, 43)}",
    "Twilio": lambda pick: "SK" + letters(pick, 32, "0123456789abcdef"),
    "Telegram": lambda pick: f"{digits(pick, 10)}:AA{letters(pick, 33)}",
    "Discord": lambda pick: f"M{letters(pick, 23)}.{letters(pick, 6)}.{letters(pick, 27)}",
    "DigitalOcean": lambda pick: "dop_v1_" + letters(pick, 64, "0123456789abcdef"),
    "Shopify": lambda pick: "shpat_" + letters(pick, 32, "0123456789abcdef"),
    "Databricks": lambda pick: "dapi" + letters(pick, 32, "0123456789abcdef"),
    "Vault": lambda pick: "hvs." + letters(pick, 24),
    "Postman": lambda pick: f"PMAK-{letters(pick, 24, '0123456789abcdef')}-{letters(pick, 34, '0123456789abcdef')}",
    "JSON Web Token": lambda pick: f"eyJ{letters(pick, 30)}.eyJ{letters(pick, 40)}.{letters(pick, 43)}",
    "private key": lambda pick: "-----BEGIN RSA PRIVATE KEY-----\n" + letters(pick, 64),
    "session token": lambda pick: "session_token=" + letters(pick, 40),
    "API key": lambda pick: "api key: " + letters(pick, 32),
}
LATER = ("Q3 2027", "March 2027", "next month", "2027")
CONTENT: dict[str, list[Callable[[Pick], str]]] = {
    "name": [
        lambda pick: f"the customer {name(pick)} opened it",
        lambda pick: f"account holder: {name(pick)}",
        lambda pick: f"signed up as {name(pick)}",
        lambda pick: f"full name: {name(pick)}",
    ],
    "e-mail": [
        lambda pick: f"user {letters(pick, 8)}@mail.example",
        lambda pick: f"registered with {letters(pick, 8)}@example.org",
        lambda pick: f"customer e-mail: {letters(pick, 8)}@example.com",
    ],
    "phone": [
        lambda pick: f"phone: +49 30 {digits(pick, 7)}",
        lambda pick: f"call him at +1 212 555 {digits(pick, 4)}",
        lambda pick: f"mobile number +44 7700 {digits(pick, 6)}",
    ],
    "id": [
        lambda pick: f"SSN {pick.randint(100, 665)}-{pick.randint(10, 99)}-{pick.randint(1000, 9999)}",
        lambda pick: f"passport number C{digits(pick, 8)}",
        lambda pick: f"date of birth: {pick.randint(1, 28)}.{pick.randint(1, 12)}.{pick.randint(1950, 2005)}",
    ],
    "price": [
        lambda pick: f"the price is ${pick.randint(2, 90)} per million tokens",
        lambda pick: f"our discount for the team plan is {pick.randint(5, 60)}%",
        lambda pick: f"we charge {pick.randint(2, 90)} dollars per seat",
    ],
    "count": [
        lambda pick: f"we saw {pick.randint(1_000, 90_000):,} accounts",
        lambda pick: f"our API served {pick.randint(2, 90)} million requests",
        lambda pick: f"a total of {pick.randint(1_000, 90_000)} accounts",
    ],
    **{
        f"figures in words, {language}": [partial(figures.in_words, language, turn) for turn in turns]
        for language, turns in figures.IN_WORDS.items()
    },
    "roadmap": [
        lambda pick: f"we will launch the next model in {pick.choice(LATER)}",
        lambda pick: f"our release is planned, we ship it in {pick.choice(LATER)}",
        lambda pick: f"roadmap: the small model in {pick.choice(LATER)}",
    ],
    "call to act together": [
        lambda pick: "let us all boycott this reseller",
        lambda pick: "we should all raise our prices",
        lambda pick: "labs should agree not to serve them",
    ],
    **{
        f"plans and calls, {language}": [partial(acts.planted, language, turn) for turn in turns]
        for language, turns in acts.IN_LANGUAGES.items()
    },
    **{f"card, {form}": [partial(lambda write, pick: write(card(pick)), write)] for form, write in CARD_FORMS.items()},
    "card, details": [
        lambda pick: f"CVV {digits(pick, 3)}",
        lambda pick: f"a Visa card ending in {digits(pick, 4)}",
        lambda pick: f"card expires 0{pick.randint(1, 9)}/{pick.randint(26, 34)}",
    ],
    "account number": [iban, lambda pick: spaced(iban(pick))],
    **{f"secret, {maker}": [make] for maker, make in SECRETS.items()},
}
PAYMENT_AND_SECRETS = ("card", "account number", "secret")


def an_object(stix_type: str, **more) -> dict:
    common = {"type": stix_type, "spec_version": "2.1", "id": f"{stix_type}--{uuid.uuid4()}"}
    return {**common, "created": STAMP, "modified": STAMP, **more}


def _note(**more) -> dict:
    return an_object("note", content="seen", object_refs=[OPEN.publisher_identity], **more)


def _file(**more) -> dict:
    return {"type": "file", "spec_version": "2.1", "id": f"file--{uuid.uuid4()}", "name": "x", **more}


def _artifact(text: str) -> dict:
    payload = base64.b64encode(f"notes: {text} .".encode()).decode()
    return {"type": "artifact", "spec_version": "2.1", "id": f"artifact--{uuid.uuid4()}", "payload_bin": payload}


PLACES: dict[str, Callable[[str], dict]] = {
    "text": lambda text: _note() | {"content": f"They wrote: {text}. That is all."},
    "label": lambda text: _note(labels=["x", text]),
    "address": lambda text: _note(
        external_references=[{"source_name": "x", "url": f"https://x.example/?q={quote(text)}"}]
    ),
    "own property": lambda text: _note(x_more={"deep": [{"said": text}]}),
    "name of a property": lambda text: _note(x_map={text: 1}),
    "hash": lambda text: _file(hashes={"x_hash": text}),
    "base64": _artifact,
}


def planted(seed: int = 1, each: int = EACH) -> Iterator[tuple[str, str, dict]]:
    """Category, place and object of everything that is planted; a number that is one in JSON, too."""
    pick = random.Random(seed)
    for category, makers in CONTENT.items():
        for place, put in PLACES.items():
            for number in range(each):
                yield category, place, put(makers[number % len(makers)](pick))
    for _ in range(each):
        yield "card, as it is", "JSON number", _note(x_more=[{"value": int(card(pick))}])


def refused(made: dict, door: gates.Door) -> bool:
    (draft,) = parsing.read_batch(json.dumps(made, ensure_ascii=False).encode())
    return not isinstance(draft, Draft) or gates.examine(draft, door) is not None


def real() -> Iterator[tuple[str, Draft]]:
    """Real objects of others, with the file that they are from."""
    for path in shared.bundles():
        for element in parsing.read_batch(shared.read(path)):
            if isinstance(element, Draft):
                yield path.name, element


def prompts() -> Iterator[str]:
    """Public prompts and templates of prompts of others, as they stand."""
    for file in ("prompts.jsonl.gz", "nc_prompts.jsonl.gz", "promptsource_templates.jsonl.gz"):
        for row in shared.lines("prompts", file):
            yield from (value for name, value in row.items() if name in ("text", "jinja") and isinstance(value, str))


def measure(*, each: int = EACH) -> tuple[dict[str, Counter], dict[str, Counter], list[str]]:
    """By category and place how many were planted, and by policy how many were refused; what was missed."""
    counts: dict[str, Counter] = defaultdict(Counter)
    found: dict[str, Counter] = defaultdict(Counter)
    missed = []
    for category, place, made in planted(each=each):
        counts[category][place] += 1
        found["closed", category][place] += refused(made, CLOSED)
        if refused(made, OPEN):
            found["open", category][place] += 1
        else:
            missed.append(f"{category} / {place}: {json.dumps(made)[-200:]}")
    return counts, found, missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", action="store_true")
    parser.add_argument("--each", type=int, default=EACH)
    options = parser.parse_args()
    counts, found, missed = measure(each=options.each)
    places = [*PLACES, "JSON number"]
    print("| what | " + " | ".join(places) + " | closed-facts |")
    print("|---" * (len(places) + 2) + "|")
    groups: dict[str, list[str]] = defaultdict(list)
    for category in counts:
        groups["secrets of 26 makers" if category.startswith("secret") else category].append(category)
    for group, categories in groups.items():
        said = []
        for place in places:
            planted_here = sum(counts[one][place] for one in categories)
            here = sum(found["open", one][place] for one in categories)
            said.append(f"{here / planted_here:.3f}" if planted_here else "")
        total = sum(sum(counts[one].values()) for one in categories)
        closed = sum(sum(found["closed", one].values()) for one in categories)
        print(f"| {group} | {' | '.join(said)} | {closed / total:.3f} |")
    for words, wanted in (("payment data and secrets", True), ("personal and competitive texts", False)):
        chosen = [one for one in counts if one.startswith(PAYMENT_AND_SECRETS) is wanted]
        total = sum(sum(counts[one].values()) for one in chosen)
        print(
            f"\nopen-cti, {words}: {sum(sum(found['open', one].values()) for one in chosen) / total:.4f} of {total:,}"
        )
    for language, sentences in figures.UNSEEN.items():
        seen = sum(rules.broken_by(folding.fold(one)) is not None for one in sentences)
        print(f"figures in {language}, sentences that no rule was mended by: {seen} of {len(sentences)}")
    for language, sentences in acts.UNSEEN.items():
        seen = sum(rules.broken_by(folding.fold(one)) is not None for one in sentences)
        print(f"plans and calls in {language}, sentences that no rule was mended by: {seen} of {len(sentences)}")
    wrongly = [(name, draft.stix_id, verdict) for name, draft in real() if (verdict := gates.unspeakable(draft, OPEN))]
    count = sum(1 for _ in real())
    if count:
        print(f"real objects refused: {len(wrongly)} of {count:,} ({100 * len(wrongly) / count:.3f} %)")
    texts = list(prompts())
    found_in = [(code, text) for text in texts if (code := rules.broken_by(folding.fold(text)))]
    if texts:
        by_rule = ", ".join(f"{code} {n}" for code, n in sorted(Counter(code for code, _ in found_in).items()))
        print(f"public prompts refused: {len(found_in)} of {len(texts):,} ({by_rule or 'none'})")
    if options.examples:
        print("\n".join(missed))
        print("\n".join(f"prompt, {code}: {text[:200]!r}" for code, text in found_in))
        print("\n".join(f"{name} {stix_id} {verdict.code} {verdict.field}" for name, stix_id, verdict in wrongly))


if __name__ == "__main__":
    main()
