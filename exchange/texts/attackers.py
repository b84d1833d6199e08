"""What a text says of attackers: their prices and their counts are facts, not what a lab charges or serves. Pure.

English alone, sentence by sentence, in linear time. A sentence in which a lab speaks of itself (`we`, `our`), or that
prices what labs sell (tokens, seats, calls of an API), is left as it is: nobody but its writer knows whose figure
that is.
"""

from __future__ import annotations

import re

import re2

_SENTENCE = re.compile(r"[^.!?\n\u3002]+(?:[.!?\u3002](?=\S)[^.!?\n\u3002]*)*")
#: Who reports a judgement speaks of others: "we assess with high confidence that they charge $300".
_FRAME = re2.compile(
    r"(?i)\bwe (?:assess|believe|judge|note|estimate|suspect)(?: with [a-z]+(?: to [a-z]+)? confidence)? that\b"
)
_SELVES = re2.compile(
    r"(?i)\b(?:we|our|ours|us|let'?s|labs?|members?|partners?|my|mine|i)\b"
    r"|\b(?:per|a|an|each|every|/) ?(?:million |1m |1k |thousand |[0-9,]+ |output |input )*"
    r"(?:tokens?|seats?|requests?|prompts?|api calls?|gpus?)\b"
    r"|\b(?:tokens?|seats?|api|gpus?|h100s?|inference|list price|rate card"
    r"|(?:team|pro|enterprise|business) (?:plan|tier))\b"
)
_MARKET = re2.compile(
    r"(?i)\b(?:dark ?(?:web|net)|under ?ground|black market|(?:criminal|crime|cyber ?crime|hacking|hacker|carding) "
    r"(?:forums?|markets?|marketplaces?|shops?)|forums?|marketplaces?|cyber ?criminals?|fraudsters?|malware"
    r"|ransomware|(?:info)?stealers?|botnets?|crypters?|loaders?|trojans?|rootkits?|spyware|exploit kits?"
    r"|phishing kits?|phishing[ -]as[ -]a[ -]service|malware[ -]as[ -]a[ -]service|ddos|booters?|stressers?"
    r"|zero[ -]days?|bulletproof|threat actors?|affiliates?|stolen|hijacked|hacked|cracked)\b"
)
_SUM = re2.compile(
    r"(?i)(?:[$€£¥] ?[0-9][0-9.,]*(?: ?(?:k|m|million))?|\b[0-9][0-9.,]* ?(?:usd|eur|gbp|dollars?|euros?|cents?"
    r"|percent)\b|\b[0-9.]+ ?%)"
)
_ATTACKERS = re2.compile(
    r"(?i)\b(?:threat )?(?:actors?|attackers?|adversar(?:y|ies)|intruders?|hackers?|gangs?|botnets?|worms?|malware"
    r"|ransomware|stealers?|trojans?|breach(?:es)?|leaks?)\b"
)
_COUNT = r"[0-9]{1,3}(?:[, ][0-9]{3})+|[0-9]+(?: (?:thousand|million|billion))?"
_IN_ALL = re2.compile(rf"(?i)\b(?:exactly|in total|a total of|precisely) (?:{_COUNT})\b")
#: Counts of what is no lab's, whoever counts: servers of attackers, and accounts of other services.
_ELSEWHERE = re2.compile(
    rf"(?i)\b(?:{_COUNT}) (?:(?:[a-z-]+ )?(?:c2|c&c|command[ -]and[ -]control|malicious|phishing|attacker-controlled"
    r"|actor-controlled|rogue) (?:[a-z-]+ )?servers?\b"
    r"|(?:[a-z-]+ ){0,3}accounts (?:on|at|across) (?:facebook|instagram|x|twitter|telegram|tiktok|youtube|reddit"
    r"|linkedin|github|gitlab|discord|whatsapp|vk|weibo|mastodon|bluesky|pinterest|medium|quora)\b)"
)


def left_out(text: str) -> str:
    """The folded text without the figures that are attackers' own; what is left is read for what labs say."""
    if not any(map(str.isdigit, text)):
        return text
    return _SENTENCE.sub(lambda found: _of_labs(found[0]), _ELSEWHERE.sub("x", text))


def _of_labs(sentence: str) -> str:
    if _SELVES.search(_FRAME.sub("", sentence)) is not None:
        return sentence
    if _MARKET.search(sentence) is not None:
        sentence = _SUM.sub("x", sentence)
    return _IN_ALL.sub("x", sentence) if _ATTACKERS.search(sentence) is not None else sentence
