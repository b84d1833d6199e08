"""What five labs find together, beside what the issue asks for: `make bench BENCH_ARGS="--campaign --seed 2"`.

Quick: 21,000 accounts; default: 205,000; full: 1,025,000 too. Each row is one story, told with the seed that it names.
Nothing is fitted to the story: a figure that misses is shown as it is.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.campaign.labs import labs_of, with_flags, with_payment_per_lab, without_prompts
from bench.table import Row
from exchange.lab import features
from exchange.lab.scoring import Constants, sendable
from exchange.lab.together import Lab, Together
from exchange.simulate.accounts.story import Story, tell
from exchange.simulate.accounts.told import LABS, SIZES, Lie, Told
from indicators.campaigns import joining, purity
from indicators.campaigns.joining import Account, Grade
from indicators.campaigns.purity import Role

_SEED = 1
_SORTS = list(features.SORTS.values())


@dataclass(slots=True)
class Scene:
    """A story with its labs, ready for rounds, and who is behind each account."""

    story: Story
    labs: list[Lab]
    numbers: list[np.ndarray]
    tokens: int

    @classmethod
    def of(cls, told: Told) -> Scene:
        story = tell(told)
        return cls(story, *labs_of(story))

    @property
    def size(self) -> int:
        return self.story.told.accounts

    def truth(self, lab: int) -> np.ndarray:
        return self.story.accounts.operator[self.numbers[lab]]


@dataclass(frozen=True, slots=True)
class Quality:
    precision: float
    recall: float

    def __str__(self) -> str:
        return f"{self.precision:.3f} / {self.recall:.3f}"

    def reaches(self, precision: float, recall: float) -> bool:
        return self.precision >= precision and self.recall >= recall


def rows(*, quick: bool, full: bool, seed: int = _SEED) -> Iterator[Row]:
    """All rows, in the order in which they are measured, of the story that `seed` tells."""
    size = "21k" if quick else "205k"
    accounts, fraudulent = SIZES[size]
    told = Told(accounts=accounts, fraudulent=fraudulent, seed=seed)
    scene = Scene.of(told)
    yield from suspects_of(scene)
    yield from blind(scene)
    yield from few_flags(scene)
    yield from pairs_of(scene)
    yield from drowned(scene)
    del scene
    yield from careful(replace(told, careful=True))
    for lie in (Lie.POPULAR, Lie.COMPANIES, Lie.GLUE):
        yield from lied(told, lie)
    yield memory(size)
    spent: list[tuple[int, float]] = []
    for smaller in ["21k", "65k"] if quick else ["65k", "205k"]:
        accounts, fraudulent = SIZES[smaller]
        yield cpu(Scene.of(replace(told, accounts=accounts, fraudulent=fraudulent)), spent)
    if full:
        yield from at_full_size(told, spent)


def at_full_size(told: Told, spent: list[tuple[int, float]]) -> Iterator[Row]:
    """25,000 accounts of operators in 1,025,000."""
    accounts, fraudulent = SIZES["1025k"]
    scene = Scene.of(replace(told, accounts=accounts, fraudulent=fraudulent))
    yield cpu(scene, spent)
    yield from suspects_of(scene)
    yield from blind(scene)
    yield from pairs_of(scene)


def suspects_of(scene: Scene) -> Iterator[Row]:
    """Payment global, per lab, and without prompts."""
    full = scene.size >= 1_000_000
    yield _row(scene, "suspects, payment global", _played(scene, _fresh(scene.labs))[0], (0.99, 0.93) if full else None)
    labs, tokens = with_payment_per_lab(scene.labs, scene.tokens)
    yield _row(scene, "suspects, payment per lab", _played(scene, labs, tokens)[0], (0.99, 0.93) if full else None)
    yield _row(
        scene,
        "suspects, without prompts",
        _played(scene, without_prompts(scene.labs))[0],
        (0.98, 0.80) if full else None,
    )


def blind(scene: Scene) -> Iterator[Row]:
    """Each lab in turn flags nothing: what it finds of its own."""
    for at in range(len(LABS)):
        labs = with_flags(scene.labs, [one.carries.flagged & (number != at) for number, one in enumerate(scene.labs)])
        _played(scene, labs)
        found = _quality(labs[at].suspect, scene.truth(at) >= 0)
        yield _row(scene, f"{LABS[at]} flags nothing", found, (0.98, 0.90) if scene.size >= 200_000 else None)


def few_flags(scene: Scene) -> Iterator[Row]:
    """2 % of the flags are left: together, and each lab alone."""
    rng = np.random.default_rng(scene.story.told.seed)
    labs = with_flags(
        scene.labs, [one.carries.flagged & (rng.random(one.carries.accounts) < 0.02) for one in scene.labs]
    )
    group = Together(labs, scene.tokens)
    done = group.rounds()
    together = _all(scene, labs)
    alone = [group.alone(at) for at in range(len(LABS))]
    single = _quality(np.concatenate(alone), np.concatenate([scene.truth(at) >= 0 for at in range(len(LABS))]))
    least = scene.size >= 200_000
    yield Row(
        f"2 % of the flags, seed {scene.story.told.seed}, {len(done)} rounds",
        scene.size,
        str(together),
        f"alone: {single}",
        f"{together.recall / max(single.recall, 1e-9):.2f} x",
        "recall ≥ .90 and ≥ 1.3 x" if least else "",
        (together.recall >= 0.90 and together.recall >= 1.3 * single.recall) if least else None,
    )


def pairs_of(scene: Scene) -> Iterator[Row]:
    """Pairs of accounts of different labs that are put into one campaign, among all that belong together."""
    group = Together(_fresh(scene.labs), scene.tokens)
    group.rounds()
    trusting, corroborated = pairs(scene, group)
    yield _row(scene, "pairs across labs, trusting", trusting, (0.98, 0.87) if scene.size >= 200_000 else None)
    yield _row(scene, "pairs across labs, corroborated", corroborated, (0.97, 0.70) if scene.size >= 200_000 else None)


def careful(told: Told) -> Iterator[Row]:
    """Operators with one card an account, who come through commercial VPN exits alone."""
    scene = Scene.of(told)
    found, _ = _played(scene, _fresh(scene.labs))
    yield _row(scene, "careful operators", found, (0.98, 0.90) if scene.size >= 200_000 else None)


def lied(told: Told, lie: Lie) -> Iterator[Row]:
    """One lab invents accounts, and says of what they carry that all its holders are suspects."""
    scene = Scene.of(replace(told, lie=lie))
    liar = LABS.index(told.liar)
    invented = scene.truth(liar) == -2
    honest_labs = with_flags(
        scene.labs, [one.carries.flagged & (scene.truth(at) != -2) for at, one in enumerate(scene.labs)]
    )
    _played(scene, honest_labs)
    before = _benign(scene, honest_labs, liar)
    lying = with_flags(scene.labs, [one.carries.flagged for one in scene.labs])
    carries = lying[liar].carries
    claimed = np.zeros(carries.tokens, np.bool_)
    claimed[carries.token[invented[carries.account]]] = True

    def lies(tokens: np.ndarray, holders: np.ndarray, suspects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return holders, np.where(claimed[tokens], holders, suspects)

    lying[liar].lie = lies
    group = Together(lying, scene.tokens)
    group.rounds()
    gained = len(_benign(scene, lying, liar) - before)
    yield Row(
        f"a liar: {lie}, benign accounts gained",
        scene.size,
        str(gained),
        target="≤ 20",
        met=gained <= 20,
    )
    if lie is Lie.GLUE:
        trusting, corroborated = pairs(scene, group)
        yield Row(
            "a liar: glue, corroborated pairs",
            scene.size,
            str(corroborated),
            f"trusting: {trusting}",
            target="precision ≥ .97",
            met=corroborated.precision >= 0.97,
        )


def drowned(scene: Scene) -> Iterator[Row]:
    """One lab in turn answers that a million of its accounts hold each token, and none of them is a suspect."""
    for at in range(len(LABS)):
        labs = _fresh(scene.labs)
        labs[at].lie = lambda _, holders, suspects: (np.full_like(holders, 2**20), np.zeros_like(suspects))
        group = Together(labs, scene.tokens)
        group.rounds()
        others = [one for one in range(len(LABS)) if one != at]
        found = _quality(
            np.concatenate([labs[one].suspect for one in others]),
            np.concatenate([scene.truth(one) >= 0 for one in others]),
        )
        trusting, corroborated = pairs(scene, group)
        against = f"pairs: trusting {trusting}, corroborated {corroborated}"
        yield Row(f"{LABS[at]} says that nobody is a suspect: the others' suspects", scene.size, str(found), against)


def cpu(scene: Scene, spent: list[tuple[int, float]]) -> Row:
    """Processor time of all labs' rounds, tokens made before, and how it grows from the smallest size on."""
    began = time.process_time()
    done = Together(_fresh(scene.labs), scene.tokens).rounds()
    took = time.process_time() - began
    spent.append((scene.size, took))
    growth = took / spent[0][1] / (scene.size / spent[0][0])
    full = scene.size >= 1_000_000
    return Row(
        f"CPU of {len(done)} rounds of five labs",
        scene.size,
        f"{took:.1f} s",
        f"{spent[0][0]:,}: {spent[0][1]:.2f} s" if len(spent) > 1 else "",
        f"{growth:.2f} x linear" if len(spent) > 1 else "",
        "≤ 60 s; linear" if full else "",
        (took <= 60 and growth <= 1.25) if full else None,
    )


