"""Which database the embedded Airflow has, and how many schedulers: asked for, refused, carried."""

from pathlib import Path

import pytest

from include.evergreen import settings
from include.evergreen.cli.stack.commands import up
from include.evergreen.cli.stack.components import orders
from include.evergreen.cli.stack.environment import stack_environment
from include.evergreen.cli.stack.metadata import DATABASE, SCHEDULERS, metadata
from include.evergreen.errors import SettingsError

POSTGRESQL = "postgresql://me:s%24cret@db.example/airflow"
SYNC, ASYNC = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"


def test_the_database_is_a_file_of_the_home_unless_somebody_asks_for_another(
    tmp_path: Path,
) -> None:
    found = metadata(tmp_path, {})
    assert found.url == f"sqlite:///{tmp_path}/airflow/airflow.db"
    assert found.schedulers == 1


def test_the_database_of_another_airflow_in_the_shell_is_left_alone(tmp_path: Path) -> None:
    shell = {SYNC: "postgresql://them@db.example/theirs", ASYNC: "postgresql+asyncpg://them@db/t"}
    env = stack_environment(tmp_path, 8080, 5000, shell)
    assert env[SYNC] == f"sqlite:///{tmp_path}/airflow/airflow.db"
    assert ASYNC not in env


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_postgresql_is_reached_through_the_driver_that_is_installed(
    tmp_path: Path, scheme: str
) -> None:
    shell = {DATABASE: POSTGRESQL.replace("postgresql", scheme, 1)}
    env = stack_environment(tmp_path, 8080, 5000, shell)
    assert env[SYNC] == env[ASYNC] == "postgresql+psycopg://me:s%24cret@db.example/airflow"


@pytest.mark.parametrize(
    "url", ["mysql://me:s%24cret@db/airflow", "postgresql://me:s%24cret@db", "no url at all"]
)
def test_what_is_no_postgresql_database_is_refused_without_its_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{DATABASE} is no URL") as refusal:
        metadata(tmp_path, {DATABASE: url})
    assert "cret" not in str(refusal.value)
    assert "cret" not in repr(metadata(tmp_path, {DATABASE: POSTGRESQL}))


@pytest.mark.parametrize("count", ["0", "9", "-1", "two", "1.5"])
def test_an_impossible_number_of_schedulers_is_refused(tmp_path: Path, count: str) -> None:
    with pytest.raises(SettingsError, match=r"a number from 1 to 8 is expected\.$"):
        metadata(tmp_path, {DATABASE: POSTGRESQL, SCHEDULERS: count})


def test_sqlite_bears_one_scheduler_and_nothing_is_started_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCHEDULERS, "2")
    home = tmp_path / "home"
    with pytest.raises(SettingsError, match="SQLite, which bears one"):
        up(settings.load({"EVERGREEN_HOME": str(home)}), lambda _text: None)
    assert not home.exists()


def test_each_scheduler_is_a_part_of_its_own_and_ends_before_the_rest(tmp_path: Path) -> None:
    first = [order.name for order in orders(tmp_path, 5000, schedulers=3) if order.runs_tasks]
    assert first == ["scheduler", "scheduler-2", "scheduler-3"]
    names = [order.name for order in orders(tmp_path, 5000, schedulers=3)]
    assert len(names) == len(set(names)) == 7


def test_databases_are_told_apart_whatever_the_login(tmp_path: Path) -> None:
    def digest(url: str) -> str:
        return metadata(tmp_path, {DATABASE: url}).digest

    assert digest("") == ""
    assert digest(POSTGRESQL) == digest(POSTGRESQL.replace("s%24cret", "new"))
    others = [POSTGRESQL + "2", POSTGRESQL.replace("example", "test"), POSTGRESQL + "?host=/tmp"]
    assert len({digest(url) for url in [POSTGRESQL, "", *others]}) == 5
