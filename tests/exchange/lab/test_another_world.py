"""The score holds in a world that is written otherwise than `exchange simulate`: by hand, token by token, no texts."""

import random
from collections import defaultdict

import numpy as np
import pytest

from exchange.lab.scoring import Carries, Group
from exchange.lab.together import Lab, Together

LABS, PEOPLE = 4, 12_000


class World:
    """Two rings of accounts that rent what they use, and people who share households, offices and sayings."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.holds = [defaultdict(set) for _ in range(LABS)]  # account -> (group, is phrase, is domain, name)
        self.ring = [{} for _ in range(LABS)]
        for lab in range(LABS):
            for person in range(PEOPLE):
                self._person(lab, person)
        for ring in range(2):
            for number in range(700):
                self._fake(ring, number)

    def _add(self, lab, account, group, *names, phrase=False, domain=False):
        self.holds[lab][account] |= {(group, phrase, domain, name) for name in names}

    def _person(self, lab, person):
        draw, account = self.chance.random, (lab, person)
        home = self.chance.randrange(PEOPLE // 2)
        self._add(lab, account, Group.PAY, f"card {lab} {home if draw() < 0.6 else person + PEOPLE}")
        self._add(lab, account, Group.DEV, f"device {lab} {home if draw() < 0.2 else person + PEOPLE}")
        office = int(self.chance.paretovariate(0.7)) % 400
        self._add(lab, account, Group.NET, f"office {office}" if draw() < 0.3 else f"street {person % 3_000}")
        if draw() < 0.3:
            self._add(lab, account, Group.MAIL, f"firm {office}", domain=True)
        said = int(self.chance.paretovariate(0.6)) % 5_000
        self._add(lab, account, Group.PROMPT, *(f"saying {said} {place}" for place in range(6)), phrase=True)

    def _fake(self, ring, number):
        draw, lab = self.chance.randrange, self.chance.randrange(LABS)
        account = (lab, f"fake {ring} {number}")
        self.ring[lab][account] = ring
        batch = number // 9
        self._add(lab, account, Group.PAY, f"ring {ring} card {batch}" if draw(10) < 7 else f"fresh {ring} {number}")
        self._add(lab, account, Group.DEV, f"ring {ring} phone {draw(90)}")
        self._add(lab, account, Group.NET, f"ring {ring} rack {draw(40)}" if draw(10) < 8 else f"office {draw(400)}")
        self._add(lab, account, Group.MAIL, f"ring {ring} domain {batch // 6}", domain=True)
        script = draw(7)
        lines = self.chance.sample(range(15), 9)
        self._add(lab, account, Group.PROMPT, *(f"ring {ring} script {script} {one}" for one in lines), phrase=True)

    def labs(self, *, flags, false_flags):
        """Labs with flags on this share of fakes and of people, and who is fake."""
        everywhere, made, truth = {}, [], []
        for lab, held in enumerate(self.holds):
            names = list(held)
            tokens = sorted({token for some in held.values() for token in some})
            number = {token: place for place, token in enumerate(tokens)}
            pairs = [(at, number[token]) for at, name in enumerate(names) for token in sorted(held[name])]
            fake = np.array([name in self.ring[lab] for name in names])
            share = np.where(fake, flags, false_flags)
            carries = Carries(
                account=np.array([at for at, _ in pairs], np.int64),
                token=np.array([token for _, token in pairs], np.int64),
                group=np.array([token[0] for token in tokens], np.int8),
                is_phrase=np.array([token[1] for token in tokens]),
                is_domain=np.array([token[2] for token in tokens]),
                flagged=np.array([self.chance.random() for _ in names]) < share,
            )
            known = [everywhere.setdefault((token[0], token[3]), len(everywhere)) for token in tokens]
            made.append(Lab(carries, np.array(known, np.int64)))
            truth.append(fake)
        return made, len(everywhere), np.concatenate(truth)


def quality(labs, truth):
    found = np.concatenate([lab.suspect for lab in labs])
    right = (found & truth).sum()
    return right / max(1, found.sum()), right / truth.sum()


@pytest.mark.parametrize(("flags", "false_flags"), [(0.3, 0.001), (0.12, 0.0005)])
def test_rings_are_found_and_hardly_anybody_else(flags, false_flags):
    labs, tokens, truth = World(5).labs(flags=flags, false_flags=false_flags)
    group = Together(labs, tokens)
    group.rounds()
    precision, recall = quality(labs, truth)
    assert precision >= 0.97
    assert recall >= 0.9


def test_a_lab_that_flags_nothing_is_warned():
    labs, tokens, _ = World(6).labs(flags=0.3, false_flags=0.001)
    labs[2].carries.flagged[:] = False
    Together(labs, tokens).rounds()
    world = World(6)
    fake = np.array([name in world.ring[2] for name in world.holds[2]])
    precision, recall = quality([labs[2]], fake)
    assert precision >= 0.97
    assert recall >= 0.9
