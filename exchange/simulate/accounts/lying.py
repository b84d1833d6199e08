"""A lab that lies: it invents flagged accounts that carry what others hold.

`popular`: accounts with 50 tokens that many benign people hold. `companies`: with domain, egress and cards of 20
companies. `glue`: 50 accounts, each with what two campaigns hold. How such a lab answers about prevalence is its own
lie, told in the benchmark: as many suspects as holders.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from exchange.simulate.accounts.rows import Block, Ints, join
from exchange.simulate.accounts.told import LABS

if TYPE_CHECKING:
    from exchange.simulate.accounts.story import Story

#: The operator's number of what a liar invented.
INVENTED = -2
_ACCOUNTS = {"popular": 300, "companies": 400, "glue": 50}


def added(rng: np.random.Generator, story: Story) -> Story:
    """The story with what the liar invents."""
    count = _ACCOUNTS[story.told.lie]
    made = {"popular": _popular, "companies": _companies, "glue": _glue}[story.told.lie](rng, story, count)
    made.lab[:] = LABS.index(story.told.liar)
    made.flagged[:] = True
    made.operator[:] = INVENTED
    return replace(story, accounts=join([story.accounts, made]))


def _copies(story: Story, some: Ints) -> Block:
    """The same accounts once more, to be changed."""
    known = story.accounts
    return Block(
        lab=known.lab[some].copy(),
        created=known.created[some].copy(),
        mail=[known.mail[one] for one in some.tolist()],
        payment=known.payment[some].copy(),
        device=known.device[some].copy(),
        addresses=known.addresses[some].copy(),
        agent=known.agent[some].copy(),
        flagged=known.flagged[some].copy(),
        operator=known.operator[some].copy(),
    )


def _popular(rng: np.random.Generator, story: Story, count: int) -> Block:
    """Devices, addresses and domains that most benign people hold: 50 of them."""
    known = story.accounts
    benign = np.flatnonzero(known.operator == -1)
    devices = np.array([one for one, _ in Counter(known.device[benign].tolist()).most_common(20)])
    held = known.addresses[benign]
    addresses = np.array([one for one, _ in Counter(held[held >= 0].tolist()).most_common(15)])
    domains = [one for one, _ in Counter(known.mail[at].partition("@")[2] for at in benign.tolist()).most_common(40)]
    domains = domains[-15:]
    made = _copies(story, rng.choice(benign, size=count))
    made.device = devices[np.arange(count) % len(devices)]
    made.addresses[:, 0] = addresses[np.arange(count) % len(addresses)]
    made.addresses[:, 1] = addresses[(np.arange(count) + 7) % len(addresses)]
    made.mail = [f"x{at}@{domains[at % len(domains)]}" for at in range(count)]
    made.payment[:] = -1
    return made


def _companies(rng: np.random.Generator, story: Story, count: int) -> Block:
    """Domain, egress and team cards of the 20 companies with most people elsewhere."""
    known = story.accounts
    paying = np.flatnonzero((known.operator == -1) & (known.payment >= 0))
    often = {one for one, _ in Counter(known.payment[paying].tolist()).most_common(20)}
    of_these = paying[np.isin(known.payment[paying], list(often))]
    made = _copies(story, rng.choice(of_these, size=count))
    made.mail = [f"y{at}{address[-3:-1]}@{address.partition('@')[2]}" for at, address in enumerate(made.mail)]
    made.device = made.device.max() + known.device.max() + 1 + np.arange(count)
    return made


def _glue(rng: np.random.Generator, story: Story, count: int) -> Block:
    """Each carries a card and an address of one campaign, device and domain of another."""
    known = story.accounts
    first = rng.choice(np.flatnonzero(known.operator == 0), size=count)
    second = rng.choice(np.flatnonzero(known.operator == 1), size=count)
    made = _copies(story, first)
    made.device = known.device[second].copy()
    made.addresses[:, 1] = known.addresses[second, 0]
    made.mail = [f"z{at}@{known.mail[one].partition('@')[2]}" for at, one in enumerate(second.tolist())]
    return made
