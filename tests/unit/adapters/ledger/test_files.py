from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from include.evergreen.adapters.ledger import FileClaim, Ledger, open_ledger
from include.evergreen.errors import LeaseLost
from tests.unit.adapters.ledger.facts import MODEL, NOW, after, outcome
from tests.unit.adapters.ledger.processes import run_at_once, start

FILES = 20


def _claim(ledger: Ledger, owner: str, now=NOW, digest: str = "d1", contract: str = "c1"):
    return ledger.claim_file(MODEL, digest, contract, "/f", "rows", owner, now, lease_s=60)


def _finish(ledger: Ledger, fence: int, digest: str = "d1", rows: int = 10, version: int = 1):
    ledger.finish_file(MODEL, digest, "c1", fence, outcome(digest, rows), version, NOW)


def test_a_file_is_new_then_busy_then_known(ledger):
    assert _claim(ledger, "first") == FileClaim(1, "new")
    assert _claim(ledger, "second") == FileClaim(1, "busy")
    _finish(ledger, 1)
    assert _claim(ledger, "second") == FileClaim(1, "known", outcome())


def test_the_same_content_under_a_mended_contract_is_new(ledger):
    _finish(ledger, _claim(ledger, "first").fence)
    assert _claim(ledger, "first", contract="c2").state == "new"


def test_a_lease_that_ran_out_is_given_to_the_next_and_the_first_changes_nothing(ledger):
    assert _claim(ledger, "first").fence == 1
    assert _claim(ledger, "second", after(59)).state == "busy"
    assert _claim(ledger, "second", after(60)) == FileClaim(2, "new")
    with pytest.raises(
        LeaseLost, match="has fence 1, and the ledger holds fence 2, held by second"
    ):
        _finish(ledger, 1, rows=999)
    with pytest.raises(LeaseLost):
        ledger.renew_file(MODEL, "d1", "c1", 1, after(61))
    _finish(ledger, 2)
    assert ledger.file_outcomes(MODEL) == [outcome()]


def test_a_retry_of_the_same_owner_does_not_wait_and_fences_its_former_self_off(ledger):
    assert _claim(ledger, "task, try after try").fence == 1
    assert _claim(ledger, "task, try after try", after(1)) == FileClaim(2, "new")
    with pytest.raises(LeaseLost):
        _finish(ledger, 1)


def test_a_renewed_lease_is_kept(ledger):
    fence = _claim(ledger, "first").fence
    ledger.renew_file(MODEL, "d1", "c1", fence, after(50), lease_s=60)
    assert _claim(ledger, "second", after(100)).state == "busy"
    assert _claim(ledger, "second", after(110)).state == "new"


def test_a_late_finisher_whom_nobody_replaced_still_counts(ledger):
    fence = _claim(ledger, "first").fence
    ledger.finish_file(MODEL, "d1", "c1", fence, outcome(), 1, after(10_000))
    assert ledger.rows_ingested(MODEL) == 10


def test_finishing_twice_counts_once(ledger):
    fence = _claim(ledger, "first").fence
    _finish(ledger, fence)
    _finish(ledger, fence, rows=999)
    assert ledger.rows_ingested(MODEL) == 10


def test_finishing_what_was_never_claimed_is_refused(ledger):
    with pytest.raises(LeaseLost, match="no claim at all"):
        _finish(ledger, 1)


def test_rows_are_counted_by_model_kind_and_version(ledger):
    for number, kind in enumerate(["rows", "rows", "labels"]):
        digest = f"d{number}"
        claim = ledger.claim_file(MODEL, digest, "c1", "/f", kind, "owner", NOW)
        _finish(ledger, claim.fence, digest, rows=10**number, version=number)
    claim = ledger.claim_file("other", "d0", "c1", "/f", "rows", "owner", NOW)
    ledger.finish_file("other", "d0", "c1", claim.fence, outcome("d0", 5000), 0, NOW)
    assert ledger.rows_ingested(MODEL) == 11
    assert ledger.rows_since(MODEL, 0) == 10
    assert ledger.rows_since(MODEL, 1) == 0
    assert ledger.rows_ingested("nobody") == 0


def test_a_quarantined_file_is_known_and_adds_no_rows(ledger):
    claim = _claim(ledger, "first")
    bad = outcome(rows=0, state="quarantined")
    ledger.finish_file(MODEL, "d1", "c1", claim.fence, bad, 1, NOW)
    assert _claim(ledger, "first").outcome == bad
    assert ledger.rows_ingested(MODEL) == 0


def test_a_landed_file_is_acknowledged_as_it_was_last(ledger):
    ledger.acknowledge_landed(MODEL, "/landing/a.csv", "size 1", "d1", NOW)
    ledger.acknowledge_landed(MODEL, "/landing/a.csv", "size 2", "d2", NOW)
    ledger.acknowledge_landed("other", "/landing/b.csv", "size 3", "d3", NOW)
    assert ledger.acknowledged(MODEL) == {"/landing/a.csv": "size 2"}


def _claim_all(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    for file in range(FILES):
        claim = _claim(ledger, f"owner {number}", digest=f"d{file}")
        if claim.state == "new":
            say(file)
            _finish(ledger, claim.fence, f"d{file}")


def test_eight_processes_ingest_each_file_exactly_once(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    said = run_at_once(_claim_all, url, 8, tmp_path / "said")
    assert sorted(file for files in said for file in files) == list(range(FILES))
    assert ledger.rows_ingested(MODEL) == FILES * 10


def _claim_then_sleep(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    fence = _claim(ledger, "sleeper").fence
    say(fence)
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        _finish(ledger, fence, rows=999)
    except LeaseLost:
        say("lease lost")


def test_a_process_stopped_past_its_lease_changes_nothing_when_it_wakes(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    sleeper = start(_claim_then_sleep, url, tmp_path / "said")
    try:
        deadline = time.monotonic() + 60
        while Path(f"/proc/{sleeper.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            assert time.monotonic() < deadline, "the sleeper never got the file"
            time.sleep(0.02)
        claim = _claim(ledger, "successor", after(60))
        assert claim == FileClaim(2, "new")
        _finish(ledger, claim.fence)
        os.kill(sleeper.pid, signal.SIGCONT)
        sleeper.join(60)
    finally:
        sleeper.kill()
    assert (tmp_path / "said").read_text().splitlines() == ["1", '"lease lost"']
    assert ledger.rows_ingested(MODEL) == 10


def test_a_file_that_could_not_be_read_is_postponed_until_it_is_acknowledged(ledger):
    ledger.acknowledge_landed(MODEL, "/a", "1-a", "d", NOW)
    ledger.postpone_landed(MODEL, "/b", "1-b", NOW)
    ledger.postpone_landed(MODEL, "/b", "1-b", after(60))
    assert ledger.acknowledged(MODEL) == {"/a": "1-a"}
    assert ledger.postponed(MODEL) == {("/b", "1-b"): after(60)}
    assert ledger.postponed("another") == {}
    ledger.acknowledge_landed(MODEL, "/b", "1-b", "d", after(120))
    assert ledger.acknowledged(MODEL) == {"/a": "1-a", "/b": "1-b"}
    assert ledger.postponed(MODEL) == {}
