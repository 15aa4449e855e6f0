"""An Airflow project that a team had before Evergreen, and the guide's commands run in it."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

GUIDE = Path("docs/guides/existing-airflow.md")
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = 180

THEIR_FILES = {
    "dags/monthly_report.py": """
        import datetime as dt

        from airflow.sdk import dag, task

        from include.helpers.dates import first_of_month


        @dag(schedule=None, start_date=dt.datetime(2026, 1, 1), catchup=False)
        def monthly_report():
            @task
            def write():
                return first_of_month(dt.date(2026, 3, 9)).isoformat()

            write()


        monthly_report()
        """,
    "dags/train.py": '"""Theirs, named as one of ours; an airflow file without a DAG."""\n',
    "include/helpers/__init__.py": "",
    "include/helpers/dates.py": """
        def first_of_month(day):
            return day.replace(day=1)
        """,
    "plugins/their_plugin.py": """
        from airflow.plugins_manager import AirflowPlugin


        class TheirPlugin(AirflowPlugin):
            name = "their_plugin"
        """,
    # Without a newline at its end, as editors leave it now and then.
    "config/airflow_local_settings.py": "def task_policy(task):\n    task.priority_weight = 7",
    "requirements.txt": "apache-airflow==3.3.2\nrequests\n",
}


def make_project(folder: Path, *, regular_include: bool) -> Path:
    """The team's files; with `regular_include` its `include/` has an `__init__.py`."""
    for name, text in THEIR_FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_dedent(text))
    if regular_include:
        (folder / "include" / "__init__.py").write_text("")
    return folder


def _dedent(text: str) -> str:
    return re.sub(r"^ {8}", "", text, flags=re.MULTILINE).removeprefix("\n")


def commands_of_the_guide(project_root: Path) -> dict[str, list[str]]:
    """The number of each step -> its blocks of commands, in the order of the guide."""
    sections = re.split(r"^## ", (project_root / GUIDE).read_text(), flags=re.MULTILINE)[1:]
    found = {section[0]: _BLOCK.findall(section) for section in sections}
    return {step: blocks for step, blocks in found.items() if blocks}


def plain_environment(project: Path, **variables: str) -> dict[str, str]:
    """A shell of the team's: AIRFLOW_HOME and their Python first on the PATH, nothing of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "EVERGREEN_", "MLFLOW_", "PYTHON", "PYTEST"))
    }
    return kept | {
        "AIRFLOW_HOME": str(project),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **variables,
    }


def run(
    script: str, project: Path, environment: Mapping[str, str], examples: Mapping[str, str]
) -> str:
    """Run commands of the guide in the project, each example replaced; what they said."""
    for example, real in examples.items():
        script = script.replace(example, real)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=project,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
