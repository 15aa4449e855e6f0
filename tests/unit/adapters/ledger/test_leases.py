"""A lease has one holder; whoever lost it writes nothing, whatever it was about to write."""

from __future__ import annotations

import threading

import pytest

from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.errors import Busy, LeaseLost, is_retryable
from tests.unit.adapters.ledger.facts import (
    MODEL,
    NOW,
    after,
    candidate,
    image,
    journal_entry,
    judgement,
    service,
    snapshot,
)
from tests.unit.adapters.ledger.processes import run_at_once

SUBJECT = "training:key1"


def test_a_lease_has_one_holder_until_it_runs_out(ledger):
    first = ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    assert (first.subject, first.owner, first.fence) == (SUBJECT, "run 1", 1)
    with pytest.raises(
        Busy, match=r"training:key1 is held by run 1 since 12:00:00 UTC, until 12:01:00 UTC"
    ) as busy:
        ledger.take_lease(SUBJECT, "run 2", after(59), 60)
    assert busy.value.until == after(60)
    assert is_retryable(busy.value)
    assert ledger.take_lease("training:key2", "run 2", NOW, 60).fence == 1
    second = ledger.take_lease(SUBJECT, "run 2", after(60), 60)
    assert second.fence == 2


def test_the_same_owner_takes_its_lease_anew_and_its_earlier_try_has_lost_it(ledger):
    killed = ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    retry = ledger.take_lease(SUBJECT, "run 1", after(1), 60)
    assert retry.fence == killed.fence + 1
    with pytest.raises(LeaseLost, match="has fence 1, and the ledger holds fence 2, held by run 1"):
        ledger.renew_lease(killed, after(2), 60)
    ledger.renew_lease(retry, after(2), 60)


def test_a_renewed_lease_lasts_from_then(ledger):
    lease = ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    ledger.renew_lease(lease, after(50), 60)
    with pytest.raises(Busy):
        ledger.take_lease(SUBJECT, "run 2", after(109), 60)


def test_confirming_renews_only_what_is_more_than_half_over(ledger):
    lease = ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    ledger.confirm_lease(lease, after(29), 60)
    with pytest.raises(Busy) as busy:
        ledger.take_lease(SUBJECT, "run 2", after(40), 60)
    assert busy.value.until == after(60)
    ledger.confirm_lease(lease, after(31), 60)
    with pytest.raises(Busy) as busy:
        ledger.take_lease(SUBJECT, "run 2", after(80), 60)
    assert busy.value.until == after(91)


def test_a_lease_that_ran_out_and_that_nobody_took_goes_on(ledger):
    lease = ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    ledger.confirm_lease(lease, after(600), 60)
    with pytest.raises(Busy):
        ledger.take_lease(SUBJECT, "run 2", after(601), 60)


def test_a_lease_given_back_is_free_and_its_fence_still_grows(ledger):
    lease = ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    ledger.release_lease(lease, after(1))
    assert ledger.take_lease(SUBJECT, "run 2", after(1), 60).fence == 2
    with pytest.raises(LeaseLost):
        ledger.release_lease(lease, after(2))
    with pytest.raises(Busy):
        ledger.take_lease(SUBJECT, "run 3", after(2), 60)


def _facts(ledger) -> list:
    training = ledger.training("key1")
    return [
        training,
        ledger.deployments(MODEL),
        ledger.image(MODEL, 2, "docker"),
        ledger.decisions(MODEL),
        ledger.pending_requests(MODEL),
        ledger.journal(MODEL),
    ]


#: Everything a stage under a lease records, by what records it.
WRITES = {
    "open_training": lambda ledger, _: ledger.open_training(snapshot(), "run 9", NOW),
    "set_training_run": lambda ledger, _: ledger.set_training_run("key1", "other"),
    "record_judgement": lambda ledger, _: ledger.record_judgement("key1", judgement(), NOW),
    "record_candidate": lambda ledger, _: ledger.record_candidate(candidate(), NOW),
    "fail_training": lambda ledger, _: ledger.fail_training("key1", "late", NOW),
    "record_decision": lambda ledger, _: ledger.record_decision(MODEL, "s", "v", "r", {}, NOW),
    "answer_requests": lambda ledger, _: ledger.answer_requests((1,), "key1", "lost", "r", NOW),
    "record_image": lambda ledger, _: ledger.record_image(image(), NOW),
    "begin_deployment": lambda ledger, _: ledger.begin_deployment(MODEL, 3, "staging", "n", NOW),
    "record_service": lambda ledger, begun: ledger.record_service(begun, service(9), NOW),
    "append_journal": lambda ledger, _: ledger.append_journal(journal_entry("late"), NOW),
    "mark_anchored": lambda ledger, _: ledger.mark_anchored(MODEL, 1, NOW),
    "finish_deployment": lambda ledger, begun: ledger.finish_deployment(
        begun, "live", "late", (), NOW
    ),
}


