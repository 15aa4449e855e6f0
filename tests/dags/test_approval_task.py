"""The task that asks a person: what it shows is no template, and only a person's yes is one."""

import asyncio
import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.triggers import hitl as airflow_hitl
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.module_loading import import_string

from include.evergreen import airflow_lookup, approval_task, dag_kit
from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.approval_task import AskForApproval
from include.evergreen.approval_trigger import ApprovalTrigger
from include.evergreen.contracts import Answer, BuiltImage, Proposal, Question, RunningService
from include.evergreen.stages.release import approval, evidence

IMAGE = BuiltImage("rides", 1, "process", "/x", "sha256:1", "m")
QUESTION = {"subject": "Release {{ 7 * 7 }}?", "body": "a category called {{ x }}"}
AT = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
PROPOSAL = Proposal("rides", 1, IMAGE, 1, None, "it won", at=AT.isoformat()).as_json()
REVIEWER = {"id": "7", "name": "reviewer"}


def operator(proposal: Any = PROPOSAL) -> AskForApproval:
    return AskForApproval(
        task_id="ask_person", model="rides", proposal=proposal, users=["7"], wait_s=60.0
    )


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What is written to the ledger of the model."""
    rules = SimpleNamespace(timeout_s=60.0)
    deployment = SimpleNamespace(approval_rules=rules)
    resources = SimpleNamespace(model="rides", spec=SimpleNamespace(deployment=deployment))
    monkeypatch.setattr(dag_kit, "resources", lambda model: {"rides": resources}[model])
    written: list[tuple] = []
    monkeypatch.setattr(
        approval, "record_answer", lambda of, *said, now: written.append((of.model, *said))
    )
    return written


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What Airflow is told to ask."""
    said: list[dict] = []
    module = "airflow.providers.standard.operators.hitl.upsert_hitl_detail"
    monkeypatch.setattr(module, lambda **details: said.append(details))
    return said


def context() -> Any:
    return {"task_instance": SimpleNamespace(id="0190")}


@pytest.mark.usefixtures("recorded")
def test_what_it_shows_is_no_template_and_it_waits_without_a_worker(
    asked: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "question", lambda *_: Question.from_json(QUESTION))
    with DAG("rides.release", schedule=None):

        @task
        def choose_version() -> dict:
            return PROPOSAL

        ask = operator(choose_version())
    assert ask.upstream_task_ids == {"choose_version"}

    class Xcom:
        def xcom_pull(self, **_: Any) -> Any:
            return PROPOSAL

    ask.render_template_fields({**context(), "ti": Xcom(), "x": "EVIL", "run_id": "r"})
    with pytest.raises(TaskDeferred) as waits:
        ask.execute(context())
    [said] = asked
    assert (said["subject"], said["body"]) == (QUESTION["subject"], QUESTION["body"])
    assert said["defaults"] == ["Reject"]
    assert said["assigned_users"] == [{"id": "7", "name": "7"}]
    assert list(said["params"]) == ["comment"], "nothing of the DAG's own form"
    classpath, arguments = waits.value.trigger.serialize()
    again = import_string(classpath)(**arguments)
    assert again.serialize()[1]["proposal"] == PROPOSAL
    until = again.serialize()[1]["timeout_datetime"]
    assert until == AT + dt.timedelta(seconds=60), "of the proposal, however often it is asked"
    assert waits.value.kwargs == {"proposal": PROPOSAL}, "what was asked about is kept with it"


@pytest.mark.usefixtures("recorded")
def test_nobody_is_asked_what_was_answered_before(
    asked: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "question", lambda *_: None)
    assert operator().execute(context()) is None
    assert asked == []


