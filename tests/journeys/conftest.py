"""Which journeys are made at a desk, and which on a phone, before a change lands; the other look is for a release alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drilling import LOOKS, look

HERE = Path(__file__).parent
DESK, PHONE = LOOKS
#: What a width or a theme can break, on a phone or on both. Any other journey makes the same requests by the same script
#: on a phone.
ON_A_PHONE = {"test_all_text_has_the_contrast_that_it_needs", "test_no_page_is_wider_than_its_window"}
ON_BOTH = {"test_axe_finds_nothing_on_the_pages_of_the_day"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent != HERE or item.originalname in ON_BOTH:
            continue
        if look(item.nodeid) == (DESK if item.originalname in ON_A_PHONE else PHONE):
            item.add_marker(pytest.mark.long)