def _fresh(labs: list[Lab]) -> list[Lab]:
    """The same labs before their first round."""
    return with_flags(labs, [one.carries.flagged for one in labs])


def memory(size: str) -> Row:
    """The peak of one lab of so many accounts that loads a file and plays a round, in a process of its own."""
    accounts, _ = SIZES[size]
    code = "from bench.campaign.measure import lab_of; lab_of(int(__import__('sys').argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(accounts)], check=True, capture_output=True, text=True)
    peak, seconds = map(float, done.stdout.split())
    return Row(
        f"memory of one lab, load and rounds ({seconds:.0f} s)",
        accounts,
        f"{peak:,.0f} MB",
        target="≤ 1500" if accounts >= 200_000 else "",
        met=peak <= 1500 if accounts >= 200_000 else None,
    )


def lab_of(accounts: int) -> None:
    """In a process of its own: write one lab's file in another process, then load it and play three rounds."""
    from bench.campaign.keyed import Keyed
    from exchange.lab import reading, rounds
    from exchange.lab.local import LocalGroup
    from exchange.lab.rounds import Settings
    from exchange.lab.state import State

    with tempfile.TemporaryDirectory(prefix="exchange-lab-") as directory:
        place = Path(directory)
        written = "import sys; from bench.campaign.measure import write_one; write_one(int(sys.argv[1]), sys.argv[2])"
        subprocess.run([sys.executable, "-c", written, str(accounts), directory], check=True)
        began = time.monotonic()
        wanted = reading.read_map(place / "map.toml")
        with State(place / "lab.db") as state:
            maker = Keyed()
            state.begin(maker.both(), payment=wanted.payment, scope=wanted.scope)
            for frame in reading.portions(wanted):
                state.add(frame, maker=maker)
            lab = LocalGroup().lab("aster")
            for _ in range(3):
                rounds.play(state, lab, constants=Constants(), settings=Settings())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(peak, time.monotonic() - began)


