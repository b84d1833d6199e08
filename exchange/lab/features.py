"""From a lab's accounts to what each carries: payment, device, mail, networks, bursts, prompts, in normal form. Pure.

The raw values stay here: what leaves this module is tokenised (`tokens`) before it is kept or sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from exchange.lab.scoring import Group
from exchange.tokens import forms, normalising, prompts

#: Columns of a lab's accounts, after the map: what is not there is not derived.
COLUMNS = {
    "account": pl.String,
    "created": pl.Datetime("us", "UTC"),
    "email": pl.String,
    "payment": pl.String,
    "device": pl.String,
    "addresses": pl.List(pl.String),
    "user_agent": pl.String,
    "prompts": pl.List(pl.String),
    "phrases": pl.List(pl.String),
    "flagged": pl.Boolean,
}

#: Beside `created`: whether the lab gave a value that is no time.
NO_TIME = "created is no time"


class Sort(NamedTuple):
    """A sort of token: its subkind in the vocabulary, its group in the score, and its name in a reason."""

    subkind: str
    group: Group
    name: str
    wide: bool = False


#: All sorts, in the order of their numbers in the state.
SORTS = {
    "payment": Sort("par", Group.PAY, "card"),
    "device": Sort("device", Group.DEV, "device"),
    "mailbox": Sort("email", Group.MAIL, "mailbox"),
    "domain": Sort("email_domain", Group.MAIL, "mail domain"),
    "shape": Sort("email_shape", Group.MAIL, "shape of mail address"),
    "burst_domain": Sort("signup_burst", Group.MAIL, "hours of sign-up at a mail domain"),
    "address": Sort("net", Group.NET, "address"),
    "network": Sort("net", Group.NET, "network", wide=True),
    "burst_network": Sort("signup_burst", Group.NET, "hours of sign-up from a network"),
    "skeleton": Sort("skeleton", Group.PROMPT, "prompt"),
    "phrase": Sort("phrase", Group.PROMPT, "phrase"),
}
NUMBERS = {name: number for number, name in enumerate(SORTS)}
#: Where dots or another name are the same mailbox: read in full.
_FOLDED_MORE = frozenset({"gmail.com", "googlemail.com"})
_SCHEMA = {"account": pl.UInt32, "sort": pl.UInt8, "form": pl.String}


@dataclass(frozen=True, slots=True)
class Derived:
    """What accounts carry (`account` is the row of the frame, `sort`, `form`; each once); `wrong` counts values."""

    carried: pl.DataFrame
    wrong: dict[str, int]


def derive(frame: pl.DataFrame, *, skip: Iterable[str] = (), payment: str = "par") -> Derived:
    """Everything that the accounts of a frame carry, in normal form; `payment` is the subkind of that column.

    A value that is none of its kind is left out and counted, by column.
    """
    left_out, wrong, made = set(skip), dict[str, int](), list[pl.DataFrame]()
    for column, each in (
        ("payment", _payment(payment)),
        ("device", _simple("device", "device")),
        ("email", _email),
        ("addresses", _address),
        ("prompts", _prompt),
        ("phrases", _phrase),
    ):
        if column in frame.columns:
            found, bad = _of_column(frame, column, each)
            made.append(found)
            if bad:
                wrong[column] = bad
    if NO_TIME in frame.columns and (bad := int(frame[NO_TIME].sum())):
        wrong["created"] = bad
    every = pl.concat(made) if made else pl.DataFrame(schema=_SCHEMA)
    every = pl.concat([every, *_bursts(frame, every)])
    if left_out:
        every = every.filter(~pl.col("sort").is_in([NUMBERS[name] for name in left_out]))
    return Derived(every.unique(maintain_order=True).sort("account", maintain_order=True), wrong)


_Each = Callable[[str], Iterable[tuple[str, str]]]


def _of_column(frame: pl.DataFrame, column: str, each: _Each) -> tuple[pl.DataFrame, int]:
    """What one column gives. Each different value is read once."""
    values = frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("account"), pl.col(column).alias("value"))
    if isinstance(values.schema["value"], pl.List):
        values = values.explode("value", empty_as_null=True, keep_nulls=True)
    values = values.drop_nulls().filter(pl.col("value") != "").unique()
    different = values.select(pl.col("value").unique())
    rows: list[tuple[str, int, str]] = []
    bad: list[str] = []
    for value in different["value"]:
        try:
            rows.extend((value, NUMBERS[sort], form) for sort, form in each(value))
        except ValueError:
            bad.append(value)
    found = pl.DataFrame(rows, schema={"value": pl.String, "sort": pl.UInt8, "form": pl.String}, orient="row")
    joined = values.join(found, on="value", how="inner").select(list(_SCHEMA))
    wrong = len(values.join(pl.DataFrame({"value": bad}, schema={"value": pl.String}), on="value", how="semi"))
    return joined, wrong


def _simple(sort: str, subkind: str) -> _Each:
    return lambda value: [(sort, form) for form in forms.of(subkind, value)]


def _payment(subkind: str) -> _Each:
    return _simple("payment", subkind)


#: What is in its normal form but for the domain: most addresses are, and reading them in full costs ten times as much.
_PLAIN_MAIL = re.compile(r"([a-z0-9][a-z0-9._-]{0,63})@([a-z0-9.-]+)")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN_ADDRESS = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")


def _email(value: str) -> Iterator[tuple[str, str]]:
    plain = _PLAIN_MAIL.fullmatch(value)
    if plain and (domain := _domain(plain[2])) not in _FOLDED_MORE:
        exact = folded = f"{plain[1]}@{domain}"
    else:
        exact = normalising.email_exact(value)
        folded = normalising.email_folded(exact)
    yield "mailbox", folded
    yield "domain", exact.rpartition("@")[2]
    yield "shape", forms.shape_of(exact)


@lru_cache(maxsize=100_000)
def _domain(text: str) -> str:
    """A domain in normal form, read once: reading it is what costs."""
    return normalising.host(text)


def _address(value: str) -> Iterator[tuple[str, str]]:
    """An address and its /24; of IPv6 the /64, which is both and goes as a network."""
    found = f"{value}/32" if _PLAIN_ADDRESS.fullmatch(value) else normalising.ip_network(value)
    host, _, length = found.partition("/")
    if ":" in host:
        yield "network", found
        return
    yield "address", found
    yield "network", f"{host.rpartition('.')[0]}.0/24" if int(length) > 24 else found


def _prompt(value: str) -> Iterator[tuple[str, str]]:
    """The skeleton of a prompt and its phrases, from one reading of its words."""
    found = prompts.words(value)
    if not found:
        raise ValueError("a text without a word")
    yield "skeleton", " ".join(found)
    for phrase in prompts.phrases_of(found):
        yield "phrase", phrase


def _phrase(value: str) -> Iterator[tuple[str, str]]:
    """A phrase that the lab made itself, elsewhere: five words in normal form."""
    if len(value.split(" ")) != prompts.PHRASE_WORDS:
        raise ValueError("not five words")
    yield "phrase", value


def _bursts(frame: pl.DataFrame, carried: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Sign-ups at one domain, and from one network (of the first address), within six hours."""
    if "created" not in frame.columns:
        return
    slots = frame.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("account"),
        pl.col("created").dt.convert_time_zone("UTC").dt.truncate("6h").dt.strftime("%Y-%m-%dT%HZ").alias("slot"),
    ).drop_nulls()
    places = [("burst_domain", carried.filter(pl.col("sort") == NUMBERS["domain"]))]
    if "addresses" in frame.columns:
        places.append(("burst_network", _first_networks(frame)))
    for sort, place in places:
        yield slots.join(place.select("account", "form"), on="account", how="inner").select(
            "account",
            pl.lit(NUMBERS[sort], dtype=pl.UInt8).alias("sort"),
            pl.concat_str("form", pl.lit("|"), "slot").alias("form"),
        )


def _first_networks(frame: pl.DataFrame) -> pl.DataFrame:
    first = frame.select(pl.col("addresses").list.first().alias("addresses"))
    found, _ = _of_column(first, "addresses", _address)
    return found.filter(pl.col("sort") == NUMBERS["network"])
