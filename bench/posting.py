"""The limit of telling: a bare loop that posts signed bodies by the exchange's own way out, and does nothing else.

`python -m bench.posting COUNT URL`, with the settings of the exchange; prints how many, how long, and the processor's
time, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from queue import SimpleQueue

import django

_AT_A_TIME = 64


def main() -> None:
    count, url = int(sys.argv[1]), sys.argv[2]
    django.setup()
    from exchange import outbound, signing, stepping

    secret, moment = signing.new_secret(), datetime.now(tz=UTC)
    change = {"op": "upsert", "reason": "published", "id": f"indicator--{'0' * 36}", "type": "indicator"}
    body = json.dumps({"type": "objects.changed", "data": {"changes": [change], "link": "x" * 300}}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "Exchange-Webhook/1"}

    def posting(number: int) -> stepping.Steps[outbound.Reply]:
        signed = signing.headers(secrets=[secret], message_id=f"msg_{number}", at=moment, body=body)
        return outbound.posting(url, body, headers={**headers, **signed}, timeout_s=60, max_bytes=16_384)

    answers: list[int] = []
    ended = SimpleQueue[list[stepping.Ended]]()
    with stepping.Many("posting", tell=ended.put) as posts:
        spent, began = time.process_time(), time.perf_counter()
        for number in range(count):
            posts.begin(number, posting(number))
            while number + 1 - len(answers) >= _AT_A_TIME:
                answers += [reply.status for _, reply in ended.get()]
        while len(answers) < count:
            answers += [reply.status for _, reply in ended.get()]
        took, spent = time.perf_counter() - began, time.process_time() - spent
    assert set(answers) == {204}
    print(json.dumps({"posted": count, "took_s": took, "processor_s": spent}))


if __name__ == "__main__":
    main()