def write_one(accounts: int, directory: str) -> None:
    """One lab that has all accounts of a story."""
    from exchange.simulate.accounts import files

    story = tell(Told(accounts=accounts, fraudulent=accounts * 5_000 // 205_000, seed=_SEED))
    story.accounts.lab[:] = 0
    frame, _ = files.of_lab(story, 0)
    frame.write_parquet(Path(directory) / "accounts.parquet")
    files.write_map(Path(directory), "accounts.parquet", payment='subkind = "par"')


def pairs(scene: Scene, group: Together) -> tuple[Quality, Quality]:
    """Trusting (clusters), and corroborated (campaigns of that grade)."""
    found = joining.propose(_evidence(scene, group))
    trusting = {name: place.cluster for name, place in found.items() if place.cluster is not None}
    corroborated = {
        name: place.campaign
        for name, place in found.items()
        if place.campaign is not None and place.grade is Grade.CORROBORATED
    }
    return _pairs(scene, trusting), _pairs(scene, corroborated)


def _evidence(scene: Scene, group: Together) -> dict[tuple[int, int], Account]:
    """What the exchange has of all labs, of each account what is pure."""
    said = zip(group.holders.tolist(), group.suspects.tolist(), strict=True)
    counted = [purity.counted_answers(list(zip(*answers, strict=True))) for answers in said]
    row = np.full(scene.tokens, -1, dtype=np.int64)
    row[group.asked] = np.arange(len(group.asked))
    accounts: dict[tuple[int, int], Account] = {}
    for at, lab in enumerate(group.labs):
        assert lab.own is not None
        assert lab.suspect is not None
        carries = lab.carries
        role = [_role(sort) for sort in lab.sorts.tolist()] if lab.sorts is not None else []
        sent = sendable(carries, lab.own, group.constants)
        some = np.flatnonzero(lab.suspect[carries.account] & sent[carries.token])
        held: dict[int, dict[Role, list[object]]] = {}
        for account, token in zip(carries.account[some].tolist(), carries.token[some].tolist(), strict=True):
            everywhere = int(lab.everywhere[token])
            its = row[everywhere]
            subkind = _SORTS[int(lab.sorts[token])].subkind
            if its >= 0 and purity.is_pure(subkind, holders=counted[its][0], suspects=counted[its][1]):
                its_role = role[token]
                held.setdefault(account, {}).setdefault(Role.JOIN if its_role is Role.NET else its_role, []).append(
                    joining.Net(everywhere) if its_role is Role.NET else everywhere
                )
        for account, tokens in held.items():
            accounts[at, account] = Account(
                at,
                tuple(tokens.get(Role.CORE, ())),
                tuple(tokens.get(Role.JOIN, ())),
                tuple(tokens.get(Role.VOTE, ())),
            )
    return accounts


def _role(sort: int) -> Role:
    return purity.role_of(_SORTS[sort].subkind, wide=_SORTS[sort].wide)


def _pairs(scene: Scene, placed: dict[tuple[int, int], object]) -> Quality:
    """Over pairs of accounts of two labs; a benign account belongs to nobody."""
    by_campaign: Counter[object] = Counter()
    both: Counter[object] = Counter()
    lab_campaign: Counter[object] = Counter()
    lab_both: Counter[object] = Counter()
    for (at, account), campaign in placed.items():
        operator = int(scene.truth(at)[account])
        by_campaign[campaign] += 1
        lab_campaign[campaign, at] += 1
        if operator >= 0:
            both[campaign, operator] += 1
            lab_both[campaign, operator, at] += 1
    truth: Counter[object] = Counter()
    lab_truth: Counter[object] = Counter()
    for at in range(len(LABS)):
        for operator, count in Counter(scene.truth(at).tolist()).items():
            if operator >= 0:
                truth[operator] += count
                lab_truth[operator, at] += count
    said = _across(by_campaign, lab_campaign)
    right = _across(both, lab_both)
    wanted = _across(truth, lab_truth)
    return Quality(right / said if said else 1.0, right / wanted)


def _across(whole: Counter[object], by_lab: Counter[object]) -> int:
    return sum(n * (n - 1) // 2 for n in whole.values()) - sum(n * (n - 1) // 2 for n in by_lab.values())


def _played(scene: Scene, labs: list[Lab], tokens: int = 0) -> tuple[Quality, Together]:
    group = Together(labs, tokens or scene.tokens)
    group.rounds()
    return _all(scene, labs), group


def _all(scene: Scene, labs: list[Lab]) -> Quality:
    found = np.concatenate([lab.suspect for lab in labs])
    return _quality(found, np.concatenate([scene.truth(at) >= 0 for at in range(len(LABS))]))


def _benign(scene: Scene, labs: list[Lab], liar: int) -> set[int]:
    """Benign accounts of honest labs that are suspects."""
    return {
        int(number)
        for at, lab in enumerate(labs)
        if at != liar
        for number in scene.numbers[at][lab.suspect & (scene.truth(at) == -1)]
    }


def _quality(found: np.ndarray, true: np.ndarray) -> Quality:
    hits, said, wanted = int((found & true).sum()), int(found.sum()), int(true.sum())
    return Quality(hits / said if said else 1.0, hits / wanted if wanted else 1.0)


def _row(scene: Scene, measure: str, found: Quality, target: tuple[float, float] | None) -> Row:
    said = f"≥ {target[0]:.2f} / {target[1]:.2f}" if target else ""
    return Row(measure, scene.size, str(found), target=said, met=found.reaches(*target) if target else None)
