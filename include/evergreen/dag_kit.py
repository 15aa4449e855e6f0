"""What every DAG file shares: which models there are, default arguments, retry rule, resources.

A DAG file that runs inside a task builds only the DAG of that task, so that a hundred models
cost a task no more than two do. Everything heavy is imported inside the functions a task calls.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    DAG,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    get_current_context,
    get_parsing_context,
)
from airflow.sdk.bases.operatorlink import BaseOperatorLink
from airflow.sdk.definitions.asset import BaseAsset
from airflow.sdk.definitions.param import Param
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from include.evergreen import notify, settings
from include.evergreen.airflow_lookup import load_settings
from include.evergreen.errors import is_retryable
from include.evergreen.run_params import Form, parse_conf
from include.evergreen.spec import ModelSpec, load_specs

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from include.evergreen.stages.maintain.parts import Installation
    from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

RETRIES = 2
RETRY_DELAY = dt.timedelta(seconds=5)  # SIGKILL bypasses the retry rule: the delay stays short
LOOK_AGAIN_S = 5.0  # what waits for longer than a worker is held is looked at again after this
TRAINING_POOL = "training"
CONTAINER_POOL = "containers"


class RetryWhatCanHelp(RetryPolicy):
    """Retries what a second try can mend, and fails the rest at once (`errors.is_retryable`)."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,  # noqa: ARG002
    ) -> RetryDecision:
        if is_retryable(exception):
            return RetryDecision.default()
        return RetryDecision.fail(reason=f"{type(exception).__name__}: a retry cannot help")


def specs() -> list[ModelSpec]:
    """The models a DAG file builds DAGs for: all that load, or, inside a task, the task's own."""
    dag_id = get_parsing_context().dag_id
    only = dag_id.split(".", 1)[0] if dag_id else None
    loaded = load_specs(settings.load().models_dir, only=only)
    return list(loaded.specs.values())


def stage_dag(
    spec: ModelSpec,
    stage: str,
    *,
    wakes_on: BaseAsset | None,
    cron: str | None,
    doc: str,
    timeout: dt.timedelta,
    params: Mapping[str, Param] | None = None,
) -> DAG:
    """The DAG `<model>.<stage>`: one run at a time, no catch-up, ended when it hangs."""
    first_line, rest = _in_markdown(doc)
    return DAG(
        dag_id=f"{spec.model}.{stage}",
        description=first_line,
        doc_md=f"**{spec.model}** ({spec.task}, owner {spec.owner}). {spec.description}\n\n"
        f"### {first_line}\n{rest}",
        schedule=_schedule(wakes_on, cron),
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timeout,
        params=dict(params or {}),
        tags=[f"model:{spec.model}", f"stage:{stage}", f"task:{spec.task}"],
        on_failure_callback=notify.report_failed_run,
        default_args=_task_defaults(spec.owner, timeout),
    )


def _in_markdown(doc: str) -> tuple[str, str]:
    """The first line of a DAG file's docstring, and the rest with a paragraph for each claim."""
    first_line, _, rest = doc.strip().partition("\n")
    return first_line, rest.replace("\n**", "\n\n**")


def version_param(description: str) -> Param:
    """The field of a form for a version that may be left out."""
    return Param(
        default=None, type=["null", "integer"], minimum=1, title="Version", description=description
    )


def reason_param(description: str) -> Param:
    """The field of a form for a text that may be left out: null, for a form takes no empty text."""
    return Param(
        default=None,
        type=["null", "string"],
        maxLength=500,
        title="Reason",
        description=description,
    )


def is_wanted(dag_id: str) -> bool:
    """Whether to build a DAG that is no model's: always, but not inside the task of another."""
    return get_parsing_context().dag_id in {None, dag_id}


def installation_dag(
    dag_id: str, *, cron: str, doc: str, timeout: dt.timedelta, params: Mapping[str, Param]
) -> DAG:
    """A DAG for all models together, under the rules of `stage_dag`."""
    first_line, rest = _in_markdown(doc)
    return DAG(
        dag_id=dag_id,
        description=first_line,
        doc_md=f"### {first_line}\n{rest}",
        schedule=_schedule(None, cron),
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timeout,
        params=dict(params),
        tags=[f"stage:{dag_id}"],
        on_failure_callback=notify.report_failed_run,
        default_args=_task_defaults("evergreen", timeout),
    )


