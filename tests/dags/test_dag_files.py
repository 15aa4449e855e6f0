"""The DAG files as Airflow sees them."""

import json
import re
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.module_loading import import_string
from airflow.serialization.serialized_objects import DagSerialization

from tests.dags.conftest import SPEC

#: One DAG for all models together.
OF_ALL = {"maintain"}
STAGES = {"ingest", "train", "deploy", "release", "rollback", "retire", "monitor"}


@pytest.fixture
def bag(write_models, project_root: Path) -> DagBag:
    write_models("alpha", "beta")
    return DagBag(dag_folder=project_root / "dags")


def test_each_model_has_one_dag_a_stage(bag: DagBag) -> None:
    assert bag.import_errors == {}
    of_models = {f"{model}.{stage}" for model in ("alpha", "beta") for stage in STAGES}
    assert set(bag.dags) == of_models | OF_ALL


def test_every_task_retries_a_bounded_number_of_times_and_ends(bag: DagBag) -> None:
    for dag in bag.dags.values():
        assert dag.dagrun_timeout is not None
        assert dag.max_active_runs == 1
        assert not dag.catchup
        for task in dag.tasks:
            assert task.retries == 2
            assert task.execution_timeout is not None
            assert task.retry_policy is not None
            assert task.on_failure_callback


def test_every_dag_explains_itself_to_the_person_on_call(bag: DagBag) -> None:
    for dag in bag.dags.values():
        for heading in ("Wakes on", "Makes true", "Safe to clear", "When it fails"):
            assert heading in dag.doc_md, (dag.dag_id, heading)
        model, _, stage = dag.dag_id.rpartition(".")
        expected = {f"stage:{stage}"} | ({f"model:{model}"} if model else set())
        assert expected <= set(dag.tags)


def test_every_param_has_a_title_a_description_and_a_type(bag: DagBag) -> None:
    seen = 0
    for dag in bag.dags.values():
        for name in dag.params:
            schema = dag.params.get_param(name).schema
            assert schema["title"], name
            assert dag.params.get_param(name).description.endswith("."), name
            assert schema["type"], name
            seen += 1
    assert seen == 2 * (1 + 4 + 1 + 2 + 2 + 3) + 3


def test_one_click_triggers_every_dag_but_the_one_that_must_be_confirmed(bag: DagBag) -> None:
    """Airflow's form wants a text where the schema has no null, and keeps its button shut."""
    shut = {
        f"{dag.dag_id}: {name}"
        for dag in bag.dags.values()
        for name in dag.params
        if not dag.params[name] and dag.params.get_param(name).schema["type"] == "string"
    }
    assert shut == {f"{model}.retire: confirm" for model in ("alpha", "beta")}


def test_task_ids_are_verb_phrases(bag: DagBag) -> None:
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert re.fullmatch(r"[a-z]+(_[a-z]+)+", task.task_id), task.task_id


def longest_chain(dag: DAG) -> int:
    lengths: dict[str, int] = {}
    for task in dag.topological_sort():
        before = [lengths[above] for above in task.upstream_task_ids]
        lengths[task.task_id] = 1 + max(before, default=0)
    return max(
        length
        for task_id, length in lengths.items()
        if dag.task_dict[task_id].outlets or not any(task.outlets for task in dag.tasks)
    )


def test_at_most_twelve_tasks_from_file_to_verified_staging(bag: DagBag) -> None:
    """On the critical path: up to the task whose asset wakes the next DAG."""
    path = sum(longest_chain(bag.dags[f"alpha.{stage}"]) for stage in ("ingest", "train", "deploy"))
    assert path <= 12


def test_parsing_twice_serialises_identically(bag: DagBag, project_root: Path) -> None:
    again = DagBag(dag_folder=project_root / "dags")
    for dag_id, dag in bag.dags.items():
        first = DagSerialization.to_dict(dag)
        second = DagSerialization.to_dict(again.dags[dag_id])
        assert json.dumps(first, sort_keys=True, default=str) == json.dumps(
            second, sort_keys=True, default=str
        )


def test_every_watcher_can_be_imported_by_a_triggerer(bag: DagBag) -> None:
    found = 0
    for dag in bag.dags.values():
        condition = getattr(dag.timetable, "asset_condition", None)
        for asset in getattr(condition, "objects", [condition] if condition else []):
            for watcher in asset.watchers:
                classpath, arguments = watcher.trigger.serialize()
                trigger = import_string(classpath)(**arguments)
                assert trigger.serialize() == (classpath, arguments)
                json.dumps(arguments)
                found += 1
    assert found == 6


def test_a_file_that_runs_inside_a_task_builds_only_that_task_s_dag(
    write_models, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_models("alpha", "beta")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "beta.train")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "claim_requests")
    bag = DagBag(dag_folder=project_root / "dags" / "train.py")
    assert set(bag.dags) == {"beta.train"}
    assert not DagBag(dag_folder=project_root / "dags" / "maintain.py").dags


def test_a_refused_spec_stops_only_its_own_model(write_models, project_root: Path) -> None:
    write_models("alpha", broken="model: broken\ntask: regresion\n")
    bag = DagBag(dag_folder=project_root / "dags")
    assert set(bag.dags) == {f"alpha.{stage}" for stage in STAGES} | OF_ALL
    [(file, error)] = bag.import_errors.items()
    assert file.endswith("spec_check.py")
    assert "broken.yaml" in error


def test_no_task_body_reads_the_date_of_a_run_that_has_none(project_root: Path) -> None:
    for file in (project_root / "dags").glob("*.py"):
        assert not re.search(r"\bds\b|logical_date|data_interval", file.read_text()), file


def test_nothing_waits_for_a_model_card_and_a_lost_challenger_has_one(bag: DagBag) -> None:
    tasks = bag.dags["alpha.train"].task_dict
    card = tasks["write_model_card"]
    assert card.downstream_task_ids == set()
    assert card.outlets == []
    assert "register_candidate" in card.upstream_task_ids, "it takes no slot before a registration"
    assert card.trigger_rule == "none_failed_min_one_success"
    assert tasks["register_candidate"].outlets, "what wakes deploy is sent before there is a card"


def test_a_release_waits_for_a_person_only_where_the_spec_asks_for_one(
    write_models, project_root: Path
) -> None:
    asks = SPEC + (
        "deployment:\n  approval: required\n  approval_rules: "
        "{{users: [reviewer], timeout_s: 3600}}\n"
    )
    write_models("alpha", beta=asks.format(name="beta"))
    dags = DagBag(dag_folder=project_root / "dags" / "release.py").dags
    by_itself, asked = dags["alpha.release"], dags["beta.release"]
    assert "approve_release" in by_itself.task_ids
    assert "ask_person" not in by_itself.task_ids
    assert "approve_release" not in asked.task_ids, "nothing but a person lets it through"
    ask = asked.get_task("ask_person")
    assert (ask.options, ask.defaults) == (["Approve", "Reject"], ["Reject"])
    assert ask.assigned_users == [{"id": "reviewer", "name": "reviewer"}]
    assert ask.response_timeout.total_seconds() == 3600
    assert list(ask.params) == ["comment"]
    assert ask.upstream_task_ids == {"choose_version"}
    assert "check_approval" in asked.get_task("start_in_production").upstream_task_ids
    assert asked.get_task("check_approval").upstream_task_ids == {"choose_version", "ask_person"}
    assert asked.dagrun_timeout > by_itself.dagrun_timeout, "it waits for as long as is asked"
