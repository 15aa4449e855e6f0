from __future__ import annotations

import os
import random
import signal
import time
from datetime import UTC, datetime

import pytest

from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.contracts import TrialBudget
from include.evergreen.errors import LeaseLost, LedgerConflict
from tests.unit.adapters.ledger.facts import BUDGET, NOW, after
from tests.unit.adapters.ledger.processes import run_at_once

STUDY = "bike_demand-key1"


@pytest.fixture
def study(ledger):
    ledger.open_study(STUDY, BUDGET, NOW, run="run 1")
    return ledger


def _states(ledger) -> list[str]:
    return [ticket.state for ticket in ledger.tickets(STUDY)]


def test_the_first_caller_fixes_deadline_and_budget(study):
    more = TrialBudget(trials=50, seconds=600, workers=2)
    assert study.open_study(STUDY, more, after(30), run="run 1") == after(60)
    assert study.open_study(STUDY, more, after(90), run="run 1") == after(60)
    assert len(study.tickets(STUDY)) == 5


def test_a_later_run_that_finds_the_time_over_gets_it_anew_once(study):
    assert study.open_study(STUDY, BUDGET, after(30), run="run 2") == after(60)
    assert study.open_study(STUDY, BUDGET, after(90), run="run 2") == after(150)
    assert study.open_study(STUDY, BUDGET, after(300), run="run 2") == after(150)
    assert study.take_ticket(STUDY, "w", after(149)) == 0


def test_tickets_are_handed_out_once_and_no_more_than_the_budget(study):
    assert [study.take_ticket(STUDY, "w", NOW) for _ in range(7)] == [0, 1, 2, 3, 4, None, None]


@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_there_is_no_ticket_after_the_deadline_once_a_trial_has_ended(study, state):
    assert study.take_ticket(STUDY, "w", after(59.9)) == 0
    study.finish_ticket(STUDY, 0, "w", state)
    assert study.take_ticket(STUDY, "w", after(60)) is None


def test_a_search_whose_workers_were_dead_until_the_deadline_still_tries_one(study):
    assert study.take_ticket(STUDY, "dead", NOW, lease_s=10) == 0
    assert study.take_ticket(STUDY, "alive", after(100)) == 0
    study.finish_ticket(STUDY, 0, "alive", "complete")
    assert study.take_ticket(STUDY, "alive", after(101)) is None


def test_a_ticket_whose_lease_ran_out_is_handed_out_again(study):
    for _ in range(5):
        study.take_ticket(STUDY, "dead", NOW, lease_s=10)
    assert study.take_ticket(STUDY, "alive", after(9)) is None
    assert study.take_ticket(STUDY, "alive", after(10)) == 0


def test_what_a_dead_worker_spent_and_told_nobody_of_is_handed_out_again(study):
    for trial in (0, 1):
        study.take_ticket(STUDY, "dead", NOW)
        study.bind_trial(STUDY, trial, "dead", trial)
        study.finish_ticket(STUDY, trial, "dead", "complete")
    study.take_ticket(STUDY, "alive", NOW)
    assert study.release_tickets(STUDY, "dead", untold=[1, 2]) == 1
    assert _states(study)[:3] == ["complete", "free", "taken"]


def test_a_spent_ticket_is_never_handed_out_again(study):
    for state in ("complete", "pruned", "failed"):
        study.finish_ticket(STUDY, study.take_ticket(STUDY, "w", NOW, 1), "w", state)
    assert [study.take_ticket(STUDY, "w", after(50)) for _ in range(3)] == [3, 4, None]
    assert _states(study) == ["complete", "pruned", "failed", "taken", "taken"]


def test_the_holder_that_was_replaced_can_do_nothing_with_its_ticket(study):
    number = study.take_ticket(STUDY, "slow", NOW, lease_s=10)
    assert study.take_ticket(STUDY, "next", after(10)) == number
    with pytest.raises(LeaseLost, match="is held by next, not by slow"):
        study.finish_ticket(STUDY, number, "slow", "complete")
    with pytest.raises(LeaseLost):
        study.bind_trial(STUDY, number, "slow", 7)
    with pytest.raises(LeaseLost):
        study.renew_ticket(STUDY, number, "slow", after(11))
    study.finish_ticket(STUDY, number, "next", "complete")
    study.finish_ticket(STUDY, number, "next", "complete")
    assert _states(study).count("complete") == 1


