"""The cast, each with a key that speaks TAXII."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import build
from tests.indicators.taxii.cast import Caller


@pytest.fixture
def cast(db):
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(cast.aster, cast.keys["aster"])


@pytest.fixture
def borealis(cast):
    return Caller(cast.borealis, cast.keys["borealis"])


@pytest.fixture
def cygnus(cast):
    return Caller(cast.cygnus, cast.keys["cygnus"])


@pytest.fixture
def dorado(cast):
    return Caller(cast.dorado, cast.keys["dorado"])


@pytest.fixture
def count_queries(db):
    """How many queries a call makes."""

    def count(call):
        with CaptureQueriesContext(connection) as captured:
            call()
        return len(captured)

    return count
