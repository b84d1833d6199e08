"""What is raced a few times by `make test`, many times more: whoever comes first differs each time."""

import pytest

from tests.indicators.log import test_changes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("run", range(16))
def test_cursor_readers_lose_nothing_under_concurrent_writers(run):
    test_changes.race()
