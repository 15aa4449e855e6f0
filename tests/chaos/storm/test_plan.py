"""A seed says everything about its episode."""

from tests.chaos.storm.plan import KINDS, draw, possible

EVERYTHING = possible(postgresql=True, small_disk=True, engine=True)


def test_a_seed_repeats_its_plan_and_another_has_its_own() -> None:
    plans = [draw(seed, EVERYTHING) for seed in range(50)]
    assert plans == [draw(seed, EVERYTHING) for seed in range(50)]
    assert len({plan.strikes for plan in plans}) == 50


def test_a_hundred_seeds_meet_every_fault_on_both_databases() -> None:
    sqlite = possible(postgresql=False, small_disk=True, engine=True)
    met_even = {s.kind for seed in range(0, 100, 2) for s in draw(seed, sqlite).strikes}
    met_odd = {s.kind for seed in range(1, 100, 2) for s in draw(seed, EVERYTHING).strikes}
    assert met_even == set(sqlite)
    assert met_odd == set(KINDS)


def test_two_to_four_faults_strike_while_one_or_two_batches_are_worked_on() -> None:
    for seed in range(200):
        plan = draw(seed, EVERYTHING)
        assert 2 <= len(plan.strikes) <= 4
        assert len({strike.kind for strike in plan.strikes}) == len(plan.strikes)
        assert 1 <= len(plan.landings) <= 2


def test_a_fault_is_only_drawn_where_it_can_strike() -> None:
    bare = possible(postgresql=False, small_disk=False, engine=False)
    assert not {"disk full", "engine restarted", "ledger connections ended"} & set(bare)
    assert all(draw(seed, bare).runtime == "process" for seed in range(50))
    docker = [draw(seed, EVERYTHING) for seed in range(200)]
    assert {plan.runtime for plan in docker} == {"docker", "process"}
