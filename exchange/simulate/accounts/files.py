"""The story as files: one folder a lab with its accounts and a map, and the truth in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import numpy as np
import polars as pl

from exchange.simulate.accounts.rows import DAY_S, DAYS, IPV6_FROM, Ints
from exchange.simulate.accounts.story import Story
from exchange.simulate.accounts.told import LABS, Format, Payment

_AGENTS = (
    "python-requests/2.32",
    "curl/8.9",
    "okhttp/4.12",
    "axios/1.7",
    "Mozilla/5.0 Chrome/131",
    "Mozilla/5.0 Firefox/133",
)
#: A network of documentation cannot be told from a special one, so the story's IPv6 networks lie in 2a00::/12.
_IPV6_BASE = 0x2A0E_0000_0000_0000
#: When the story ends.
END = datetime(2026, 11, 28, tzinfo=UTC)
_MAP = """\
# What the columns of {name} are: exchange-lab --map map.toml. See exchange/docs/lab.md.
[source]
file = "{name}"

[columns]
account = "account"
created = "created"
email = "email"
payment = "payment"
device = "device"
addresses = "addresses"
user_agent = "user_agent"
prompts = "prompts"
flagged = "flagged"

[payment]
{payment}
"""


def write(story: Story, place: Path, *, form: Format, end: datetime = END) -> list[Path]:
    """Write `LAB/accounts.FORMAT`, `LAB/map.toml` and `truth.csv`; the paths of the accounts."""
    written = []
    for number, lab in enumerate(LABS):
        frame, _ = of_lab(story, number, end=end)
        path = place / lab / f"accounts.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(frame, path, form)
        written.append(path)
    write_around(story, place, form=form)
    return written


def write_around(story: Story, place: Path, *, form: Format) -> None:
    """Write what goes with the accounts: a map for each lab, and last the truth."""
    truths = []
    for number, lab in enumerate(LABS):
        write_map(place / lab, f"accounts.{form}", payment=_payment(story, lab))
        some = _in_order(story, number)
        names = [_account(story, one) for one in some.tolist()]
        truths.append(pl.DataFrame({"lab": [lab] * len(some), "account": names, "operator": _names(story, some)}))
    pl.concat(truths).write_csv(place / "truth.csv")


def write_map(folder: Path, name: str, *, payment: str) -> None:
    """The map of a lab's accounts."""
    (folder / "map.toml").write_text(_MAP.format(name=name, payment=payment), encoding="utf-8")


def _payment(story: Story, lab: str) -> str:
    if story.told.payment is Payment.GLOBAL:
        return 'subkind = "par"'
    return f'subkind = "psp_fp"\nscope = "{scope(lab)}"'


def of_lab(story: Story, lab: int, *, end: datetime = END, prompts: bool = True) -> tuple[pl.DataFrame, Ints]:
    """One lab's accounts as it has them, in the order of sign-up; and their numbers in the story.

    Without `prompts` that column is left out.
    """
    some = _in_order(story, lab)
    known = story.accounts
    begin = int(end.timestamp()) - DAYS * DAY_S
    frame = pl.DataFrame(
        {
            "account": [_account(story, one) for one in some.tolist()],
            "created": pl.from_epoch(pl.Series(known.created[some] + begin), time_unit="s").dt.replace_time_zone("UTC"),
            "email": [known.mail[one] for one in some.tolist()],
            "payment": _each(known.payment[some], payments(story, LABS[lab])),
            "device": _each(known.device[some], device),
            "addresses": [[address(one) for one in row if one >= 0] for row in known.addresses[some].tolist()],
            "user_agent": [_AGENTS[one % len(_AGENTS)] for one in known.agent[some].tolist()],
            "flagged": known.flagged[some],
        }
    )
    if prompts:
        said = pl.Series("prompts", _prompts(story, lab, some), dtype=pl.List(pl.String))
        frame = frame.insert_column(len(frame.columns) - 1, said)
    return frame, some


def _in_order(story: Story, lab: int) -> Ints:
    """The numbers of a lab's accounts, in the order of sign-up."""
    some = story.at(lab)
    return some[np.argsort(story.accounts.created[some], kind="stable")]


def payments(story: Story, lab: str) -> Callable[[int], str]:
    """How a card looks at a lab: a payment account reference, or a fingerprint of the lab's own provider."""
    if story.told.payment is Payment.GLOBAL:
        return lambda card: f"5001{_digest(f'card {card}', 20).upper()[:25]}"
    return lambda card: f"pf_{_digest(f'card {card} at {lab}', 12)}"


def scope(lab: str) -> str:
    """The scope within which fingerprints of a lab's provider are equal."""
    return _digest(f"provider of {lab}", 16)


def device(number: int) -> str:
    """A device as a fingerprinting script names it."""
    return _digest(f"device {number}", 10)


def address(number: int) -> str:
    """An address of the story, as text."""
    if number < IPV6_FROM:
        return str(IPv4Address(number))
    return str(IPv6Address((_IPV6_BASE + (number - IPV6_FROM)) << 64 | 0x1))


def _account(story: Story, number: int) -> str:
    return f"acct_{_digest(f'{story.told.seed} {number}', 8)}"


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode(), digest_size=size).hexdigest()


def _each(numbers: Ints, shown: Callable[[int], str]) -> list[str | None]:
    return [shown(one) if one >= 0 else None for one in numbers.tolist()]


def _prompts(story: Story, lab: int, some: Ints) -> list[list[str]]:
    """The prompts of these accounts, in their order."""
    at = story.prompts_at(lab)
    at = at[np.argsort(story.prompts.account[at], kind="stable")]
    said = list(story.texts_of(at))
    whose = story.prompts.account[at]
    begins = np.searchsorted(whose, some, side="left").tolist()
    ends = np.searchsorted(whose, some, side="right").tolist()
    return [said[begin:end] for begin, end in zip(begins, ends, strict=True)]


def _names(story: Story, some: Ints) -> list[str]:
    names = {-1: "", -2: "invented"} | {one.number: one.name for one in story.who}
    return [names[one] for one in story.accounts.operator[some].tolist()]


def stamped(frame: pl.DataFrame) -> pl.DataFrame:
    """With the moment of sign-up as text."""
    return frame.with_columns(pl.col("created").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _write(frame: pl.DataFrame, path: Path, form: Format) -> None:
    if form is Format.PARQUET:
        frame.write_parquet(path)
        return
    written = stamped(frame)
    if form is Format.JSONL:
        written.write_ndjson(path)
        return
    lists = {
        name: [json.dumps(one, ensure_ascii=False) for one in written[name].to_list()]
        for name in ("addresses", "prompts")
    }
    written.with_columns(**{name: pl.Series(some) for name, some in lists.items()}).write_csv(path)
