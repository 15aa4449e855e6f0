"""Evergreen in the Airflow project of a team, by the guide's commands, from file to production."""

import ast
import datetime as dt
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import yaml

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.cli.airflow_api import AirflowApi, DagRun
from include.evergreen.cli.stack import services
from include.evergreen.simulator import simulate_bike
from tests.end_to_end import existing_project as theirs
from tests.end_to_end import running_project as running
from tests.end_to_end.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MODEL = "rides"
USER = "airflow"
STAGES = ("ingest", "train", "deploy", "release", "rollback", "monitor")

#: What DAG files and plugins there are, without a database and without a PYTHONPATH.
LOOK = """
import airflow.plugins_manager as plugins
from airflow import settings
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags", load_op_links=False)
assert not bag.import_errors, bag.import_errors
print(sorted(bag.dags))
print(sorted(p.name for p in plugins._get_plugins()[0] if p.name in ("their_plugin", "evergreen")))
print(sorted({task.priority_weight for dag in bag.dags.values() for task in dag.tasks}))
"""


@pytest.mark.parametrize("regular_include", [True, False], ids=["package", "namespace"])
def test_what_is_copied_is_found_whatever_their_include_is(
    project_root: Path, tmp_path: Path, *, regular_include: bool
) -> None:
    environment = copied(project_root, tmp_path, regular_include=regular_include)
    dags, plugins, weights = look(tmp_path, environment).splitlines()[-3:]
    ours = {f"bike_demand.{stage}" for stage in STAGES}
    assert ours | {"monthly_report"} <= set(ast.literal_eval(dags))
    assert plugins == "['evergreen', 'their_plugin']"
    assert weights == "[7]", "their task_policy holds for our tasks too"


def test_the_line_in_their_settings_file_is_what_makes_it_importable(
    project_root: Path, tmp_path: Path
) -> None:
    environment = copied(project_root, tmp_path, regular_include=True)
    (tmp_path / "config" / "airflow_local_settings.py").write_text("")
    with pytest.raises(AssertionError, match="No module named 'include"):
        look(tmp_path, environment)


def copied(project_root: Path, project: Path, *, regular_include: bool) -> dict[str, str]:
    """A project after the guide's second step, with a shipped spec; the shell it is used from."""
    theirs.make_project(project, regular_include=regular_include)
    environment = theirs.plain_environment(project, EVERGREEN=str(project_root))
    theirs.run("\n".join(theirs.commands_of_the_guide(project_root)["2"]), project, environment, {})
    for name in ("bike_demand.yaml", "bike_demand.acceptance.yaml"):
        shipped = project_root / "include" / "models" / name
        (project / "include" / "models" / name).write_text(shipped.read_text())
    return environment


def look(project: Path, environment: dict[str, str]) -> str:
    tools = project / "tools"  # not the root: Python puts a script's own folder on the path
    tools.mkdir()
    (tools / "look.py").write_text(LOOK)
    return theirs.run("python tools/look.py", project, environment, {})


@dataclass
class Team:
    """A team's Airflow with Evergreen in it, running."""

    project: Path
    airflow: AirflowApi
    mlflow: str
    password: str
    webhook: str
    alerts: list[str]

    @property
    def settings(self) -> evergreen_settings.Settings:
        home = self.project / ".evergreen"
        models = self.project / "include" / "models"
        return evergreen_settings.load(
            {"EVERGREEN_HOME": str(home), "EVERGREEN_MODELS_DIR": str(models)}
        )

    def finished(self, run: DagRun, seconds: float) -> DagRun:
        def look() -> DagRun | None:
            seen = self.airflow.run(run.dag_id, run.run_id)
            return seen if seen.is_over else None

        return wait_for(f"{run.dag_id} to end", look, seconds)

    def log_of(self, run: DagRun, state: str) -> str:
        """What the tasks in that state logged."""
        tasks = [task for task in self.airflow.tasks(run) if task.state == state]
        return "\n".join(line for task in tasks for line in self.airflow.log_lines(run, task))


