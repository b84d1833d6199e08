"""The score as the documentation has it, one account and one token after the other, in plain Python."""

from __future__ import annotations

import math


def logit(p):
    return math.log(p / (1 - p))


BASE = logit(0.02)
GROUPS = ("PAY", "DEV", "MAIL", "NET", "PROMPT")


def verdicts(holds, kinds, flagged, suspects, sums, asked):
    """`holds`: account → set of tokens; `kinds`: token → (group, is a phrase); `suspects` None in the first round.

    `sums`: token → (holders, suspects, holders_less, suspects_less). → account → (total, without, suspect).
    """

    def counts_as(account):
        if suspects is None:
            return 0.94 if account in flagged else 0.0
        return 1.0 if account in suspects else 0.3 if account in flagged else 0.0

    n = len(holds)
    all_suspects = max(1.0, sum(counts_as(one) for one in holds))

    def weight_of(token, account, less):
        others = [one for one in holds if one != account and token in holds[one]]
        told = sums.get(token, (0, 0, 0, 0))
        told_h, told_s = (told[2], told[3]) if less else (told[0], told[1])
        s = sum(counts_as(one) for one in others) + 1.41 * told_s
        h = max(len(others) + 1.41 * told_h, s)
        p = min(max((s + 0.04) / (h + 2), 1e-4), 0.995)
        purity = logit(p) - BASE
        lift = math.log((s + 0.5) / (all_suspects + 1)) - math.log((max(h - s, 0) + 1) / (n - all_suspects))
        weight = max(purity, lift)
        return min(weight, 1.0) if s < 1.88 - 1e-9 else weight

    def counts(token):
        held = sum(token in holds[one] for one in holds) + 1.41 * sums.get(token, (0,))[0]
        return token in asked and (kinds[token][0] == "PAY" or not held > max(0.02 * n, 50))

    def groups(account, less):
        found = {}
        for group in GROUPS:
            mine = [token for token in holds[account] if counts(token) and kinds[token][0] == group]
            candidates = [weight_of(token, account, less) for token in mine if not kinds[token][1]]
            phrases = sorted((weight_of(token, account, less) for token in mine if kinds[token][1]), reverse=True)
            positive = [one for one in phrases if one > 0]
            if len(positive) >= 4:
                candidates.append(positive[3])
            if candidates:
                found[group] = min(max(max(candidates), -1.0), 4.5 if group == "NET" else 5.0)
            else:
                found[group] = 0.0
        return found

    answer = {}
    for account in holds:
        flag = account in flagged
        begin = BASE + (6.3 if flag else 0.0)
        every, less = groups(account, False), groups(account, True)
        total, without = begin + sum(every.values()), begin + sum(less.values())
        strong = sum(one >= 2.5 for one in every.values())
        said = any(one > 0 for group, one in every.items() if group != "PROMPT")
        agreed = strong >= 2 or (strong >= 1 and flag and said)
        answer[account] = (total, without, total >= 5 and agreed and without >= 3)
    return answer
