"""The environment of the embedded Airflow: what must be as it is, and what a person may tune.

A value of TUNABLE can be replaced by setting the same variable before `make up`; what is
STRUCTURAL holds the stack together and wins over the shell it was started from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from include.evergreen.cli.stack.metadata import metadata
from include.evergreen.cli.stack.ports import HOST
from include.evergreen.cli.stack.state import USER, password_file
from include.evergreen.settings import PROJECT_ROOT

TUNABLE = {
    "AIRFLOW__API__INSTANCE_NAME": "Evergreen",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # LocalExecutor forks all of its workers at once: 8 is right for 2 cores.
    "AIRFLOW__CORE__PARALLELISM": "8",
    # A new spec shows within seconds. Parsing all files costs about a second of one core.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "15",
    # A chain of no-op tasks: 0.57 s a task instead of 1.09 s. Not 0: that would spin.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    # The default of 5 now and then holds a slot for 5 s after 0.1 s of work.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # A dead task or scheduler is seen after seconds, not minutes.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    # A task outlives a restart of the API server, which takes about ten seconds.
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "10",
    "DO_NOT_TRACK": "1",
    "SCARF_ANALYTICS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # Waiting OpenMP threads sleep instead of spinning: two workers share the cores.
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTHONUNBUFFERED": "1",
}

#: Of another Airflow that the shell was set up for: would lead this one astray.
DROPPED = (
    "AIRFLOW_CONFIG",
    "AIRFLOW__CORE__UNIT_TEST_MODE",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST",
    "AIRFLOW__API__SSL_CERT",
    "AIRFLOW__API__SSL_KEY",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET",
)


def stack_environment(
    home: Path, airflow_port: int, mlflow_port: int, environ: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of every process of the stack. Secrets are in Airflow's own files.

    With `mlflow_port` 0 the MLflow server is the one that the shell's own variables name.
    """
    airflow = home / "airflow"
    url = f"http://{HOST}:{airflow_port}"
    auth = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
    structural = {
        "AIRFLOW_HOME": str(airflow),
        "AIRFLOW__CORE__AUTH_MANAGER": auth,
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(home)),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(airflow_port),
        **metadata(home, environ).variables(),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(airflow / "logs"),
        "EVERGREEN_HOME": str(home),
        "NO_PROXY": _joined(",", environ.get("NO_PROXY", ""), HOST, "localhost"),
        "no_proxy": _joined(",", environ.get("no_proxy", ""), HOST, "localhost"),
        "PYTHONPATH": _joined(
            ":", str(PROJECT_ROOT), str(PROJECT_ROOT / "config"), environ.get("PYTHONPATH", "")
        ),
    }
    if mlflow_port:
        structural["EVERGREEN_MLFLOW_URI"] = f"http://{HOST}:{mlflow_port}"
        structural["EVERGREEN_MLFLOW_PUBLIC_URL"] = f"http://{HOST}:{mlflow_port}"
    kept = {name: value for name, value in environ.items() if name not in DROPPED}
    return TUNABLE | kept | structural


def _joined(separator: str, *parts: str) -> str:
    """The parts in order, without blanks and repetitions."""
    single = (piece for part in parts for piece in part.split(separator) if piece)
    return separator.join(dict.fromkeys(single))
