"""Another server that speaks TAXII: this exchange's own, asked through the one door out as its partner Borealis."""

import pytest

from exchange import clock
from indicators.connections import keeping, running
from indicators.connections.keeping import Wish
from indicators.models import Connection
from indicators.publishing.reach import Reach
from partners.keys import auth
from partners.sharing import groups_named
from tests import build
from tests.indicators.connections.peer import Peer


@pytest.fixture
def cast(db):
    return build.the_cast()


@pytest.fixture
def cygnus(cast):
    """An admin of Cygnus, as whom it connects."""
    return auth.viewer_of_user(build.a_user(cast.cygnus))


@pytest.fixture
def peer(cast, monkeypatch):
    """The server of others: what Borealis may see and write of it."""
    return Peer(cast.keys["borealis"], monkeypatch)


@pytest.fixture
def pulls(cast, cygnus, peer):
    """Make a connection by which Cygnus pulls what the other server has for the ring, into a group of its own."""
    build.a_ring(cast.cygnus, slug="own")
    viewer = auth.viewer_of_user(build.a_user(cast.cygnus))

    def make(**more):
        wish = {
            "name": "ring",
            "kind": Connection.Kind.TAXII,
            "direction": Connection.Direction.PULL,
            "url": peer.collection(cast.ring.collection_id),
            "credential": peer.authorization,
            "reach": Reach(groups=tuple(groups_named(viewer, ["own"]))),
        } | more
        return keeping.connect(viewer, Wish(**wish))

    return make


@pytest.fixture
def run():
    """Run a connection now; returns it as it is then."""

    def go(one: Connection) -> Connection:
        Connection.unrestricted.filter(pk=one.pk).update(due_at="2020-01-01T00:00:00Z")
        assert running.run_next()
        return Connection.unrestricted.get(pk=one.pk)

    return go


@pytest.fixture
def passes(monkeypatch):
    """Let so much time pass, added to what passed before; until then time stands still."""
    moments = [clock.now()]

    def go(time):
        moments.append(moments[-1] + time)

    monkeypatch.setattr(clock, "now", lambda: moments[-1])
    return go
