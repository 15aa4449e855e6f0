"""A seed says everything about its episode, and a round of seeds leaves nothing out."""

from tests.chaos.releases.plan import FAULTS, MOMENTS, ROUND, STRATEGIES, draw


def test_a_seed_repeats_its_plan() -> None:
    assert [draw(seed) for seed in range(200)] == [draw(seed) for seed in range(200)]
    assert len({draw(seed).delay_s for seed in range(200)}) > 100


def test_a_round_meets_every_fault_at_every_moment_under_every_strategy_once() -> None:
    for first in (0, 5):
        met = [draw(seed) for seed in range(first, first + ROUND)]
        assert len({(p.strategy, p.fault, p.moment) for p in met}) == ROUND
    assert len(STRATEGIES) * len(FAULTS) * len(MOMENTS) == ROUND


def test_any_four_in_a_row_have_a_strategy_and_a_fault_of_their_own() -> None:
    for first in range(0, 200, len(STRATEGIES)):
        four = [draw(seed) for seed in range(first, first + len(STRATEGIES))]
        assert {plan.strategy for plan in four} == set(STRATEGIES)
        assert len({plan.fault for plan in four}) == len(four)
