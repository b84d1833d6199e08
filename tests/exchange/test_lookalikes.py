"""Names that the eye reads alike fold to one form; others do not."""

import pytest

from exchange.lookalikes import fold


@pytest.mark.parametrize(
    "written",
    [
        "ASTER LABS",
        "aster-labs",
        "A.s.t.e.r  L.a.b.s",
        "Ａｓｔｅｒ Ｌａｂｓ",
        "Аѕtеr Lаbs",
        "As\u200bter\u2060 Labs",
        "𝐀𝐬𝐭𝐞𝐫 Labs",
        "Aster\u202e Labs",
    ],
)
def test_what_looks_like_a_name_folds_to_it(written):
    assert fold(written) == fold("Aster Labs")


@pytest.mark.parametrize(("one", "other"), [("Alpha AI", "AIpha Al"), ("Zero 0ne", "Zero One"), ("Bill", "Bi11")])
def test_letters_that_only_their_case_sets_apart_are_one(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize("other", ["Aster Lab", "Astra Labs", "", "---", "Labs Aster"])
def test_other_names_are_others(other):
    assert fold(other) != fold("Aster Labs")