@pytest.mark.parametrize("write", WRITES)
def test_no_write_is_made_under_a_lease_that_was_lost(ledger, write):
    ledger.open_training(snapshot(), "run 1", NOW)
    if write == "record_candidate":
        ledger.record_judgement("key1", judgement(), NOW)
    ledger.request_retrain(MODEL, "manual", "cause", {}, NOW)
    ledger.append_journal(journal_entry(), NOW)
    begun = ledger.begin_deployment(MODEL, 2, "staging", "name", NOW)
    ledger.record_service(begun, service(2), NOW)
    before = _facts(ledger)
    lost = ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    ledger.take_lease(SUBJECT, "run 2", after(61), 60)
    with ledger.under_lease(lost), pytest.raises(LeaseLost, match="changes nothing any more"):
        WRITES[write](ledger, begun)
    assert _facts(ledger) == before
    with ledger.under_lease(ledger.take_lease(SUBJECT, "run 2", after(62), 60)):
        WRITES[write](ledger, begun)
    assert _facts(ledger) != before, "the same write under a lease that stands"


def test_the_lease_is_that_of_one_thread_and_one_database(ledger, tmp_path):
    lost = ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    ledger.take_lease(SUBJECT, "run 1", NOW, 60)
    other = open_ledger(f"sqlite:///{tmp_path / 'other.db'}")
    with ledger.under_lease(lost):
        other.record_decision(MODEL, "stage", "verdict", "reason", {}, NOW)
        thread = threading.Thread(
            target=ledger.record_decision, args=(MODEL, "stage", "verdict", "reason", {}, NOW)
        )
        thread.start()
        thread.join()
    assert len(other.decisions(MODEL)) == len(ledger.decisions(MODEL)) == 1
    ledger.record_decision(MODEL, "stage", "after", "the block", {}, NOW)


def _take(url: str, number: int, say) -> None:
    try:
        say(open_ledger(url).take_lease(SUBJECT, f"run {number}", NOW, 60).fence)
    except Busy:
        say("busy")


def test_of_eight_processes_one_gets_the_lease(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    said = sorted(str(words[0]) for words in run_at_once(_take, url, 8, tmp_path / "said"))
    assert said == ["1", *["busy"] * 7]


def _take_over(url: str, number: int, say) -> None:
    """Take the lease over again and again, or write under the last one taken."""
    ledger = open_ledger(url)
    written = 0
    for turn in range(25):
        lease = ledger.take_lease(SUBJECT, "the same run", NOW, 60)
        try:
            with ledger.under_lease(lease):
                ledger.record_decision(MODEL, f"fence {lease.fence}", "v", f"{turn}", {}, NOW)
        except LeaseLost:
            continue
        written += 1
    say(written)


def test_processes_that_take_over_from_one_another_write_in_the_order_of_their_fences(
    ledger, tmp_path
):
    url = ledger._engine.url.render_as_string(hide_password=False)
    said = run_at_once(_take_over, url, 4, tmp_path / "said")
    decisions = sorted(ledger.decisions(MODEL, limit=200), key=lambda d: d.stage)
    assert len(decisions) == sum(words[0] for words in said)
    with ledger._read() as connection:
        rows = connection.exec_driver_sql("SELECT stage FROM evergreen_decisions ORDER BY id").all()
    fences = [int(row[0].removeprefix("fence ")) for row in rows]
    assert fences == sorted(fences)


def test_under_two_leases_nothing_is_written_once_either_is_lost(ledger):
    outer = ledger.take_lease("deployment:m:staging", "run 1", NOW, 60)
    inner = ledger.take_lease("deployment:m:production", "run 1", NOW, 60)
    with ledger.under_lease(outer), ledger.under_lease(inner):
        ledger.record_image(image(), NOW)
    ledger.take_lease("deployment:m:staging", "run 2", after(61), 60)
    with ledger.under_lease(outer), ledger.under_lease(inner), pytest.raises(LeaseLost):
        ledger.record_image(image(3), NOW)
    with ledger.under_lease(inner):
        ledger.record_image(image(3), NOW)