def test_a_renewed_ticket_is_kept(study):
    number = study.take_ticket(STUDY, "slow", NOW, lease_s=10)
    study.renew_ticket(STUDY, number, "slow", after(9), lease_s=10)
    assert study.take_ticket(STUDY, "next", after(18)) == 1
    assert study.orphaned_trials(STUDY, after(18)) == []


def test_a_dead_workers_trial_is_reported_once_whoever_noticed_its_death(study):
    for worker, trial in (("a", 10), ("b", 11), ("c", 12)):
        number = study.take_ticket(STUDY, worker, NOW, lease_s=10)
        study.bind_trial(STUDY, number, worker, trial)
    study.finish_ticket(STUDY, 1, "b", "complete")
    assert study.orphaned_trials(STUDY, after(9)) == []
    assert study.take_ticket(STUDY, "d", after(10)) == 0
    assert study.orphaned_trials(STUDY, after(11)) == [10, 12]
    assert study.orphaned_trials(STUDY, after(12)) == []
    assert _states(study) == ["taken", "complete", "free", "free", "free"]


def test_a_worker_known_to_be_dead_gives_its_tickets_back_at_once(study):
    number = study.take_ticket(STUDY, "try 1", NOW)
    study.bind_trial(STUDY, number, "try 1", 4)
    assert study.release_tickets(STUDY, "try 1") == 1
    assert study.take_ticket(STUDY, "try 2", after(1)) == number
    assert study.orphaned_trials(STUDY, after(1)) == [4]


def test_mistakes_are_named(study):
    with pytest.raises(LedgerConflict, match="no study 'none'"):
        study.take_ticket("none", "w", NOW)
    with pytest.raises(LeaseLost, match=r"Ticket 99 of study .* does not exist"):
        study.bind_trial(STUDY, 99, "w", 1)
    with pytest.raises(ValueError, match="not as 'FAIL'"):
        study.finish_ticket(STUDY, 0, "w", "FAIL")
    assert study.tickets("none") == []


TRIALS, LEASE_S = 30, 1.0


def _work_and_sometimes_die(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    worker = f"worker {number}"
    chance = random.Random(number)
    while True:
        ticket = ledger.take_ticket(STUDY, worker, datetime.now(UTC), LEASE_S)
        if ticket is not None:
            try:
                ledger.bind_trial(STUDY, ticket, worker, number * 1000 + ticket)
                if number and chance.random() < 0.3:
                    os.kill(os.getpid(), signal.SIGKILL)  # with the ticket in hand
                ledger.finish_ticket(STUDY, ticket, worker, "complete")
            except LeaseLost:
                continue  # a busy machine held this worker up for longer than the lease
            say(ticket)
        elif all(ticket.state == "complete" for ticket in ledger.tickets(STUDY)):
            return
        else:
            time.sleep(0.05)


def test_the_budget_is_exact_though_workers_are_killed_with_tickets_in_hand(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    ledger.open_study(STUDY, TrialBudget(TRIALS, 60, 8), datetime.now(UTC))
    said = run_at_once(_work_and_sometimes_die, url, 8, tmp_path / "said")
    assert sorted(ticket for tickets in said for ticket in tickets) == list(range(TRIALS))
    orphans = ledger.orphaned_trials(STUDY, datetime.now(UTC))
    assert orphans, "no worker died: the seeds no longer prove anything"
    assert len(orphans) == len(set(orphans))
    assert ledger.orphaned_trials(STUDY, datetime.now(UTC)) == []


def _report(url: str, number: int, say) -> None:
    for trial in open_ledger(url).orphaned_trials(STUDY, after(30)):
        say(trial)


def test_an_orphan_is_reported_to_one_of_eight(study, tmp_path):
    url = study._engine.url.render_as_string(hide_password=False)
    for trial in range(5):
        study.bind_trial(STUDY, study.take_ticket(STUDY, "dead", NOW, 10), "dead", trial)
    said = run_at_once(_report, url, 8, tmp_path / "said")
    assert sorted(trial for trials in said for trial in trials) == [0, 1, 2, 3, 4]