@pytest.mark.parametrize(
    ("option", "user", "comment", "expected"),
    [
        ("Approve", REVIEWER, " fine ", (True, "reviewer", "7", "fine")),
        ("Approve", {"id": "7", "name": ""}, "", (True, "7", "7", "")),
        ("Approve", REVIEWER, None, (True, "reviewer", "7", "")),
        ("Reject", REVIEWER, "slow", (False, "reviewer", "7", "slow")),
        ("Reject", None, "", (False, "", "", "")),
        ("Approve", None, "a default", (True, "", "", "")),
    ],
)
def test_only_a_name_behind_an_answer_makes_it_a_person_s_and_it_is_recorded_where_it_arrives(
    option: str, user: dict | None, comment: str | None, expected: tuple, recorded: list[tuple]
) -> None:
    event = {
        "chosen_options": [option],
        "params_input": {"comment": comment},
        "responded_at": AT,
        "responded_by_user": user,
        "timedout": user is None,
    }
    swapped = {**PROPOSAL, "version": 9}
    answer = operator(swapped).execute_complete(context(), event, proposal=PROPOSAL)
    found = (answer["approves"], answer["person"], answer["person_id"], answer["comment"])
    assert found == expected
    assert answer["at"] == AT.isoformat()
    assert recorded == [("rides", Proposal.from_json(PROPOSAL), Answer.from_json(answer))]


class Answers:
    """Airflow's record of a question, as a trigger sees it."""

    def __init__(self) -> None:
        self.chosen: list[str] = []
        self.by: SimpleNamespace | None = None

    def get(self, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(
            response_received=bool(self.chosen), chosen_options=self.chosen, params_input={},
            responded_at=AT, responded_by_user=self.by,
        )  # fmt: skip

    def put(self, *, chosen_options: list[str], **_: Any) -> SimpleNamespace:
        self.chosen = chosen_options
        return self.get()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    found = Answers()
    monkeypatch.setattr(airflow_hitl, "get_hitl_detail_content_detail", found.get)
    monkeypatch.setattr(airflow_hitl, "update_hitl_detail_response", found.put)
    return found


def wait_for(timeout_s: float, limit_s: float = 5.0) -> dict:
    async def first() -> dict:
        trigger = ApprovalTrigger(
            proposal=PROPOSAL, ti_id="0190", options=["Approve", "Reject"], params={},
            defaults=["Reject"], poke_interval=0.02,
            timeout_datetime=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=timeout_s),
        )  # fmt: skip
        async for event in trigger.run():
            return event.payload
        raise AssertionError("it ended without a word")

    return asyncio.run(asyncio.wait_for(first(), limit_s))


@pytest.fixture
def ledger(installation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(airflow_lookup, "load_settings", lambda: installation)
    return open_ledger(installation.ledger_url)


def test_the_wait_ends_by_a_person_by_the_clock_by_a_newer_version_and_by_retirement(
    answers: Answers, ledger
) -> None:
    with pytest.raises(TimeoutError):
        wait_for(60.0, limit_s=0.5)
    assert wait_for(0.1)["timedout"] is True
    assert answers.chosen == ["Reject"], "the clock says no, and the page is closed"
    answers.chosen, answers.by = ["Approve"], SimpleNamespace(**REVIEWER)
    said = wait_for(60.0)
    assert (said["chosen_options"], said["responded_by_user"]) == (["Approve"], REVIEWER)

    answers.chosen, answers.by = [], None
    number = ledger.begin_deployment("rides", 2, "staging", "v2", AT)
    service = RunningService("0:0", "v2", "process", "http://x", "sha256:2", "")
    ledger.record_service(number, service, AT)
    ledger.finish_deployment(number, "live", "verified", (), AT)
    said = wait_for(60.0)
    assert (said["chosen_options"], said["responded_by_user"]) == (["Reject"], None)

    answers.chosen = []
    ledger.finish_deployment(number, "stopped", "", (), AT)
    with pytest.raises(TimeoutError):
        wait_for(60.0, limit_s=0.5)
    ledger.record_decision("rides", "retire", "retired", "nobody needs it", {}, AT)
    assert wait_for(60.0)["responded_by_user"] is None


def test_a_ledger_that_is_away_does_not_end_the_wait_for_a_person(
    answers: Answers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise ConnectionError("no ledger")

    monkeypatch.setattr(airflow_lookup, "load_settings", away)
    with pytest.raises(TimeoutError):
        wait_for(60.0, limit_s=0.3)
    assert "Whether rides v1 is still wanted is not known" in caplog.text
    answers.chosen, answers.by = ["Approve"], SimpleNamespace(**REVIEWER)
    assert wait_for(60.0)["responded_by_user"] == REVIEWER


def test_the_options_are_those_that_airflow_shows_as_an_approval() -> None:
    assert (approval_task.APPROVE, approval_task.REJECT) == ("Approve", "Reject")
