"""The command shows the journal, verifies it against its anchors, and exports what verifies it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from include.evergreen.cli import journal
from include.evergreen.contracts import Actor, JournalEntry
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.resources import Resources
from tests.unit.stages.watched import empty_mlflow, place_mlflow, spec

NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    return empty_mlflow(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def resources(installation, database, monkeypatch) -> Resources:
    place_mlflow(database, installation.home)
    monkeypatch.setenv("EVERGREEN_HOME", str(installation.home))
    return Resources(spec(), installation)


def release(resources: Resources, *versions: int) -> None:
    for version in versions:
        entry = JournalEntry(
            event=f"release:{version}",
            model="rides",
            kind="released",
            actor=Actor("policy", "canary"),
            why="every step held",
            from_version=version - 1 or None,
            to_version=version,
        )
        resources.ledger.append_journal(entry, NOW)


def rewrite(resources: Resources, statement: str) -> None:
    with closing(sqlite3.connect(resources.settings.home / "ledger.db")) as ledger, ledger:
        ledger.execute(statement)


def run(capsys, *arguments: str) -> tuple[int, str]:
    status = journal.main(arguments)
    shown = capsys.readouterr()
    return status, shown.out + shown.err


def test_the_journal_is_shown_and_verified(resources, capsys) -> None:
    release(resources, 1, 2)
    anchor_entries(resources, "rides", now=NOW)
    status, shown = run(capsys, "--model", "rides")
    assert status == 0
    assert shown.splitlines() == [
        "The journal of rides:",
        "#1 2026-11-21 12:00 released v1 (was no version) by policy canary: every step held",
        "#2 2026-11-21 12:00 released v2 (was v1) by policy canary: every step held",
        "In production: v2, since #2 (2026-11-21 12:00).",
        "Why v2 is in production:",
        "- #2 2026-11-21 12:00 released in place of v1 by policy canary: every step held",
        "verified: 2 entries, 2 anchors",
    ]
    assert run(capsys) == (0, shown), "without a model: all of them"


def test_what_is_not_anchored_yet_is_said_and_is_no_alarm(resources, capsys) -> None:
    release(resources, 1)
    anchor_entries(resources, "rides", now=NOW)
    release(resources, 2, 3)
    status, shown = run(capsys, "--model", "rides")
    assert status == 0
    assert "verified: 3 entries, 1 anchor\nEntries 2 to 3 are not anchored yet" in shown


TAMPERED: dict[str, tuple[Callable[[Resources], None], str]] = {
    "changed": (
        lambda r: rewrite(
            r, "UPDATE evergreen_journal SET document = replace(document, 'held', 'failed')"
        ),
        "NOT VERIFIED: 3 problems\n- changed: entry 1 is not what was hashed",
    ),
    "missing": (
        lambda r: rewrite(r, "DELETE FROM evergreen_journal WHERE number = 2"),
        "NOT VERIFIED: 1 problem\n- missing: entry 2 is missing",
    ),
    "truncated": (
        lambda r: rewrite(r, "DELETE FROM evergreen_journal WHERE number > 1"),
        "- truncated: the chain ends with entry 1, and the model's experiment in MLflow holds the",
    ),
    "rewritten": (
        lambda r: [
            rewrite(r, "DELETE FROM evergreen_journal"),
            release(r, 7, 8, 9),
        ],
        "- rewritten: entry 1 has the digest",
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_done_to_the_ledger_is_told_and_fails_the_command(resources, capsys, how) -> None:
    release(resources, 1, 2, 3)
    anchor_entries(resources, "rides", now=NOW)
    tamper, words = TAMPERED[how]
    tamper(resources)
    status, shown = run(capsys, "--model", "rides")
    assert status == 1
    assert words in shown
    assert "verified:" not in shown


def test_of_many_problems_ten_are_shown_with_the_count(resources, capsys) -> None:
    release(resources, *range(1, 14))
    rewrite(resources, "UPDATE evergreen_journal SET digest = 'x'")
    status, shown = run(capsys, "--model", "rides")
    assert (status, shown.count("- changed:")) == (1, 10)
    assert "NOT VERIFIED: 13 problems" in shown
    assert "- and 3 more" in shown


def test_logs_vouch_where_ledger_and_mlflow_were_both_written_anew(
    resources, capsys, tmp_path
) -> None:
    release(resources, 1)
    (entry,) = resources.ledger.journal("rides")
    log = tmp_path / "logs" / "attempt=1.log"
    log.parent.mkdir()
    log.write_text(f"journal-anchor model=rides number=1 digest={entry.digest}\n")
    rewrite(resources, "DELETE FROM evergreen_journal")
    release(resources, 5)
    anchor_entries(resources, "rides", now=NOW)
    assert run(capsys, "--model", "rides")[0] == 0
    status, shown = run(capsys, "--model", "rides", "--logs", str(log.parent))
    assert status == 1
    assert f"and {log}, line 1 holds {entry.digest[:12]}" in shown


def test_an_export_is_verified_without_ledger_and_mlflow(
    resources, capsys, tmp_path, monkeypatch
) -> None:
    release(resources, 1, 2)
    anchor_entries(resources, "rides", now=NOW)
    file = tmp_path / "rides.jsonl"
    status, shown = run(capsys, "--model", "rides", "--export", str(file))
    assert status == 0
    assert f"--verify-export {file}" in shown
    monkeypatch.setenv("EVERGREEN_HOME", "/nowhere")
    status, shown = run(capsys, "--verify-export", str(file))
    assert (status, shown.splitlines()[-1]) == (0, "verified: 2 entries, 2 anchors")
    file.write_bytes(file.read_bytes().replace(b"held", b"hold", 1))
    status, shown = run(capsys, "--verify-export", str(file))
    assert status == 1
    assert "- changed: entry 1 is not what was hashed" in shown
    assert "- damaged: the seal on line" in shown


def test_a_file_that_is_no_export_is_told(capsys, tmp_path) -> None:
    file = tmp_path / "file"
    status, shown = run(capsys, "--verify-export", str(file))
    assert (status, shown.splitlines()[0][:14]) == (1, f"{file}"[:14])
    for content, words in ((b"", "the file is empty"), (b"\xff\xfe", "cannot be read")):
        file.write_bytes(content)
        status, shown = run(capsys, "--verify-export", str(file))
        assert status == 1
        assert words in shown


def test_a_model_that_is_unknown_and_a_registry_that_is_away_are_not_verified(
    resources, capsys, monkeypatch
) -> None:
    assert run(capsys) == (1, "No model has a journal yet.\n")
    status, shown = run(capsys, "--model", "typo")
    assert (status, shown) == (1, "Not verified: There is no model 'typo'; known are none.\n")
    release(resources, 1)
    monkeypatch.setenv("EVERGREEN_MLFLOW_URI", "http://127.0.0.1:1")
    status, shown = run(capsys, "--model", "rides")
    assert status == 1
    assert "Not verified: MLflow at http://127.0.0.1:1 does not answer" in shown
