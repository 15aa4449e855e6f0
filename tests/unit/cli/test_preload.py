"""The scheduler imports once for all its workers, nobody else does, and its forks can fit."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from include.evergreen import preload

HEAVY = ("mlflow", "evidently", "sklearn", "optuna", "deltalake")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/x/bin/airflow", "scheduler"], True),
        (["/x/bin/airflow", "scheduler", "--skip-serve-logs"], True),
        (["/x/airflow/__main__.py", "scheduler"], True),
        (["/x/bin/airflow", "dag-processor"], False),
        (["/x/bin/airflow", "dags", "trigger", "scheduler"], False),
        (["/x/bin/airflow"], False),
        (["/x/bin/pytest", "scheduler"], False),
    ],
)
def test_only_the_scheduler_preloads(argv: list[str], expected: bool) -> None:
    assert preload.is_scheduler(argv) is expected


def _python(code: str, argv: list[str], project_root: Path) -> str:
    program = f"import sys; sys.argv = {argv!r}\n{textwrap.dedent(code)}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project_root,
        env={"PYTHONPATH": f"{project_root}:{project_root / 'config'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "The `airflow." not in done.stderr, "a thousand warnings in the scheduler's log"
    return done.stdout


def test_no_other_airflow_process_pays_for_it(project_root: Path) -> None:
    code = f"""
        import airflow_local_settings
        print([name for name in {HEAVY!r} if name in sys.modules])
        print(airflow_local_settings.__all__)
    """
    assert _python(code, ["airflow", "api-server"], project_root) == "[]\n[]\n"


@pytest.mark.slow
def test_the_scheduler_has_it_all_and_its_forks_can_fit(project_root: Path) -> None:
    """Preloading must start no thread pool: a fork that fits would wait for it for ever."""
    code = """
        import airflow.utils.timezone  # as in the scheduler, which imports the settings after it
        import airflow_local_settings
        import os, threading
        import include.evergreen.preload as preload
        wanted = [*preload.LIBRARIES, *preload.our_modules()]
        print([name for name in wanted if name not in sys.modules])
        print(threading.active_count())
        pid = os.fork()
        if pid == 0:
            import numpy as np, polars as pl
            from sklearn.ensemble import HistGradientBoostingRegressor
            x = np.random.default_rng(0).normal(size=(5000, 5))
            HistGradientBoostingRegressor(max_iter=20).fit(x, x[:, 0])
            assert pl.DataFrame({"a": x[:, 0]}).lazy().select(pl.col("a").sum()).collect().height
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
    """
    said = _python(code, ["airflow", "scheduler"], project_root).splitlines()
    assert said == ["[]", "1", "0"]
