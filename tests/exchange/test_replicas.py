"""A reader is asked of a replica only where it has what they know; `tests/drills/test_replicas.py` plays two servers."""

from exchange import replicas


def test_of_several_servers_each_is_asked_how_far_it_is(monkeypatch):
    """One address may name several: that the first has replayed a place says nothing of the next one."""
    replayed = iter([100, 50])
    monkeypatch.setattr(replicas.sql, "ask", lambda _: [(next(replayed),)])
    monkeypatch.setattr(replicas, "WAIT_S", -1.0)
    assert (replicas._has(100), replicas._has(100)) == (True, False)
