"""The cast, each with a key."""

import pytest

from tests import build
from tests.indicators.api.caller import Caller


@pytest.fixture
def cast(db):
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(cast.keys["aster"])


@pytest.fixture
def borealis(cast):
    return Caller(cast.keys["borealis"])


@pytest.fixture
def cygnus(cast):
    return Caller(cast.keys["cygnus"])


@pytest.fixture
def dorado(cast):
    return Caller(cast.keys["dorado"])