def _task_defaults(owner: str, timeout: dt.timedelta) -> dict[str, Any]:
    return {
        "owner": owner,
        "retries": RETRIES,
        "retry_delay": RETRY_DELAY,
        "retry_policy": RetryWhatCanHelp(),
        "execution_timeout": timeout,
        "on_failure_callback": notify.report_failure,
    }


def _schedule(wakes_on: BaseAsset | None, cron: str | None) -> Any:
    timetable = CronTriggerTimetable(cron, timezone="UTC") if cron else None
    if timetable and wakes_on:
        return AssetOrTimeSchedule(timetable=timetable, assets=wakes_on)
    return timetable or wakes_on


def task(*links: type[BaseOperatorLink], **arguments: Any) -> Callable[[Callable[..., Any]], Any]:
    """Airflow's `@task`, with links on the task in the UI. For mapped tasks too."""
    from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
    from airflow.sdk.bases.decorator import task_decorator_factory

    shown = tuple(link() for link in links)

    class _LinkedTask(_PythonDecoratedOperator):
        operator_extra_links = shown

    def decorate(function: Callable[..., Any]) -> Any:
        return task_decorator_factory(
            python_callable=function, decorated_operator_class=_LinkedTask, **arguments
        )

    return decorate


def resources(model: str, *, even_retired: bool = False) -> Resources:
    """Inside a task: the model's spec as it stands now, and the adapters of this installation.

    A task of a model that was retired is skipped here, whatever woke it.
    """
    from include.evergreen.stages.release.retired import why_retired
    from include.evergreen.stages.resources import Resources

    installation = load_settings()
    loaded = load_specs(installation.models_dir, only=model)
    for refusal in loaded.refusals:
        log.warning("Refused spec: %s", refusal.message)
    if model not in loaded.specs:
        from include.evergreen.errors import SpecError

        raise SpecError(
            f"No valid spec for model '{model}' in {installation.models_dir}. "
            "Put it back, or mend what the import error of spec_check.py names."
        )
    found = Resources(loaded.specs[model], installation, owner=owner())
    why = "" if even_retired else why_retired(found.ledger, model)
    if why:
        raise nothing_to_do(f"{model} is retired ({why}). {model}.retire takes that back: 'undo'.")
    return found


def installation(retention_days: float | None) -> Installation:
    """Inside a task: all models together, with the rules by which `maintain` keeps house."""
    from include.evergreen.policy.retention_facts import RetentionRules
    from include.evergreen.stages.maintain.parts import Installation

    found = load_settings()
    rules = RetentionRules(dt.timedelta(days=retention_days or settings.retention_days()))
    return Installation(found, load_specs(found.models_dir).specs, rules, now(), owner())


def nothing_to_do(why: str) -> AirflowSkipException:
    """Raised when there is nothing to do: the task and what follows are skipped, no asset fires."""
    return AirflowSkipException(why)


def look_again(after_s: float) -> AirflowRescheduleException:
    """Raised when a task waits for time to pass: it gives its worker back, and runs again then."""
    return AirflowRescheduleException(now() + dt.timedelta(seconds=after_s))


def show(name: str, text: str) -> str:
    """Inside a task: put a line under the task's XComs in the UI; also a skipped task shows it."""
    get_current_context()["ti"].xcom_push(key=name, value=text)
    return text


def params() -> dict[str, Any]:
    """Inside a task: what this run's trigger form says, as it came."""
    return dict(get_current_context()["params"])


def form(kind: type[Form]) -> Form:
    """Inside a task: what this run's trigger form says, checked once more (`InputError`)."""
    return parse_conf(params(), kind)


def owner() -> str:
    """Inside a task: in whose name it takes leases; the same in every try of its run."""
    return f"{get_current_context()['dag_run'].dag_id} {run_id()}"


def run_id() -> str:
    """Inside a task: the run it belongs to; it owns what the task claims in the ledger."""
    return str(get_current_context()["dag_run"].run_id)


def person() -> str:
    """Inside a task: who triggered the run by hand, by their name in Airflow; '' if nobody did."""
    run = get_current_context()["dag_run"]
    return str(getattr(run, "triggering_user_name", None) or "") if run_type() == "manual" else ""


def run_type() -> str:
    """Inside a task: what started the run: `manual`, `scheduled`, `asset_triggered`."""
    kind = get_current_context()["dag_run"].run_type
    return str(getattr(kind, "value", kind))


def now() -> dt.datetime:
    """The clock of a task body; stages take the time as an argument."""
    return dt.datetime.now(dt.UTC)
