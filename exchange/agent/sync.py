"""One pass: fetch what changed, apply it, put the list in its place. Safe to interrupt anywhere and to repeat."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exchange.agent import acknowledging, bounds, hook, output, stating
from exchange.agent import policy as policies
from exchange.agent.counting import summed
from exchange.agent.damage import Damaged, alone_in
from exchange.agent.jobs import (
    _LOST_CURSOR,
    Differs,
    Job,
    Pass,
    _now,
    forget,
    is_stale,
    note_clock,
    note_lag,
    now,
    open_store,
)
from exchange.agent.policy import Action, Verdict
from exchange.agent.store import Store
from exchange.client.api import Client, Making
from exchange.client.errors import ApiError, ExchangeClientError, Unreachable, Unusable
from exchange.lists.lines import Said

#: How often one pass begins again before it gives up.
_MOST_BEGINNINGS = 3
_NOT_FOUND = 404
#: How long a beginner waits for a snapshot that is being made; then it reads the delta from the beginning.
_MAKING_S = 60.0
#: How long an exchange that has no delta is asked for its log instead.
_ASK_AGAIN = timedelta(hours=1)
#: After so many seconds what came is put to use, though more is there.
_LONGEST_PULL_S = 3.0
_WRITING = threading.Lock()


def run_once(client: Client, job: Job, *, wait_s: int = 0, rehearse: bool = False) -> Pass:
    """Bring the list up to date. Raises ApiError, Unreachable; then the list holds what was known, ended by its end.

    A cursor that the exchange does not take (another key, another filter, a store that was restored) is no reason to
    have no list: the store is filled from the beginning beside the old entries, and the fill then takes their place.
    Changes that the log tells are applied whatever their number; what is merely missing after such a fill passes the
    brake (`Store.switch`).
    """
    if rehearse:
        with _copy(job) as copied:
            return _pass(client, copied, wait_s=wait_s, rehearse=True)
    return _pass(client, job, wait_s=wait_s)


def _pass(client: Client, job: Job, *, wait_s: int, rehearse: bool = False) -> Pass:
    store = open_store(job)
    try:
        if job.allow_shrink:
            store.release()
        try:
            changes, started_over = follow(client, job, store, wait_s=wait_s)
        except ExchangeClientError:
            if not rehearse:
                put(job, store)
            raise
        except Damaged:
            store.close()
            with alone_in(job.state_dir):
                forget(job.store_path)
            store = open_store(job)
            changes, started_over = follow(client, job, store, wait_s=0)
        return put(job, store, changes=changes, rehearse=rehearse, started_over=started_over)
    finally:
        store.close()


def put(job: Job, store: Store, *, changes: int = 0, rehearse: bool = False, started_over: bool = False) -> Pass:
    """Write the list as it is at this moment by what the store knows; the exchange is not asked.

    A store that was never filled has no list: the file then stays as it is.
    """
    if not store.get("name"):
        return Pass(changes, 0, written=False)
    with _WRITING:  # from reading to writing, so that no thread puts an older list in the place of a newer one
        place = acknowledging.applied(job, store)  # what is read after this is that, or newer
        counted: Counter[Verdict] = Counter()
        rendered = output.render(wanted(job, store, counted=counted), form=job.form)
        written = not rehearse and not output.holds(job.path, rendered.content)
        if written:
            if job.hook:
                hook.owe(store)
            output.replace(job.path, rendered.content)
        if not rehearse:
            acknowledging.note_listed(job, store, place)
            counts = summed(counted, acts={Action.BLOCK})  # a list holds nothing that is to be challenged
            acknowledging.note_counts(store, counts if counted else {**counts, "blocked": rendered.entries})
    if not rehearse:
        store.note("entries", str(rendered.entries))
        without = sorted(job.policy.without_floors) if not job.policy_file else []
        settings = [job.form, job.min_confidence, job.hook, job.kind, job.policy_file, without]
        store.note("settings", json.dumps(settings))
    return Pass(
        changes,
        rendered.entries,
        written,
        started_over=started_over,
        refused=rendered.refused,
        held=(store.proof() or (0, ""))[0],
        braked=tuple(store.braked()),
    )


def wanted(
    job: Job,
    store: Store,
    *,
    shadow: bool = False,
    killed: frozenset[str] | None = None,
    counted: Counter[Verdict] | None = None,
) -> Iterator[Said]:
    """What the list is to hold at this moment; with `shadow`, what it would hold if the policy were enforced.

    With `killed`, if these were switched off and no others. `counted` is told the values by verdict, where anything is
    judged.
    """
    killed = store.killed() if killed is None else killed
    if "*" in killed:
        return iter(())
    if job.policy is policies.UNJUDGED and not killed:
        return store.said(now=now(store), min_confidence=job.min_confidence, kind=job.kind)
    said = store.statements(now=now(store), min_confidence=job.min_confidence, kind=job.kind)
    return policies.listed(said, job.policy.when(old=is_stale(store)), killed=killed, shadow=shadow, counted=counted)


def stated(client: Client, job: Job, store: Store) -> tuple[int, str] | None:
    """The exchange's set hash at the store's place, where nothing is new there. Raises Unusable where something is."""
    if store.get("name") != job.proved_name:
        raise Unusable("This list follows the log of an older exchange, which states no set hash.")
    page = client.delta(store.get("cursor"), feed=job.feed or "all", limit=job.page)
    if page.rows:
        raise Unusable(f"{len(page.rows)} changes or more are not applied yet: let the agent run, and verify then.")
    trailer = page.trailer
    if trailer.set_count is None or trailer.set_hash is None:
        return None
    return trailer.set_count, trailer.set_hash


def fetched(client: Client, job: Job) -> set[tuple[str, str, str, str]]:
    """The whole feed as the exchange tells it to a beginner: publisher, id, SHA-256, end of each object."""
    with TemporaryDirectory(prefix="exchange-agent-") as directory:
        store = Store(Path(directory) / "fetched.sqlite")
        _start_over(_pull_proved, job.proved_name, client, replace(job, allow_shrink=True), store)
        found = set(store.held())
        store.close()
    return found


def follow(client: Client, job: Job, store: Store, *, wait_s: int) -> tuple[int, bool]:
    """How many changes were applied, and whether it was from the beginning."""
    if store.get("no delta until") < _now().isoformat():
        try:
            return _follow_by(_pull_proved, job.proved_name, client, job, store, wait_s=wait_s)
        except ApiError as error:
            if error.status != _NOT_FOUND or store.get("name") == job.proved_name:
                raise
    done = _follow_by(_pull, job.name, client, job, store, wait_s=wait_s)
    if store.get("no delta until") < _now().isoformat():
        store.put("no delta until", (_now() + _ASK_AGAIN).isoformat())
    return done


def _follow_by(
    pull: Callable[..., int], name: str, client: Client, job: Job, store: Store, *, wait_s: int
) -> tuple[int, bool]:
    if store.get("name") == name:
        try:
            return pull(client, job, store, wait_s=wait_s), False
        except Differs:
            pass
        except ApiError as error:
            if error.code not in _LOST_CURSOR:
                raise
    return _start_over(pull, name, client, job, store), True


def _pull(client: Client, job: Job, store: Store, *, wait_s: int = 0, fresh: bool = False) -> int:
    """Fetch and apply to the end of the log; only the first request waits for something new."""
    total, pull = 0, bounds.Pull()
    while True:
        cursor = store.get("fresh cursor" if fresh else "cursor")
        stretch = client.changes(cursor, limit=job.page, wait_s=wait_s, feed=job.feed or "all", kind=job.kind)
        total += store.apply(stretch["changes"], cursor=stretch["cursor"], fresh=fresh)
        if fresh and stretch["more"]:
            _tell_filling(job, store, f"{total:,} changes read")
        if not fresh and stretch["changes"]:
            note_lag(store, stretch["changes"])
        wait_s = 0
        if not stretch["more"]:
            return total
        pull.goes_on(len(stretch["changes"]), sent=cursor, came=stretch["cursor"])


def _pull_proved(client: Client, job: Job, store: Store, *, wait_s: int = 0, fresh: bool = False) -> int:
    """The same by the delta, and compare the set hash at its end. Raises Differs where it is another.

    Whoever waits for news is given what came after a while, also where more is there: a removal of the first page is in
    force before the last page came.
    """
    total, until, is_whole = 0, math.inf, fresh or not wait_s
    standing = "fresh standing" if fresh else "standing"
    pull, filled = bounds.Pull(), store.filled() if fresh else 0
    while True:
        cursor = store.get("fresh cursor" if fresh else "cursor")
        page = client.delta(
            cursor, feed=job.feed or "all", limit=job.page, wait_s=wait_s, on_headers=partial(note_clock, store)
        )
        trailer = page.trailer
        store.note(standing, stating.meanwhile(store.get(standing), trailer.standing))
        total += store.apply(page.rows, cursor=trailer.next_cursor, fresh=fresh, key=trailer.set_key)
        if page.skipped:
            store.put("skipped", str(int(store.get("skipped") or 0) + page.skipped))
        if not fresh and page.rows:
            note_lag(store, page.rows)
        wait_s = 0
        pull.holds((store.proof(fresh=fresh) or (filled + total, ""))[0])
        if trailer.more:
            if fresh:
                _tell_filling(job, store, f"{total:,} changes read")
            until = min(until, time.monotonic() + _LONGEST_PULL_S)  # from the first answer, which may have waited
            if not is_whole and time.monotonic() >= until:
                return total
            pull.goes_on(len(page.rows) + page.skipped, sent=cursor, came=trailer.next_cursor)
            continue
        store.note("min wait", str(trailer.min_wait_s))
        store.note("stale after", str(trailer.stale_after_s))
        if trailer.set_hash is not None:
            if store.proof(fresh=fresh) != (trailer.set_count, trailer.set_hash):
                store.put("differed", str(int(store.get("differed") or 0) + 1))
                raise Differs("what is held is not what the exchange says is in force")
            store.put("verified", _now().isoformat())
        store.note(standing, stating.worst(trailer.standing))
        return total


def _start_over(pull: Callable[..., int], name: str, client: Client, job: Job, store: Store) -> int:
    """Fill from the beginning, or go on with a fill that was interrupted, and switch."""
    if store.get("fresh name") != name:
        store.forget_fresh()
        store.put("fresh name", name)
    if pull is _pull_proved and not store.get("fresh cursor"):
        _from_snapshot(client, job, store)
    for beginning in range(1, _MOST_BEGINNINGS + 1):
        try:
            changes = pull(client, job, store, fresh=True)
            break
        except bounds.Unending:
            store.forget_fresh()
            raise
        except Differs as error:
            store.forget_fresh()
            if beginning == _MOST_BEGINNINGS:
                raise Unreachable(f"The exchange contradicts itself: {error}.") from error
        except ApiError as error:
            if error.code not in _LOST_CURSOR or beginning == _MOST_BEGINNINGS:
                raise
            store.forget_fresh()
    store.switch(name=name, now=now(store), limits=job.limits, from_list=_of_list(job, store))
    store.put("fills", str(int(store.get("fills") or 0) + 1))
    store.note("filling", "")
    return changes


def _tell_filling(job: Job, store: Store, words: str) -> None:
    """Say how far it is, to `status` and now and then to whoever watches: to fill a large list takes a while."""
    store.note("filling", words)
    job.progress(words)


def _from_snapshot(client: Client, job: Job, store: Store) -> None:
    """Begin with the feed's file, if there is one soon and it is whole; the delta goes on from there, or begins."""
    until = time.monotonic() + _MAKING_S
    rows: list[Mapping[str, Any]] = []

    def take(row: Mapping[str, Any]) -> None:
        rows.append(row)
        if len(rows) >= job.page:
            store.apply(rows, cursor="", fresh=True)
            rows.clear()

    def tell(done: int, whole: int) -> None:
        if (percent := 100 * done // whole if whole else 0) != told[0]:
            told[0] = percent
            _tell_filling(job, store, f"{percent} % of the feed's file read")

    told = [-1]
    while True:
        try:
            page = client.snapshot(job.feed or "all", on_row=take, on_bytes=tell)
        except Making as making:
            if time.monotonic() + making.wait_s > until:
                return
            _tell_filling(job, store, "the exchange makes the feed's file")
            time.sleep(making.wait_s)
            continue
        except (ApiError, Unreachable):
            store.forget_fresh()
            return
        break
    if page is not None:
        trailer = page.trailer
        store.apply(rows, cursor=trailer.next_cursor, fresh=True, key=trailer.set_key)
        if trailer.set_hash is not None and store.proof(fresh=True) != (trailer.set_count, trailer.set_hash):
            store.forget_fresh()


def _of_list(job: Job, store: Store) -> Iterable[Said]:
    """What the list holds, where the store that knew it was lost: it stood there, so it was sure enough."""
    if store.get("name"):
        return ()
    least = job.min_confidence or None
    listed = output.read(job.path, form=job.form)
    return (one._replace(confidence=one.confidence or least, kind=one.kind or job.kind) for one in listed)


@contextmanager
def _copy(job: Job) -> Iterator[Job]:
    """The same job with a copy of its store, which may be altered."""
    with TemporaryDirectory(prefix="exchange-agent-") as directory:
        copied = replace(job, state_dir=Path(directory))
        if job.store_path.exists():
            store = open_store(job)
            store.copy_to(copied.store_path)
            store.close()
        yield copied
