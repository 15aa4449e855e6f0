"""The task that asks a person whether a version may be released.

It waits as Airflow's own human-in-the-loop task does, in `deferred` and holding no worker: answered
in the UI or over REST, by default "Reject" when the time is over. `ApprovalOperator` is not used:
it skips what follows a rejection, so that nobody would record it. Nor is the state
`awaiting_input`: only a person or the clock ends it, and a newer staged version has to.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import HITLUser

from include.evergreen.approval_trigger import ApprovalTrigger
from include.evergreen.contracts import Answer, Question

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

APPROVE, REJECT = "Approve", "Reject"
COMMENT = "comment"


class AskForApproval(HITLOperator):  # type: ignore[misc]  # untyped
    """Returns the `Answer` as JSON; None where there is no question.

    Args:
        question: `Question` as JSON, of an earlier task. It is no template: its text stays text.
        proposal: `Proposal` as JSON, of an earlier task.
        users: the ids of the Airflow users who may answer; empty: all who may answer any.
        wait_s: seconds after which the clock says no.
    """

    template_fields = ("question", "proposal")

    def __init__(
        self,
        *,
        question: Any,
        proposal: Any,
        users: Sequence[str],
        wait_s: float,
        params: object = None,  # the DAG's form, which Airflow hands to every task: not asked here
        **kwargs: Any,
    ) -> None:
        del params
        comment = Param(
            None,
            type=["null", "string"],  # the form asks for a text alone, and takes no empty one
            maxLength=1000,
            title="Comment",
            description="Why; kept in the journal with your name.",
            source="task",
        )
        super().__init__(
            subject="Release a version?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            params={COMMENT: comment},
            assigned_users=[HITLUser(id=user, name=user) for user in users],
            response_timeout=dt.timedelta(seconds=wait_s),
            **kwargs,
        )
        self.question = question
        self.proposal = proposal

    def execute(self, context: Context) -> None:
        """Ask, and wait; nothing where there is no question."""
        if self.question is None:
            return
        asked = Question.from_json(self.question)
        self.subject, self.body = asked.subject, asked.body
        try:
            super().execute(context)
        except TaskAwaitingInput:
            trigger = ApprovalTrigger(
                proposal=self.proposal,
                ti_id=context["task_instance"].id,
                options=self.options,
                defaults=self.defaults,
                params=self.serialized_params,
                timeout_datetime=dt.datetime.now(dt.UTC) + self.response_timeout,
            )
            self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The answer, once there is one. Only a name behind it makes it a person's."""
        answer = super().execute_complete(context, event)
        person = answer["responded_by_user"]
        return Answer(
            approves=answer["chosen_options"] == [APPROVE],
            person=(person["name"] or person["id"]) if person else "",
            person_id=person["id"] if person else "",
            comment=str(answer["params_input"].get(COMMENT) or "").strip() if person else "",
            at=answer["responded_at"].isoformat(),
        ).as_json()
