"""Rows that were tampered with in one way, and what is learned from them."""

import pytest

from tests.sabotage.saboteurs import SABOTEURS, untouched
from tests.sabotage.verdicts import assert_kept_out, assert_only_its_gate_stands_in_its_way

BAD_ROWS = [saboteur for saboteur in SABOTEURS if saboteur.tamper is not untouched]


@pytest.mark.parametrize("saboteur", BAD_ROWS, ids=lambda one: one.name)
def test_what_learned_from_bad_rows_is_stopped_by_the_gate_for_it_and_by_no_other(saboteur, tried):
    trial = tried(saboteur)
    assert_kept_out(saboteur, trial)
    assert_only_its_gate_stands_in_its_way(saboteur, trial)
