"""What is raced a few times by `make test`, some times more, and many by `make long`: whoever comes first differs each time."""

import pytest

from tests.drilling import runs
from tests.indicators.log import test_changes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("run", runs(16, quick=4))
def test_cursor_readers_lose_nothing_under_concurrent_writers(run):
    test_changes.race()
