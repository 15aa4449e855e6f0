"""What runs in a forked child: the body of one task of a DAG file, as Airflow would call it."""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import logging
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.definitions._internal.abstractoperator import AbstractOperator
from airflow.sdk.definitions.xcom_arg import XComArg
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from include.evergreen import dag_kit as kit
from include.evergreen import settings

DAGS = Path(__file__).resolve().parents[2] / "dags"
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(process)d %(message)s")
for noisy in ("alembic", "mlflow", "httpx", "urllib3", "matplotlib"):
    logging.getLogger(noisy).setLevel(logging.WARNING)


def plan(dag_id: str) -> dict[str, Any]:
    """The tasks of a DAG, upstream first, with where their arguments come from."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS)
    if bag.import_errors:
        return {"state": "failed", "error": str(bag.import_errors)}
    return {
        "state": "success",
        "value": [_described(task) for task in bag.dags[dag_id].topological_sort()],
    }


def _described(task: AbstractOperator) -> dict[str, Any]:
    mapped = getattr(task, "op_kwargs_expand_input", None)
    named = task.partial_kwargs["op_kwargs"] if mapped is not None else task.op_kwargs
    positional = () if mapped is not None else task.op_args
    return {
        "task": task.task_id,
        "args": [_source(value) for value in positional],
        "kwargs": {name: _source(value) for name, value in named.items()},
        "mapped": {k: list(v) for k, v in mapped.value.items()} if mapped is not None else {},
        "upstream": sorted(task.upstream_task_ids),
        "all_done": task.trigger_rule == "all_done",
        "any_success": task.trigger_rule == "none_failed_min_one_success",
        "outlets": [outlet.name for outlet in task.outlets],
    }


def _source(value: Any) -> dict[str, Any]:
    if isinstance(value, XComArg):
        return {"xcom": value.operator.task_id}
    return {"literal": value}


def run_task(
    dag_file: str,
    task: str,
    args: list[Any],
    kwargs: dict[str, Any],
    run_id: str,
    shift_s: float,
    params: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Call the body of a task; how it ended, as JSON.

    Args:
        dag_file: its module in `dags`.
        task: the name of its function.
        args: positional, with XComs in the place of their sources.
        kwargs: by name.
        run_id: of the run that the task belongs to.
        shift_s: how far the clock is ahead.
        params: the form of a run by hand; left out: nobody filled one in.
    """
    body = getattr(importlib.import_module(f"dags.{dag_file}"), task).function
    _put_context_in_place(dag_file, run_id, params or {})
    put_clock_ahead(shift_s)
    try:
        return {"state": "success", "value": body(*args, **kwargs)}
    except AirflowSkipException as skip:
        return {"state": "skipped", "error": str(skip)}
    except AirflowRescheduleException:
        return {"state": "up_for_reschedule"}
    except Exception as error:  # noqa: BLE001 - Airflow's part
        traceback.print_exc()
        return {"state": "failed", "error": f"{type(error).__name__}: {error}"}


def _put_context_in_place(dag_file: str, run_id: str, params: dict[str, Any]) -> None:
    run_type = "manual" if params else "asset_triggered"
    context = {
        "dag_run": SimpleNamespace(dag_id=f"chaos.{dag_file}", run_id=run_id, run_type=run_type),
        "params": params,
        "ti": SimpleNamespace(xcom_push=lambda **_: None),
    }
    kit.get_current_context = lambda: context
    kit.load_settings = settings.load


def put_clock_ahead(shift_s: float) -> None:
    """Every clock that the stages are handed: `kit.now`, and the defaults named `clock`."""
    shift = dt.timedelta(seconds=shift_s)

    def ahead() -> dt.datetime:
        return dt.datetime.now(dt.UTC) + shift

    kit.now = ahead
    prefix = "include.evergreen.stages."
    for name, module in list(sys.modules.items()):
        if name.startswith(prefix):
            for _, function in inspect.getmembers(module, inspect.isfunction):
                defaults = inspect.unwrap(function).__kwdefaults__
                if defaults and "clock" in defaults:
                    defaults["clock"] = ahead
