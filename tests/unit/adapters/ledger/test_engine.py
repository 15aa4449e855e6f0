from __future__ import annotations

import os
import signal
import threading

import pytest
import sqlalchemy as sa

from include.evergreen.adapters.ledger import Ledger, engine, open_ledger
from include.evergreen.errors import LedgerConflict, SettingsError, Unavailable
from tests.unit.adapters.ledger.facts import MODEL, NOW
from tests.unit.adapters.ledger.processes import run_at_once


@pytest.mark.parametrize(
    "url",
    ["mysql://me:secret@host/ledger", "sqlite://", "sqlite:///:memory:", "no url at all"],
)
def test_a_url_that_is_no_sqlite_file_or_postgresql_is_refused_without_its_password(url):
    with pytest.raises(SettingsError, match="EVERGREEN_LEDGER_URL") as refusal:
        Ledger(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_plain_postgresql_url_gets_the_driver_that_is_installed(scheme):
    pytest.importorskip("psycopg")
    ledger = Ledger(f"{scheme}://me:secret@127.0.0.1:1/ledger")
    assert ledger.address == "postgresql+psycopg://me:***@127.0.0.1:1/ledger"


def test_a_database_that_does_not_answer_is_unavailable_and_worth_a_retry():
    pytest.importorskip("psycopg")
    with pytest.raises(Unavailable, match=r"me:\*\*\*@127.0.0.1:1.*does not answer") as refusal:
        open_ledger("postgresql://me:secret@127.0.0.1:1/ledger")
    assert refusal.value.retryable
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_no_database_is_told_apart_from_a_busy_one(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"not a database, but long enough to be read as one" * 99)
    with pytest.raises((Unavailable, sa.exc.DatabaseError), match="not a database"):
        open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_sqlite_stays_in_wal_mode_with_foreign_keys_on(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger._read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_writer_that_waits_too_long_is_told_that_the_ledger_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "WAIT_S", 0.2)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    with ledger._write("anything"), pytest.raises(Unavailable, match="database is locked"):
        ledger.request_retrain(MODEL, "manual", "cause", {}, NOW)
    assert ledger.request_retrain(MODEL, "manual", "cause", {}, NOW) is not None


def test_an_error_inside_a_transaction_undoes_all_of_it(ledger):
    def half_done() -> None:
        with ledger._write("test") as connection:
            connection.exec_driver_sql("DELETE FROM evergreen_requests")
            raise RuntimeError("killed here")

    ledger.request_retrain(MODEL, "manual", "cause", {}, NOW)
    with pytest.raises(RuntimeError):
        half_done()
    assert len(ledger.pending_requests(MODEL)) == 1


def test_what_the_database_refuses_is_a_conflict_and_not_worth_a_retry(ledger):
    with pytest.raises(LedgerConflict, match="refused"), ledger._write("test") as connection:
        connection.exec_driver_sql(
            "INSERT INTO evergreen_tickets (study, number, state) VALUES ('none', 0, 'free')"
        )


def test_threads_share_one_ledger(ledger):
    given = []

    def ask() -> None:
        given.append(ledger.request_retrain(MODEL, "manual", "one cause", {}, NOW))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(request is not None for request in given) == 1


def test_one_process_gets_one_object_a_url(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    assert open_ledger(url) is open_ledger(url)


def _fork_and_both_write(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    ledger.request_retrain(MODEL, "manual", "before the fork", {}, NOW)
    child = os.fork()
    who = "parent" if child else "child"
    for cause in range(20):
        ledger.request_retrain(MODEL, "manual", f"{who} {cause}", {}, NOW)
    if child == 0:
        os._exit(0)
    say(os.waitpid(child, 0)[1])


def test_a_forked_child_speaks_over_connections_of_its_own(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    assert run_at_once(_fork_and_both_write, url, 1, tmp_path / "said") == [[0]]
    assert len(ledger.pending_requests(MODEL)) == 41


def _die_inside_a_transaction(url: str, number: int, say) -> None:
    with open_ledger(url)._write("requests", MODEL) as connection:
        connection.exec_driver_sql("DELETE FROM evergreen_requests")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_writer_killed_inside_its_transaction_leaves_no_trace_and_no_lock(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    ledger.request_retrain(MODEL, "manual", "before", {}, NOW)
    run_at_once(_die_inside_a_transaction, url, 3, tmp_path / "said")
    assert ledger.request_retrain(MODEL, "manual", "after", {}, NOW) is not None
    assert len(ledger.pending_requests(MODEL)) == 2
