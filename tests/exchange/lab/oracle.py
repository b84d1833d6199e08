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
    everybody = sum(counts_as(one) for one in holds)
    all_suspects = max(1.0, everybody)

    def weight_of(token, account, told):
        others = [one for one in holds if one != account and token in holds[one]]
        s = sum(counts_as(one) for one in others) + 1.41 * told[1]
        h = max(len(others) + 1.41 * told[0], s)
        p = min(max((s + 0.04) / (h + 2), 1e-4), 0.995)
        purity = logit(p) - BASE
        rest = max(1.0, everybody - counts_as(account))
        lift = math.log((s + 0.5) / (rest + 1)) - math.log((max(h - s, 0) + 1) / (n - rest))
        weight = max(purity, lift)
        return min(weight, 1.0) if s < 1.88 - 1e-9 else weight

    def counts(token, told):
        held = sum(token in holds[one] for one in holds) + 1.41 * told[0]
        return kinds[token][0] == "PAY" or not held > max(0.02 * n, 50)

    def is_sent(token):
        held = [one for one in holds if token in holds[one]]
        found = sum(counts_as(one) for one in held)
        share = found / max(len(held), 1)
        return found >= 1.87 and (share >= 0.1 or share >= 20 * all_suspects / n)

    def groups(account, tokens, told):
        found = {}
        for group in GROUPS:
            mine = [one for one in holds[account] if one in tokens and kinds[one][0] == group]
            candidates = [weight_of(one, account, told(one)) for one in mine if not kinds[one][1]]
            phrases = sorted((weight_of(one, account, told(one)) for one in mine if kinds[one][1]), reverse=True)
            positive = [one for one in phrases if one > 0]
            if len(positive) >= 4:
                candidates.append(positive[3])
            if candidates:
                found[group] = min(max(max(candidates), -1.0), 4.5 if group == "NET" else 5.0)
            else:
                found[group] = 0.0
        return found

    def agreed(found, flag):
        strong = {group for group, one in found.items() if one >= 2.5}
        speaks = {group for group, one in found.items() if one > 0}
        if len(strong) >= 2 and (strong != {"MAIL", "NET"} or speaks - {"MAIL", "NET"}):
            return True
        return bool(strong and flag and speaks - {"PROMPT"})

    def all_told(token):
        return sums.get(token, (0, 0, 0, 0))[:2]

    def less_told(token):
        return sums.get(token, (0, 0, 0, 0))[2:]

    def none_told(token):
        return (0, 0)

    by_all = {token for token in asked if counts(token, all_told(token))}
    by_own = {token for token in range(len(kinds)) if is_sent(token) and counts(token, (0, 0))}
    answer = {}
    for account in holds:
        flag = account in flagged
        begin = BASE + (6.3 if flag else 0.0)
        every, less = groups(account, by_all, all_told), groups(account, by_all, less_told)
        total, without = begin + sum(every.values()), begin + sum(less.values())
        suspect = total >= 5 and agreed(every, flag) and without >= 3
        alone = groups(account, by_own, none_told)
        own_total = begin + sum(alone.values())
        if not suspect and own_total >= 5 and agreed(alone, flag):
            total, without, suspect = own_total, own_total, True
        answer[account] = (total, without, suspect)
    return answer