@pytest.fixture(scope="module")
def team(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    project = theirs.make_project(folder / "airflow", regular_include=False)
    # One that a command line takes for an option, as one in 64 generated ones is.
    admin, password = secrets.token_urlsafe(16), f"-{secrets.token_urlsafe(16)}"
    steps = theirs.commands_of_the_guide(project_root)
    with (
        running.webhook() as (hook, alerts),
        running.airflow_environment(project) as environment,
        running.remote_mlflow(folder / "mlflow", admin, (USER, password)) as port,
    ):
        shell = environment | {
            "EVERGREEN": str(project_root),
            "MLFLOW_PASSWORD": password,
            "WEBHOOK": hook,
            "PIP_DRY_RUN": "1",  # the tests' environment has it all, and stays as it is
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        examples = {
            "https://mlflow.example.com --conn-port 443": f"http://{running.HOST} "
            f"--conn-port {port}",
            "churn --data customers.csv --target left": f"{MODEL} --data rides.csv --target cnt",
            "churn": MODEL,
            "customers.csv": "rides.csv",
        }
        guide = "\n".join(block for blocks in steps.values() for block in blocks)
        assert not [example for example in examples if example not in guide]
        simulate_bike(dt.date(2025, 1, 1), 90, seed=11).write_csv(project / "rides.csv")

        subprocess.run(["airflow", "db", "migrate"], env=environment, check=True, timeout=120)
        for step in "1234":
            theirs.run("\n".join(steps[step]), project, shell, examples)
        spend_little(project / "include" / "models" / f"{MODEL}.yaml")
        with running.their_airflow(project, environment) as login:
            made = Team(
                project,
                AirflowApi(environment["AIRFLOW__API__BASE_URL"], "admin", login),
                f"http://{running.HOST}:{port}",
                password,
                hook,
                alerts,
            )
            try:
                listed = {f"{MODEL}.{stage}" for stage in STAGES}
                wait_for("our DAGs", lambda: listed <= set(made.airflow.dags(MODEL)), 240)
                theirs.run("\n".join(steps["5"]), project, shell, examples)
                yield made
            finally:
                made.airflow.close()
                services.remove_all(made.settings)


def spend_little(spec: Path) -> None:
    document = yaml.safe_load(spec.read_text())
    document["training"]["budget"] = {"trials": 4, "seconds": 20, "workers": 2}
    document["training"]["estimators"] = ["hist_gradient_boosting", "ridge"]
    document.setdefault("monitoring", {})["schedule"] = None
    easy = {"load_seconds": 0.5, "p99_ms": 10_000, "min_requests_per_s": 1}
    deployment = document.setdefault("deployment", {})
    deployment |= {"service_levels": easy, "watch": {"seconds": 3}}  # not what is tested here
    spec.write_text(yaml.safe_dump(document, sort_keys=False))


def test_a_landed_file_becomes_the_champion_in_the_remote_mlflow(team: Team) -> None:
    ledger = open_ledger(team.settings.ledger_url)
    wait_for(
        "production, or an alert that says why not",
        lambda: ledger.deployment(MODEL, "production") or team.alerts,
        seconds=500,
    )
    for environment in ("staging", "production"):
        live = ledger.deployment(MODEL, environment)
        assert live is not None, team.alerts
        assert requests.get(f"{live.service.endpoint}/ping", timeout=10).status_code == 200

    where = f"{team.mlflow}/api/2.0/mlflow/model-versions/get?name={MODEL}&version=1"
    assert requests.get(where, timeout=30).status_code == 401, "it lets nobody in without a login"
    found = requests.get(where, auth=(USER, team.password), timeout=30)
    assert found.json()["model_version"]["name"] == MODEL
    assert not (team.project / ".evergreen" / "mlflow").exists()
    assert team.alerts == []


def test_their_own_dag_plugin_and_policy_go_on_working(team: Team) -> None:
    assert team.airflow.import_errors() == {}
    team.airflow._call("PATCH", "/dags/monthly_report", {"is_paused": False})
    run = team.airflow.trigger("monthly_report", {}, "the team's own")
    assert team.finished(run, 180).state == "success"
    plugins = team.airflow._get("/plugins", {"limit": 100})["plugins"]
    assert {"their_plugin", "evergreen"} <= {plugin["name"] for plugin in plugins}
    tasks = team.airflow._get(f"/dags/{MODEL}.train/tasks")["tasks"]
    assert {task["priority_weight"] for task in tasks} == {7}


def test_a_wrong_password_fails_at_once_and_the_webhook_hears_why(team: Team) -> None:
    host, _, port = team.mlflow.rpartition(":")
    wrong = secrets.token_urlsafe(16)
    login = {"conn_type": "http", "host": host, "port": int(port), "login": USER}
    team.airflow.load(
        "connections", [{"connection_id": "evergreen_mlflow", **login, "password": wrong}]
    )
    run = team.airflow.trigger(f"{MODEL}.train", {"force": True}, "with a wrong password")
    assert team.finished(run, 180).state == "failed"

    refused = f"MLflow at {team.mlflow} refuses the login (UNAUTHENTICATED)."
    assert refused in team.log_of(run, "failed")
    assert all(task.try_number <= 1 for task in team.airflow.tasks(run)), "no retry can help"

    def heard() -> list[str]:  # other runs may meet the wrong password as well
        return [text for text in team.alerts if f" failed in run {run.run_id}: " in text]

    wait_for("an alert of the task and one of the run", lambda: len(heard()) == 2, 120)
    of_task, of_run = sorted(heard(), key=lambda text: refused not in text)
    assert of_task.startswith(f"{MODEL}.train.freeze_snapshot failed in run")
    assert refused in of_task
    assert of_run.startswith(f"{MODEL}.train failed in run")
    at = f"/dags/{MODEL}.train/runs/{quote(run.run_id)}"
    for text in (of_task, of_run):
        assert "It can wait until morning." in text
        assert at in text, "where to look"

    for secret in (team.password, wrong, "T0-secret-of-the-webhook"):
        assert not [text for text in team.alerts if secret in text]
        assert running.files_with(secret, team.project.parent) == []


def test_a_secret_in_a_file_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.log").write_text("Basic hunter2-of-a-test")
    assert running.files_with("hunter2-of-a-test", tmp_path) == ["deep/a.log"]
