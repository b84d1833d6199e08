"""Which journeys are made on a phone at each change, and which before a release alone."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: What a width or a theme can break. Any other journey makes the same requests by the same script on a phone: its second
#: look is `long`.
ON_A_PHONE = {
    "test_all_text_has_the_contrast_that_it_needs",
    "test_axe_finds_nothing_on_the_pages_of_the_day",
    "test_keys_walk_the_picture_and_its_twin_together",
    "test_no_page_is_wider_than_its_window",
    "test_the_keyboard_reaches_everything_in_order",
    "test_the_side_bar_says_how_much_asks",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE and "[narrow-dark" in item.name and item.originalname not in ON_A_PHONE:
            item.add_marker(pytest.mark.long)
