from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from include.evergreen.adapters.ledger import Ledger, open_ledger, schema
from include.evergreen.adapters.ledger.__main__ import main
from include.evergreen.adapters.ledger.migrate import MIGRATIONS
from include.evergreen.errors import LedgerConflict
from tests.unit.adapters.ledger.facts import NOW
from tests.unit.adapters.ledger.processes import run_at_once

FRESH_INTERPRETER = """
import sys
from include.evergreen.adapters.ledger import open_ledger
open_ledger({url!r}).pending_requests("bike_demand")
print("alembic" in sys.modules)
"""


def _execute(ledger: Ledger, statement: str) -> None:
    with ledger._write("test") as connection:
        connection.exec_driver_sql(statement)


def _open(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    claim = ledger.claim_file("m", f"d{number}", "c", "/f", "rows", f"owner {number}", NOW)
    say([claim.state, len(ledger.schema_differences())])


def test_eight_processes_that_open_a_new_ledger_at_once_all_get_it_whole(url, tmp_path):
    said = run_at_once(_open, url, 8, tmp_path / "said")
    assert said == [[["new", 0]]] * 8


def test_migrating_twice_is_the_same_as_once(url):
    ledger = Ledger(url)
    ledger.migrate()
    ledger.migrate()
    assert ledger.schema_differences() == []
    ledger.close()


def test_the_migrations_lead_to_the_schema_and_a_difference_is_seen(ledger):
    assert ledger.schema_differences() == []
    _execute(ledger, "DROP INDEX ix_evergreen_files_model_finished_at")
    _execute(ledger, "ALTER TABLE evergreen_images ADD COLUMN size_mib INTEGER")
    differences = " ".join(ledger.schema_differences())
    assert "ix_evergreen_files_model_finished_at" in differences
    assert "size_mib" in differences


def test_the_revision_the_code_expects_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_a_migration_that_fails_midway_leaves_nothing_behind(url):
    ledger = Ledger(url)
    _execute(ledger, "CREATE TABLE evergreen_trainings (in_the_way INTEGER)")
    with pytest.raises((sa.exc.ProgrammingError, ConnectionError), match="already exists"):
        ledger.migrate()
    with ledger._read() as connection:
        assert sa.inspect(connection).get_table_names() == ["evergreen_trainings"]
    _execute(ledger, "DROP TABLE evergreen_trainings")
    ledger.migrate()
    assert ledger.schema_differences() == []
    ledger.close()


def test_the_ledger_shares_a_database_with_others_under_alembic(url):
    ledger = Ledger(url)
    _execute(ledger, "CREATE TABLE alembic_version (version_num VARCHAR(32))")
    _execute(ledger, "INSERT INTO alembic_version VALUES ('of mlflow')")
    ledger.migrate()
    assert ledger.schema_differences() == []
    with ledger._read() as connection:
        kept = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert kept == "of mlflow"
    ledger.close()


def test_a_ledger_of_a_newer_evergreen_is_refused(ledger):
    _execute(ledger, "UPDATE evergreen_ledger_version SET version_num = '9999'")
    with pytest.raises(LedgerConflict, match=f"revision 9999.* knows {schema.HEAD} as its newest"):
        ledger.migrate()


def test_opening_a_current_ledger_does_not_import_alembic(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    open_ledger(url)
    ran = subprocess.run(
        [sys.executable, "-c", FRESH_INTERPRETER.format(url=url)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "False"


def test_a_deleted_home_is_a_clean_start_also_for_a_process_that_had_it_open(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    assert open_ledger(url).request_retrain("m", "manual", "cause", {}, NOW) is not None
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    assert open_ledger(url).pending_requests("m") == []


def test_the_command_upgrades_and_checks(tmp_path: Path, capsys):
    url = f"sqlite:///{tmp_path / '50% of a folder' / 'ledger.db'}"
    assert main(["upgrade", "--url", url]) == 0
    assert main(["check", "--url", url]) == 0
    assert "0 differences" in capsys.readouterr().out
    _execute(Ledger(url), "DROP TABLE evergreen_segments")
    assert main(["check", "--url", url]) == 1
    assert "evergreen_segments" in capsys.readouterr().out
    assert main(["check", "--url", "mysql://me:secret@host/db"]) == 2
    assert "secret" not in capsys.readouterr().err
